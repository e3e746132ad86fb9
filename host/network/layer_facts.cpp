#include "host/network/layer_facts.h"

#include <algorithm>

namespace patchforge {

std::string LayerFacts::gives() const {
    return out.plane() == 1 ? std::to_string(out.channels) : out.text();
}

std::vector<LayerFacts> layer_facts(const NetworkShape& shape) {
    std::vector<std::string> texts;
    const std::string all = describe(shape);
    for (std::size_t at = 0; at < all.size();) {
        const std::size_t end = std::min(all.find("; ", at), all.size());
        texts.push_back(all.substr(at, end - at));
        at = end + 2;
    }
    std::vector<LayerFacts> facts;
    // The extent of pictures stands before the layers.
    const std::size_t before = texts.size() - shape.layers.size();
    for (std::size_t l = 0; l < shape.layers.size(); ++l) {
        const LayerShape& layer = shape.layers[l];
        facts.push_back({texts[before + l], layer.out(), NetworkShape{{layer}}.parameter_count(),
                         layer.layer ? layer.layer->operations(1)
                                     : 2.0 * static_cast<double>(layer.inputs) *
                                           static_cast<double>(layer.outputs)});
    }
    return facts;
}

} // namespace patchforge
