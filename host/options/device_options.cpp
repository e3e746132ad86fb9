#include "host/options/device_options.h"

namespace patchforge {

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
}

} // namespace patchforge
