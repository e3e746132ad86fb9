// patchforge plan: the recorded GAN iteration, kernel by kernel, beside its floor.
#include "host/plan/plan_report.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <memory>
#include <stdexcept>

#include "data/atomic_file.h"
#include "host/cli/options.h"
#include "host/cli/verbs.h"
#include "host/cli/widths.h"

namespace patchforge {

namespace {

struct Call {
    std::int64_t batch_size = 64;
    std::int64_t latent_dim = 64;
    std::string hidden_dims = "256,256";
    int channels = 3;
    int size = 50;
    double gigabytes_per_second = 3000;
    double teraflops = 60;
    double cache_megabytes = 50;
    double node_microseconds = 1.2;
    bool declared_only = false;
    std::string json;
    BackendOptions backend;
};

void run(const Call& call) {
    if (const std::string reason = why_no_cuda(); !reason.empty()) {
        throw std::runtime_error(fmt::format("plan: {}; `make plan BATCH={}` records the same "
                                             "iteration without a GPU",
                                             reason, call.batch_size));
    }
    GanOptions options;
    options.batch_size = call.batch_size;
    options.latent_dim = call.latent_dim;
    options.hidden_dims = parse_widths(call.hidden_dims);
    options.validate();
    const auto backend = make_cuda_backend(0, call.backend);
    const IterationPlan plan =
        plan_gan_iteration(*backend, options, {call.channels, call.size, call.size},
                           call.cache_megabytes * 1e6, !call.declared_only);
    const PlannedDevice device = {call.gigabytes_per_second * 1e9, call.teraflops * 1e12,
                                  call.node_microseconds * 1e-6};
    fmt::print("GAN iteration, batch {}, on {}\n\n{}", call.batch_size, backend->description(),
               plan_text(plan, device));
    if (!call.json.empty()) {
        write_file_atomically(call.json, plan_json(plan, device));
    }
}

} // namespace

void add_plan(CLI::App& app) {
    auto call = std::make_shared<Call>();
    CLI::App* verb = app.add_subcommand(
        "plan", "print the recorded GAN iteration: kernels, bytes, operations, floor");
    add_number<std::int64_t>(*verb, "--batch-size", call->batch_size, "patches a batch", 1, 65536);
    add_number<std::int64_t>(*verb, "--latent-dim", call->latent_dim, "numbers of a latent code", 1,
                             65536);
    add_text(*verb, "--hidden-dims", call->hidden_dims, "widths of the hidden layers", "LIST");
    add_number(*verb, "--channels", call->channels, "of a patch", 1, 4);
    add_number(*verb, "--size", call->size, "pixels a side of a patch", 1, 1024);
    add_number(*verb, "--bandwidth-gbs", call->gigabytes_per_second,
               "the device's memory bandwidth, GB/s", 1.0, 1e6);
    add_number(*verb, "--tflops", call->teraflops, "its float32 TFLOP/s", 0.001, 1e6);
    add_number(*verb, "--l2-mb", call->cache_megabytes, "its L2 cache, MB", 0.0, 1e6);
    add_number(*verb, "--node-us", call->node_microseconds, "microseconds a node of a graph costs",
               0.0, 1000.0);
    add_switch(*verb, "--declared", call->declared_only,
               "take the bytes that kernels declare; count nothing");
    add_text(*verb, "--json", call->json, "write the plan as JSON, too", "FILE");
    add_precision_option(*verb, call->backend.precision);
    add_gemm_option(*verb, call->backend.gemm);
    verb->callback([call] { run(*call); });
}

} // namespace patchforge
