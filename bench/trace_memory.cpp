// Memory of a pass through the named networks on patches of 50 x 50, by lifetime and with a place of its own
// for every value.
#include <fmt/format.h>

#include "bench/measure.h"
#include "host/network/named_networks.h"
#include "host/network/trace.h"
#include "host/run/version.h"

namespace patchforge::bench {
namespace {

constexpr Extent patches{3, 50, 50};

struct Case {
    std::string name, text;
};

std::vector<Case> cases() {
    std::vector<Case> all;
    for (const char* name : {"dcgan", "tissue"}) {
        const GanTexts texts = gan_texts(name, patches, 64);
        all.push_back({fmt::format("{}, G", name), texts.generator});
        all.push_back({fmt::format("{}, D", name), texts.discriminator});
    }
    for (const char* name : {"cnn", "resnet", "vgg"}) {
        all.push_back({name, classifier_text(name, patches, 2)});
    }
    return all;
}

void run(const Options& options) {
    const auto backend = make_backend("cpu", {.threads = options.threads});
    Table table({"network", "rows", "training", "by lifetime", "evaluation and back", "by lifetime",
                 "forward alone", "by lifetime"});
    for (const auto& [name, text] : cases()) {
        const Network network(*backend, network_shape_from_description(text));
        for (const std::int64_t rows : {16, 64}) {
            std::vector<std::string> row = {name, std::to_string(rows)};
            for (const TraceUse& use : {TraceUse{}, TraceUse{.training = false},
                                        TraceUse{.training = false, .backward = false}}) {
                const Trace trace(network, rows, use);
                for (const std::int64_t floats : {trace.room_apart(), trace.room()}) {
                    row.push_back(fmt::format("{:.1f}", 4e-6 * static_cast<double>(floats)));
                }
            }
            table.add(row);
        }
    }
    publish(
        options,
        fmt::format(
            "# Memory of a pass\n\nMB of values and gradients on patches of {}, commit {}: each "
            "with a place of its own, and sharing memory by lifetime\n"
            "(host/network/lifetimes.h). Training steps, attacks (evaluation and back to the "
            "input), and answers alone.\n\n{}",
            patches.text(), commit(), table.text()),
        {});
}

} // namespace
} // namespace patchforge::bench

int main(int argc, char** argv) {
    return patchforge::bench::run_bench(argc, argv, {1}, patchforge::bench::run);
}
