#include "bench/workload.h"

#include <fmt/format.h>

#include <algorithm>

#include "host/files/json.h"
#include "host/run/version.h"

namespace patchforge::bench {

std::vector<std::uint8_t> random_levels(std::int64_t count) {
    std::vector<std::uint8_t> levels(static_cast<std::size_t>(count));
    std::uint32_t state = 1; // of the linear congruence of Numerical Recipes
    for (std::uint8_t& level : levels) {
        state = state * 1664525u + 1013904223u;
        level = static_cast<std::uint8_t>(state >> 24);
    }
    return levels;
}

Patches::Patches() {
    constexpr std::int64_t count = 4096;
    bytes_ = random_levels(count * pixels);
    for (std::int64_t i = 0; i < count; ++i) {
        labels_.push_back(static_cast<std::int32_t>(i % 2));
    }
    rows_.pixels = bytes_.data();
    rows_.labels = labels_;
    rows_.count = count;
    rows_.channels = 3;
    rows_.height = 50;
    rows_.width = 50;
}

ForwardOperations forward_operations(const NetworkShape& shape) {
    ForwardOperations operations;
    for (const LayerShape& layer : shape.layers) {
        if (!layer.has_weights()) {
            continue;
        }
        const double now = layer.layer ? layer.layer->operations(1)
                                       : 2.0 * static_cast<double>(layer.inputs * layer.outputs);
        operations.first = operations.all > 0 ? operations.first : now;
        operations.all += now;
    }
    return operations;
}

std::string Floor::operations_text(int digits) const {
    return operations > 0 ? fmt::format("{:.{}f}", operations, digits) : "unknown";
}

Floor floor_of(const Machine& machine, double bytes, double operations) {
    return {bytes / machine.bytes_per_second * 1e3,
            machine.operations_per_second > 0 ? operations / machine.operations_per_second * 1e3
                                              : 0};
}

std::vector<std::string> step_columns() {
    return {"ms",      "5%",       "95%", "floor: bytes", "operations", "share of floor",
            "GFLOP/s", "samples/s"};
}

std::vector<std::string> step_cells(const Timing& timing, const Floor& floor, double operations,
                                    std::int64_t batch) {
    return {fmt::format("{:.3f}", timing.median),
            fmt::format("{:.3f}", timing.p5),
            fmt::format("{:.3f}", timing.p95),
            fmt::format("{:.3f}", floor.bytes),
            floor.operations_text(3),
            fmt::format("{:.0f}%", 100 * std::max(floor.bytes, floor.operations) / timing.median),
            fmt::format("{:.0f}", operations / timing.median * 1e-6),
            fmt::format("{:.0f}", static_cast<double>(batch) / timing.median * 1e3)};
}

std::string step_line(const char* bench, const Backend& backend, std::int64_t batch,
                      const Timing& timing) {
    return fmt::format(
        R"({{"bench": "{}", "program": "patchforge", "commit": "{}", "device": "{}", )"
        R"("batch": {}, "ms": {:.5f}, "p5": {:.5f}, "p95": {:.5f})",
        bench, commit(), backend.description(), batch, timing.median, timing.p5, timing.p95);
}

std::string texts_of(const std::vector<NetworkShape>& shapes) {
    Json texts = Json::array();
    for (const NetworkShape& shape : shapes) {
        texts.push_back(describe(shape));
    }
    return texts.dump();
}

} // namespace patchforge::bench
