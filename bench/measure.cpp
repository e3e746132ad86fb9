#include "bench/measure.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include "bench/peak.h"
#include "data/atomic_file.h"
#include "host/run/version.h"

namespace patchforge::bench {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
}

std::string processor() {
    std::ifstream file("/proc/cpuinfo");
    for (std::string line; std::getline(file, line);) {
        if (line.starts_with("model name")) {
            return line.substr(line.find(':') + 2);
        }
    }
    return "unknown processor";
}

// First line that a command prints; empty when it fails.
std::string output_of(const char* command) {
    FILE* const pipe = popen(command, "r");
    if (!pipe) {
        return "";
    }
    char line[256] = {};
    const bool read = fgets(line, sizeof line, pipe) != nullptr;
    pclose(pipe);
    std::string text = read ? line : "";
    while (!text.empty() && text.back() == '\n') {
        text.pop_back();
    }
    return text;
}

std::vector<std::int64_t> parse_list(const std::string& text) {
    std::vector<std::int64_t> numbers;
    std::istringstream stream(text);
    for (std::string part; std::getline(stream, part, ',');) {
        numbers.push_back(std::stoll(part));
        if (numbers.back() < 1) {
            throw std::invalid_argument("--batches " + text + ": not positive; use 1,10,100");
        }
    }
    return numbers;
}

} // namespace

Options parse_options(int argc, char** argv, std::vector<std::int64_t> default_batches) {
    Options options;
    options.batches = std::move(default_batches);
    for (int i = 1; i < argc; ++i) {
        const std::string flag = argv[i];
        if (flag == "--help" || flag == "-h") {
            fmt::print("{} [--device cpu|cuda|cuda:N] [--threads N] [--batches 1,10,...] "
                       "[--seconds S] [--network NAME|TEXT] [--out page.md] [--json lines.json]\n",
                       argv[0]);
            std::exit(0);
        }
        if (i + 1 == argc) {
            throw std::invalid_argument(flag + ": no value, or no such option; see --help");
        }
        const std::string value = argv[++i];
        try {
            if (flag == "--device") {
                options.device = value;
            } else if (flag == "--threads") {
                options.threads = std::stoi(value);
            } else if (flag == "--batches") {
                options.batches = parse_list(value);
            } else if (flag == "--seconds") {
                options.seconds = std::stod(value);
            } else if (flag == "--network") {
                options.network = value;
            } else if (flag == "--out") {
                options.out = value;
            } else if (flag == "--json") {
                options.json = value;
            } else {
                throw std::invalid_argument(flag + ": no such option; see --help");
            }
        } catch (const std::logic_error& error) {
            throw std::invalid_argument(flag + " " + value + ": " + error.what());
        }
    }
    return options;
}

int run_bench(int argc, char** argv, std::vector<std::int64_t> default_batches,
              const std::function<void(const Options&)>& run) {
    try {
        run(parse_options(argc, argv, std::move(default_batches)));
        return 0;
    } catch (const std::exception& error) {
        fmt::print(stderr, "bench: error: {}\n", error.what());
        return 1;
    }
}

Timing measure(Backend& backend, double seconds, const std::function<void(std::int64_t)>& enqueue) {
    const auto sample = [&](std::int64_t repeats) {
        const auto start = Clock::now();
        enqueue(repeats);
        backend.synchronise();
        return seconds_since(start);
    };
    const double wanted = backend.name() == "cpu" ? 1e-3 : 50e-3;
    std::int64_t repeats = 1;
    sample(1);
    const auto warm_up = Clock::now();
    for (double took = sample(repeats); took < wanted || seconds_since(warm_up) < seconds / 4;) {
        if (took < wanted) {
            repeats = std::max(repeats + 1, static_cast<std::int64_t>(static_cast<double>(repeats) *
                                                                      wanted / took));
        }
        took = sample(repeats);
    }
    std::vector<double> times;
    const auto start = Clock::now();
    while (times.size() < 7 || seconds_since(start) < seconds) {
        times.push_back(sample(repeats) / static_cast<double>(repeats) * 1e3);
    }
    std::sort(times.begin(), times.end());
    const auto at = [&](double share) {
        return times[static_cast<std::size_t>(share * static_cast<double>(times.size() - 1) + 0.5)];
    };
    return {at(0.5), at(0.05), at(0.95), static_cast<std::int64_t>(times.size())};
}

Machine measure_machine(Backend& backend, int threads) {
    const bool cpu = backend.name() == "cpu";
    const std::int64_t size = (cpu ? 64 : 256) << 18; // 64 MiB or 256 MiB an array
    DeviceArray<float> to = random_array(backend, size, 1);
    const DeviceArray<float> from = random_array(backend, size, 2);
    const Timing timing = measure(backend, 0.5, [&](std::int64_t repeats) {
        for (std::int64_t i = 0; i < repeats; ++i) {
            backend.moving_average(to.view(), from.view(), {0.5f});
        }
    });
    return {.bytes_per_second = 12.0 * static_cast<double>(size) / (timing.p5 * 1e-3),
            .operations_per_second = cpu ? cpu_peak(threads) : 0};
}

DeviceArray<float> random_array(Backend& backend, std::int64_t size, std::uint32_t seed) {
    DeviceArray<float> array(backend, size);
    backend.fill_uniform(array.view(), -0.5f, 0.5f, {.seed = seed, .purpose = 0, .draw = {}});
    return array;
}

std::string Table::text() const {
    std::vector<std::size_t> widths(rows_.front().size());
    for (const auto& row : rows_) {
        for (std::size_t c = 0; c < row.size(); ++c) {
            widths[c] = std::max(widths[c], row[c].size());
        }
    }
    std::string text;
    for (std::size_t r = 0; r < rows_.size(); ++r) {
        for (std::size_t c = 0; c < widths.size(); ++c) {
            text += c == 0 ? fmt::format("| {:<{}} ", rows_[r][c], widths[c])
                           : fmt::format("| {:>{}} ", rows_[r][c], widths[c]);
        }
        text += "|\n";
        if (r == 0) {
            for (std::size_t c = 0; c < widths.size(); ++c) {
                text += "|" + std::string(widths[c] + 1, '-') + (c == 0 ? "-" : ":");
            }
            text += "|\n";
        }
    }
    return text;
}

std::string circumstances(Backend& backend, const Machine& machine) {
    std::string text = fmt::format("{} on {}; {}; g++ {}.{}. Measured in this run: {:.1f} GB/s",
                                   version_text(), backend.description(), processor(), __GNUC__,
                                   __GNUC_MINOR__, machine.bytes_per_second * 1e-9);
    if (machine.operations_per_second > 0) {
        text += fmt::format(", {:.0f} GFLOP/s float32", machine.operations_per_second * 1e-9);
    }
    if (backend.name() != "cpu") {
        const std::string clocks =
            output_of("nvidia-smi --query-gpu=driver_version,clocks.sm,clocks.mem,temperature.gpu "
                      "--format=csv,noheader 2>/dev/null");
        text += clocks.empty() ? "" : "; driver, clocks, temperature: " + clocks;
    }
    return text + ".\n";
}

void publish(const Options& options, const std::string& page,
             const std::vector<std::string>& json) {
    fmt::print("{}", page);
    if (!options.out.empty()) {
        write_file_atomically(options.out, page);
    }
    if (!options.json.empty()) {
        std::string lines;
        for (const std::string& line : json) {
            lines += line + "\n";
        }
        write_file_atomically(options.json, lines);
    }
}

} // namespace patchforge::bench
