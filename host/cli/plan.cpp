// patchforge plan: the recorded GAN iteration, kernel by kernel, beside its floor.
#include "host/plan/plan_report.h"

#include <fmt/format.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "data/atomic_file.h"
#include "host/cli/verbs.h"
#include "host/options/device_options.h"
#include "host/plan/rank_link.h"
#include "host/session/named_file.h"

namespace patchforge {

namespace {

struct PlanCall {
    std::vector<std::string> trainings;
    GanOptions gan;
    int channels = 3;
    int size = 50;
    double gigabytes_per_second = 3000;
    double teraflops = 60;
    double cache_megabytes = 50;
    double node_microseconds = 1.2;
    bool declared_only = false;
    int ranks = 1;
    std::string link = "nvlink";
    std::string json;
    BackendOptions backend;
};

void run(const PlanCall& call) {
    for (const std::string& training : call.trainings) {
        if (training != "train" && training != "gan") {
            throw std::invalid_argument(
                training +
                ": is not planned; plan takes the GAN of perceptrons alone, as --batch-size, "
                "--latent-dim, --hidden-dims, --channels and --size say");
        }
    }
    check_named_file("--json", call.json, "\"adam_bytes\"");
    const RankLink& link = rank_link(call.link);
    // Bytes are counted where kernels run, and cuBLAS is asked for its products: both take a device.
    const bool takes_device = counts_traffic() || call.backend.gemm == Gemm::cublas;
    const auto backend =
        takes_device ? make_cuda_backend(0, call.backend) : make_planning_backend(call.backend);
    const IterationPlan plan =
        plan_gan_iteration(*backend, call.gan, {call.channels, call.size, call.size},
                           call.cache_megabytes * 1e6, !call.declared_only);
    const PlannedDevice device = {call.gigabytes_per_second * 1e9, call.teraflops * 1e12,
                                  call.node_microseconds * 1e-6, call.backend.multiprocessors};
    fmt::print("GAN iteration, batch {}, on {}\n\n{}", call.gan.batch_size, backend->description(),
               plan_text(plan, device));
    if (call.ranks > 1) {
        fmt::print("{}", communication_text(plan.parameters, call.ranks, link));
    }
    if (!call.json.empty()) {
        write_file_atomically(call.json, plan_json(plan, device));
    }
}

} // namespace

Verb plan_verb() {
    auto call = std::make_shared<PlanCall>();
    call->backend.multiprocessors = 132;
    Verb verb{.name = "plan",
              .summary = "print the recorded GAN iteration: kernels, bytes, operations, floor"};
    Options& options = verb.options;
    options.arguments("training", call->trainings, "gan, which is what is planned without it, too")
        .required = false;
    options.group("Iteration");
    options.number("batch_size", call->gan.batch_size, {1, 65536}, "patches a batch");
    options.number("latent_dim", call->gan.latent_dim, {1, 65536}, "numbers of a latent code");
    options.widths("hidden_dims", call->gan.hidden_dims, "widths of the hidden layers");
    options.number("channels", call->channels, {1, 4}, "of a patch");
    options.number("size", call->size, {1, 1024}, "pixels a side of a patch");
    options.group("Planned device");
    options.number("bandwidth_gbs", call->gigabytes_per_second, {1, 1e6},
                   "the device's memory bandwidth, GB/s");
    options.number("tflops", call->teraflops, {0.001, 1e6}, "its float32 TFLOP/s");
    options.number("l2_mb", call->cache_megabytes, {0, 1e6}, "its L2 cache, MB");
    options.number("node_us", call->node_microseconds, {0, 1000},
                   "microseconds a node of a graph costs");
    options.number("ranks", call->ranks, {1, 65536}, "processes that share each batch");
    options.text("link", call->link, "nvlink|ib|ethernet", "between them").beside("ranks");
    options.number("multiprocessors", call->backend.multiprocessors, {1, 1024},
                   "its multiprocessors: A100 108, H100 PCIe 114, H100 SXM and H200 132");
    options.group("Output");
    options.toggle("declared", call->declared_only,
                   "take the bytes that kernels declare; count nothing");
    options.text("json", call->json, "FILE", "write the plan as JSON, too");
    describe_products(options, call->backend);
    verb.examples = {"plan --batch-size 64",
                     "plan --batch-size 10 --latent-dim 100 --hidden-dims 512,512 --channels 1 "
                     "--size 28 --json plan.json"};
    verb.run = [call] { run(*call); };
    return verb;
}

} // namespace patchforge
