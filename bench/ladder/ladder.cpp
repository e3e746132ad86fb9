// Times the rungs of the ladder at the sizes of the default discriminator's first layer: 7500
// inputs, 256 outputs. Every rung is captured into a graph of calls whose weights rotate through
// copies that exceed L2 together, so that each call finds its weights in memory.
//
// Without a GPU table and JSON lines have their predictions only, and no page is written.
#include "bench/ladder/ladder.h"

#include <fmt/format.h>

#include <cmath>
#include <exception>

#include "bench/measure.h"
#include "host/run/version.h"

namespace patchforge::bench {
namespace {

using namespace ladder;

constexpr std::int64_t inputs = 7500;
constexpr std::int64_t outputs = 256;
constexpr int copies = 16; // 123 MB of weights: more than the L2 of an H100 or H200 holds

struct Operands {
    Operands(Backend& backend, std::int64_t rows)
        : x(random_array(backend, rows * inputs, 1)), dz(random_array(backend, rows * outputs, 2)),
          bias(random_array(backend, outputs, 3)), y(backend, rows * outputs),
          gradient(backend, inputs * outputs), partial(backend, cuda::workspace_bytes / 4),
          arrived(backend, cuda::workspace_counters), steps(backend, 1), rows_(rows) {
        for (int i = 0; i < copies; ++i) {
            const auto seed = static_cast<std::uint32_t>(10 + 3 * i);
            weight.push_back(random_array(backend, inputs * outputs, seed));
            first_moment.push_back(random_array(backend, inputs * outputs, seed + 1));
            second_moment.push_back(random_array(backend, inputs * outputs, seed + 2));
            // Second moments are not negative.
            backend.fill_uniform(second_moment.back().view(), 1e-6f, 1e-4f,
                                 {.seed = seed, .purpose = 0, .draw = {}});
        }
    }
    void get(Forward& problem, int call) const {
        const auto i = static_cast<std::size_t>(call % copies);
        problem = {y.matrix(rows_, outputs),
                   x.matrix(rows_, inputs),
                   weight[i].matrix(outputs, inputs),
                   bias.view(),
                   {partial.data(), arrived.data()}};
    }
    void get(Update& problem, int call) const {
        const auto i = static_cast<std::size_t>(call % copies);
        problem = {{weight[i].view(), first_moment[i].view(), second_moment[i].view()},
                   dz.matrix(rows_, outputs),
                   x.matrix(rows_, inputs),
                   Adam{.learning_rate = 1e-6f, .step = {steps.data(), 1, 0}},
                   gradient.view()};
    }

    std::vector<DeviceArray<float>> weight, first_moment, second_moment;
    DeviceArray<float> x, dz, bias, y, gradient, partial;
    DeviceArray<unsigned> arrived;
    DeviceArray<std::uint64_t> steps;
    std::int64_t rows_;
};

// Microseconds a call: host time of many replays of a graph of `copies` calls.
template <class Problem>
double microseconds(Backend& backend, const Rung<Problem>& rung, const Operands& operands,
                    double seconds) {
    backend.synchronise(); // the operands are filled on its stream
    cudaStream_t stream = nullptr;
    PATCHFORGE_CUDA_CHECK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    const auto calls = [&] {
        for (int call = 0; call < copies; ++call) {
            Problem problem{};
            operands.get(problem, call);
            enqueue(rung, problem, backend, stream);
        }
    };
    Timing timing;
    if (rung.launch == nullptr) {
        const auto recording = backend.record(calls);
        timing = measure(backend, seconds, [&](std::int64_t times) { recording->replay(times); });
    } else {
        cudaGraph_t graph = nullptr;
        cudaGraphExec_t executable = nullptr;
        PATCHFORGE_CUDA_CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
        calls();
        PATCHFORGE_CUDA_CHECK(cudaStreamEndCapture(stream, &graph));
        PATCHFORGE_CUDA_CHECK(cudaGraphInstantiate(&executable, graph, 0));
        timing = measure(backend, seconds, [&](std::int64_t times) {
            for (; times > 0; --times) {
                PATCHFORGE_CUDA_CHECK(cudaGraphLaunch(executable, stream));
            }
            PATCHFORGE_CUDA_CHECK(cudaStreamSynchronize(stream));
        });
        PATCHFORGE_CUDA_CHECK(cudaGraphExecDestroy(executable));
        PATCHFORGE_CUDA_CHECK(cudaGraphDestroy(graph));
    }
    PATCHFORGE_CUDA_CHECK(cudaStreamDestroy(stream));
    return timing.median * 1e3 / copies;
}

struct Page {
    Table table{{"rung", "change", "predicted us", "measured us", "times faster", "GB/s"}};
    std::vector<std::string> json;
};

template <class Problem>
void add_rungs(Page& page, const std::vector<Rung<Problem>>& rungs, Backend* backend,
               const Operands* operands, double bytes, double seconds) {
    double below = 0;
    for (const Rung<Problem>& rung : rungs) {
        const double us = backend ? microseconds(*backend, rung, *operands, seconds) : 0;
        page.table.add({rung.name, rung.change, fmt::format("{:.1f}", rung.predicted_us),
                        backend ? fmt::format("{:.1f}", us) : "not measured",
                        backend && below > 0 ? fmt::format("{:.1f}", below / us) : "",
                        backend ? fmt::format("{:.0f}", bytes / us * 1e-3) : ""});
        page.json.push_back(fmt::format(
            R"({{"bench": "ladder", "rung": "{}", "change": "{}", "commit": "{}", "device": {}, )"
            R"("bytes": {:.0f}, "predicted_us": {:.1f}, "us": {}}})",
            rung.name, rung.change, commit(),
            backend ? fmt::format("\"{}\"", backend->description()) : "null", bytes,
            rung.predicted_us, backend ? fmt::format("{:.3f}", us) : "null"));
        below = us;
    }
}

void run(const Options& options) {
#if defined(PATCHFORGE_SIMT)
    const std::string reason = "the kernels of this program run on a CPU";
#else
    const std::string reason = why_no_cuda();
#endif
    const auto backend = reason.empty() ? make_cuda_backend(0) : nullptr;
    const std::int64_t rows = options.batches.front();
    std::unique_ptr<Operands> operands;
    std::string text =
        fmt::format("# The ladder\n\nMicroseconds a call, 7500 x 256, {} rows; predictions are for "
                    "20 rows on an "
                    "H100 (bench/ladder/README.md). GB/s counts what must cross memory.\n\n",
                    rows);
    if (backend) {
        operands = std::make_unique<Operands>(*backend, rows);
        text += circumstances(*backend, measure_machine(*backend, 0)) + "\n";
    } else {
        text +=
            fmt::format("not measured: {}; run `make ladder` on a machine with a GPU.\n\n", reason);
    }
    Page page;
    const double layer = static_cast<double>(inputs * outputs);
    const double of_rows = 4.0 * static_cast<double>(rows * (inputs + outputs));
    add_rungs(page, forward_rungs(), backend.get(), operands.get(), 4 * layer + of_rows,
              options.seconds);
    add_rungs(page, update_rungs(), backend.get(), operands.get(), 24 * layer + of_rows,
              options.seconds);
    Options to = options;
    if (!backend) {
        to.out.clear(); // a page that a GPU has written stays
    }
    publish(to, text + page.table.text(), page.json);
}

} // namespace
} // namespace patchforge::bench

int main(int argc, char** argv) {
    try {
        patchforge::bench::run(patchforge::bench::parse_options(argc, argv, {20}));
    } catch (const std::exception& error) {
        fmt::print(stderr, "ladder: error: {}\n", error.what());
        return 1;
    }
}
