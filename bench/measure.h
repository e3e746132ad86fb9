// How everything here is timed and reported: warm-up, then many samples, of which the median and
// the 5th and 95th percentile are told; next to them the floor that bytes and operations set on
// this machine, measured in the same run.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "kernels/backend.h"

namespace patchforge::bench {

struct Options {
    std::string device = "cpu";
    int threads = 0;
    std::vector<std::int64_t> batches;
    double seconds = 1;  // to spend on each measurement
    std::string network; // a name or a text of networks; empty: multilayer perceptrons
    std::string out;     // Markdown page to write; empty: none
    std::string json;    // JSON lines to write; empty: none
};

// --device D --threads N --batches 1,10 --seconds S --network NAME --out FILE --json FILE. Prints how to call it
// and exits for --help; std::invalid_argument for anything else.
Options parse_options(int argc, char** argv, std::vector<std::int64_t> default_batches);

// A whole program: run(options) with the command line's, its failure told on stderr. Returns the
// exit status.
int run_bench(int argc, char** argv, std::vector<std::int64_t> default_batches,
              const std::function<void(const Options&)>& run);

// Milliseconds a call.
struct Timing {
    double median = 0;
    double p5 = 0;
    double p95 = 0;
    std::int64_t samples = 0;
};

// Times `enqueue`, waiting for the backend after every sample. A sample repeats it until it lasts a
// millisecond (50 on a GPU, whose queue must not run empty), for `seconds` in all, at least 7
// samples.
Timing measure(Backend& backend, double seconds, const std::function<void(std::int64_t)>& enqueue);

// What this machine can do at best, as measured now.
struct Machine {
    double bytes_per_second = 0;      // reading two arrays and writing one, all beyond the caches
    double operations_per_second = 0; // float32 multiply-adds (two each) from registers; 0: unknown
};
Machine measure_machine(Backend& backend, int threads);

// Non-zero random numbers on the device.
DeviceArray<float> random_array(Backend& backend, std::int64_t size, std::uint32_t seed);

// Rows of text under a heading, aligned for people and valid as Markdown.
class Table {
  public:
    explicit Table(std::vector<std::string> columns) : rows_{std::move(columns)} {}
    void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
    std::string text() const;

  private:
    std::vector<std::vector<std::string>> rows_;
};

// One line that says what was measured on what: device, threads, compiler, commit, driver where
// known.
std::string circumstances(Backend& backend, const Machine& machine);

// Prints `page` and writes it, and the JSON lines, where the options say so.
void publish(const Options& options, const std::string& page, const std::vector<std::string>& json);

} // namespace patchforge::bench
