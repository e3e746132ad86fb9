#include "host/network/layer_facts.h"

#include <iterator>

namespace patchforge {

std::string LayerFacts::gives() const {
    return out.plane() == 1 ? std::to_string(out.channels) : out.text();
}

std::vector<LayerFacts> layer_facts(const NetworkShape& shape) {
    std::vector<LayerFacts> facts;
    for (std::int64_t l = 0; l < std::ssize(shape.layers); ++l) {
        const LayerShape& layer = shape.layers[static_cast<std::size_t>(l)];
        facts.push_back({layer_text(shape, l), layer.out(), NetworkShape{{layer}}.parameter_count(),
                         layer.layer ? layer.layer->operations(1)
                                     : 2.0 * static_cast<double>(layer.inputs) *
                                           static_cast<double>(layer.outputs)});
    }
    return facts;
}

} // namespace patchforge
