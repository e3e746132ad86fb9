#include "host/network/network_shape.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <numeric>
#include <stdexcept>

#include "host/network/layers/kinds.h"

namespace patchforge {

namespace {

constexpr std::array<const char*, 5> activation_names = {"identity", "relu", "leaky_relu", "tanh",
                                                         "sigmoid"};

} // namespace

bool LayerShape::is_linear() const {
    return has_weights() && weight_shape().size() == 2 && !follows();
}

std::vector<std::int64_t> LayerShape::weight_shape() const {
    return layer ? layer->weight_shape() : std::vector<std::int64_t>{outputs, inputs};
}

std::int64_t NetworkShape::parameter_count() const {
    std::int64_t count = 0;
    for (const LayerShape& layer : layers) {
        const std::int64_t channels = layer.out().channels;
        if (layer.trained && layer.has_weights()) {
            const std::vector<std::int64_t> shape = layer.weight_shape();
            count +=
                std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>()) +
                (layer.bias ? channels : 0);
        }
        if (layer.has_affine()) {
            count += 2 * channels;
        }
    }
    return count;
}

std::vector<int> NetworkShape::sources(std::int64_t l) const {
    const std::vector<int>& from = layers[static_cast<std::size_t>(l)].from;
    return from.empty() ? std::vector<int>{static_cast<int>(l) - 1} : from;
}

std::int64_t NetworkShape::number(std::int64_t l) const {
    return std::count_if(layers.begin(), layers.begin() + l + 1,
                         [](const LayerShape& layer) { return !layer.follows(); }) -
           1;
}

std::vector<int> NetworkShape::heads() const {
    std::vector<int> heads;
    for (int l = 0; l < static_cast<int>(layers.size()); ++l) {
        if (layers[static_cast<std::size_t>(l)].head || l + 1 == static_cast<int>(layers.size())) {
            heads.push_back(l);
        }
    }
    return heads;
}

bool NetworkShape::is_chain() const {
    for (std::int64_t l = 0; l < std::ssize(layers); ++l) {
        if (sources(l) != std::vector<int>{static_cast<int>(l) - 1}) {
            return false;
        }
    }
    return true;
}

NetworkShape multilayer_perceptron(std::int64_t inputs, const std::vector<std::int64_t>& hidden,
                                   std::int64_t outputs, Activation hidden_activation, float slope,
                                   bool dropout_modules, float dropout, Activation output) {
    NetworkShape shape;
    std::int64_t width = inputs;
    int module = 0;
    for (const std::int64_t hidden_width : hidden) {
        shape.layers.push_back({width, hidden_width, hidden_activation, slope,
                                dropout_modules ? dropout : 0.0f, module});
        module += dropout_modules ? 3 : 2;
        width = hidden_width;
    }
    shape.layers.push_back({width, outputs, output, slope, 0.0f, module});
    return shape;
}

void append_closeness(NetworkShape& shape, std::int64_t columns, std::int64_t size) {
    LayerShape& before = shape.layers.back();
    LayerShape closeness;
    closeness.layer = closeness_layer(before.out(), columns, size);
    closeness.inputs = before.outputs;
    closeness.outputs = closeness.layer->out().size();
    closeness.bias = false;
    closeness.module_index = before.module_index;
    closeness.deviation = 1.0f / std::sqrt(static_cast<float>(before.outputs));
    closeness.name.swap(before.name); // later layers read it in that one's place
    shape.layers.push_back(std::move(closeness));
}

const char* activation_name(Activation activation) {
    return activation_names[static_cast<std::size_t>(activation)];
}

Activation activation_from_name(const std::string& name) {
    for (std::size_t i = 0; i < activation_names.size(); ++i) {
        if (name == activation_names[i]) {
            return static_cast<Activation>(i);
        }
    }
    throw std::invalid_argument(fmt::format(
        "{}: no such activation; use one of identity, relu, leaky_relu, tanh, sigmoid", name));
}

} // namespace patchforge
