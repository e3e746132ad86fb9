// Measures what decides the persistent design (docs/persistent.md): needs a GPU.
#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <stdexcept>

#include "bench/measure.h"
#include "bench/persistent_gate.h"
#include "host/run/version.h"

namespace patchforge::bench {
namespace {

// Microseconds from the start to the end of what `enqueue` puts on a stream; the median of tries.
template <class Enqueue>
double microseconds(Enqueue enqueue) {
    cudaEvent_t start = nullptr;
    cudaEvent_t end = nullptr;
    cudaStream_t stream = nullptr;
    PATCHFORGE_CUDA_CHECK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    PATCHFORGE_CUDA_CHECK(cudaEventCreate(&start));
    PATCHFORGE_CUDA_CHECK(cudaEventCreate(&end));
    std::vector<double> times;
    for (int i = 0; i < 25; ++i) { // the first ones warm the clocks up
        PATCHFORGE_CUDA_CHECK(cudaEventRecord(start, stream));
        enqueue(stream);
        PATCHFORGE_CUDA_CHECK(cudaEventRecord(end, stream));
        PATCHFORGE_CUDA_CHECK(cudaEventSynchronize(end));
        float milliseconds = 0;
        PATCHFORGE_CUDA_CHECK(cudaEventElapsedTime(&milliseconds, start, end));
        if (i >= 4) {
            times.push_back(milliseconds * 1e3);
        }
    }
    PATCHFORGE_CUDA_CHECK(cudaEventDestroy(start));
    PATCHFORGE_CUDA_CHECK(cudaEventDestroy(end));
    PATCHFORGE_CUDA_CHECK(cudaStreamDestroy(stream));
    std::sort(times.begin(), times.end());
    return times[times.size() / 2];
}

// The slope between few and many: what one more costs, without what starting and ending costs.
template <class Run>
double slope(unsigned few, unsigned many, Run run) {
    return (run(many) - run(few)) / (many - few);
}

void run(const Options& options) {
    if (const std::string reason = why_no_cuda(); !reason.empty()) {
        throw std::runtime_error("persistent: not measured, " + reason +
                                 "; run `make bench-gpu` on a "
                                 "machine with a GPU");
    }
    const auto backend = make_cuda_backend(0);
    int multiprocessors = 0;
    PATCHFORGE_CUDA_CHECK(
        cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, 0));
    const auto blocks = static_cast<unsigned>(multiprocessors);
    DeviceArray<unsigned> counters(*backend, 1 + 2 * multiprocessors);
    const auto clear = [&](cudaStream_t stream) {
        PATCHFORGE_CUDA_CHECK(
            cudaMemsetAsync(counters.data(), 0, (1 + 2 * blocks) * sizeof(unsigned), stream));
    };
    Table table({"what", "us"});
    std::vector<std::string> json;
    const auto add = [&](const std::string& what, double us) {
        table.add({what, fmt::format("{:.2f}", us)});
        json.push_back(fmt::format(
            R"({{"bench": "persistent", "what": "{}", "commit": "{}", "device": "{}", "us": {:.3f}}})",
            what, commit(), backend->description(), us));
    };

    const double barrier = slope(100, 1100, [&](unsigned rounds) {
        return microseconds([&](cudaStream_t stream) {
            clear(stream);
            launch_barrier_rounds({counters.data(), counters.data() + 1,
                                   counters.data() + 1 + multiprocessors, rounds},
                                  blocks, stream);
        });
    });
    add(fmt::format("barrier of {} blocks", blocks), barrier);

    for (const std::int64_t batch : options.batches) {
        const std::int64_t size = batch * 256;
        DeviceArray<float> part(*backend, multiprocessors * size);
        DeviceArray<float> total(*backend, size);
        const double reduce = slope(20, 220, [&](unsigned rounds) {
            return microseconds([&](cudaStream_t stream) {
                clear(stream);
                launch_all_reduce_rounds({counters.data(), part.data(), total.data(),
                                          static_cast<unsigned>(size), rounds},
                                         blocks, stream);
            });
        });
        add(fmt::format("all-reduce of {} x 256 over {} blocks, two barriers in it", batch, blocks),
            reduce);
    }

    const auto graph_of = [&](unsigned nodes, bool overlap) {
        cudaStream_t stream = nullptr;
        cudaGraph_t graph = nullptr;
        cudaGraphExec_t executable = nullptr;
        PATCHFORGE_CUDA_CHECK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
        PATCHFORGE_CUDA_CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
        for (unsigned i = 0; i < nodes; ++i) {
            launch_node(counters.data(), {stream, overlap});
        }
        PATCHFORGE_CUDA_CHECK(cudaStreamEndCapture(stream, &graph));
        PATCHFORGE_CUDA_CHECK(cudaGraphInstantiate(&executable, graph, 0));
        const double time = microseconds(
            [&](cudaStream_t on) { PATCHFORGE_CUDA_CHECK(cudaGraphLaunch(executable, on)); });
        PATCHFORGE_CUDA_CHECK(cudaGraphExecDestroy(executable));
        PATCHFORGE_CUDA_CHECK(cudaGraphDestroy(graph));
        PATCHFORGE_CUDA_CHECK(cudaStreamDestroy(stream));
        return time;
    };
    const auto node = [&](bool overlap) {
        return slope(20, 220, [&](unsigned nodes) { return graph_of(nodes, overlap); });
    };
    add("node of a graph behind another", node(false));
    if (const std::string reason = cuda::why_no_overlap(0); reason.empty()) {
        add("node of a graph behind another, started while that one runs", node(true));
    } else {
        fmt::print(stderr, "nodes were not overlapped: {}\n", reason);
    }

    publish(options,
            "# What decides the persistent design\n\n" +
                circumstances(*backend, measure_machine(*backend, 0)) + "\n" + table.text(),
            json);
}

} // namespace
} // namespace patchforge::bench

int main(int argc, char** argv) {
    try {
        patchforge::bench::run(patchforge::bench::parse_options(argc, argv, {1, 10, 20, 64, 128}));
    } catch (const std::exception& error) {
        fmt::print(stderr, "bench: error: {}\n", error.what());
        return 1;
    }
}
