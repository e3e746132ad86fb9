#include "host/options/device_options.h"

#include <fmt/format.h>

#include <algorithm>
#include <thread>
#include <unistd.h>

#include "host/ranks/job.h"
#include "kernels/communicator.h"

namespace patchforge {

std::unique_ptr<Backend> DeviceOptions::make() const {
    const Launch launch = launch_of_environment();
    if (launch.size == 1) {
        return make_backend(device, backend);
    }
    BackendOptions own = backend;
    const auto cores = static_cast<int>(std::thread::hardware_concurrency());
    // Fewer than there are: the launcher has bound this rank to its own.
    const bool bound = cores < ::sysconf(_SC_NPROCESSORS_ONLN);
    if (own.threads == 0) {
        own.threads = std::max(1, bound ? cores : cores / launch.local_size);
    }
    const bool gpu = device == "cuda" || (device == "auto" && why_no_cuda().empty());
    // Slurm may show each rank a GPU of its own, as number 0. That no two train on one is for
    // make_exchange to say.
    return make_backend(
        gpu ? fmt::format("cuda:{}", launch.local_rank % std::max(visible_gpus(), 1)) : device,
        own);
}

void describe_threads(Options& options, int& threads) {
    options.group("Device");
    options
        .number("threads", threads, {0, 1024},
                "on the CPU; 0 is one a core; results do not depend on it")
        .unrecorded();
}

void describe_products(Options& options, BackendOptions& backend) {
    options.group("Device");
    options.choice<Precision>(
        "precision", backend.precision,
        {{"float32", Precision::float32}, {"tf32", Precision::tf32}, {"bf16", Precision::bf16}},
        "of the products of linear layers of more than 8 rows: their "
        "operands rounded, sums in float32");
    options.choice<Gemm>("gemm", backend.gemm, {{"own", Gemm::own}, {"cublas", Gemm::cublas}},
                         "what multiplies matrices on a GPU; cublas must be installed");
}

void describe(Options& options, DeviceOptions& device) {
    options.group("Device");
    options
        .text("device", device.device, "auto|cpu|cuda[:N]",
              "auto takes a usable GPU, else the CPU; cuda:N is the N-th GPU")
        .changeable();
    describe_threads(options, device.backend.threads);
    describe_products(options, device.backend);
    options
        .toggle("overlap_launches", device.backend.overlap_launches,
                "on a GPU of compute capability 9.0: start a recorded kernel while the one before "
                "still runs; results do not depend on it")
        .unrecorded();
    options
        .toggle(
            "check_launches", device.backend.check_launches,
            "on a GPU: wait for every kernel, and name the one that the device faults in; slow; "
            "results do not depend on it")
        .unrecorded();
    options.only_one_of({"overlap_launches", "check_launches"});
}

} // namespace patchforge
