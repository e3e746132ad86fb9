#include "bench/workload.h"

#include <nlohmann/json.hpp>

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

std::string texts_of(const std::vector<NetworkShape>& shapes) {
    nlohmann::json texts = nlohmann::json::array();
    for (const NetworkShape& shape : shapes) {
        texts.push_back(describe(shape));
    }
    return texts.dump();
}

} // namespace patchforge::bench
