#include "host/model/network_shape.h"

#include <fmt/format.h>

#include <array>
#include <sstream>
#include <stdexcept>

namespace patchforge {

namespace {

constexpr std::array<const char*, 5> activation_names = {"identity", "relu", "leaky_relu", "tanh",
                                                         "sigmoid"};

} // namespace

std::int64_t NetworkShape::parameter_count() const {
    std::int64_t count = 0;
    for (const LayerShape& layer : layers) {
        if (layer.trained) {
            count += layer.inputs * layer.outputs + layer.outputs;
        }
        if (layer.normalisation != Normalisation::none) {
            count += 2 * layer.outputs;
        }
        count += layer.closeness_columns * layer.closeness_size * layer.outputs;
    }
    return count;
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

std::string describe(const NetworkShape& shape) {
    std::string text;
    for (const LayerShape& layer : shape.layers) {
        text += fmt::format("{}{}>{} {}", text.empty() ? "" : "; ", layer.inputs, layer.outputs,
                            activation_name(layer.activation));
        if (layer.activation == Activation::leaky_relu) {
            text += fmt::format(" slope={}", layer.slope);
        }
        if (layer.dropout > 0) {
            text += fmt::format(" dropout={}", layer.dropout);
        }
        if (layer.normalisation != Normalisation::none) {
            text += layer.normalisation == Normalisation::batch
                        ? " norm=batch"
                        : fmt::format(" norm=virtual:{}", layer.reference_rows);
        }
        if (layer.closeness_columns > 0) {
            text += fmt::format(" closeness={}x{}", layer.closeness_columns, layer.closeness_size);
        }
        if (!layer.trained) {
            text += " fixed";
        }
        text += fmt::format(" @{}", layer.module_index);
    }
    return text;
}

NetworkShape network_shape_from_description(const std::string& description) {
    const auto refuse = [&](const std::string& what) -> NetworkShape {
        throw std::runtime_error(fmt::format(
            "network description '{}': {}; write it as '64>256 relu @0; 256>10 identity @2'",
            description, what));
    };
    NetworkShape shape;
    std::istringstream layers(description);
    for (std::string text; std::getline(layers, text, ';');) {
        std::istringstream words(text);
        LayerShape layer;
        char arrow = 0;
        std::string word;
        if (!(words >> layer.inputs >> arrow >> layer.outputs >> word) || arrow != '>' ||
            layer.inputs < 1 || layer.outputs < 1) {
            return refuse("a layer does not begin with 'inputs>outputs activation'");
        }
        layer.activation = activation_from_name(word);
        bool placed = false;
        while (words >> word) {
            try {
                if (word.rfind("slope=", 0) == 0) {
                    layer.slope = std::stof(word.substr(6));
                } else if (word.rfind("dropout=", 0) == 0) {
                    layer.dropout = std::stof(word.substr(8));
                } else if (word == "norm=batch") {
                    layer.normalisation = Normalisation::batch;
                } else if (word.rfind("norm=virtual:", 0) == 0) {
                    layer.normalisation = Normalisation::virtual_batch;
                    layer.reference_rows = std::stoll(word.substr(13));
                } else if (word.rfind("closeness=", 0) == 0 &&
                           word.find('x') != std::string::npos) {
                    layer.closeness_columns = std::stoll(word.substr(10));
                    layer.closeness_size = std::stoll(word.substr(word.find('x') + 1));
                    if (layer.closeness_columns < 1 || layer.closeness_size < 1) {
                        return refuse("bad number in '" + word + "'");
                    }
                } else if (word == "fixed") {
                    layer.trained = false;
                } else if (word[0] == '@') {
                    layer.module_index = std::stoi(word.substr(1));
                    placed = true;
                } else {
                    return refuse("unknown word '" + word + "'");
                }
            } catch (const std::logic_error&) {
                return refuse("bad number in '" + word + "'");
            }
        }
        if (!placed) {
            return refuse("a layer has no '@module index'");
        }
        if (!shape.layers.empty() && shape.layers.back().width() != layer.inputs) {
            return refuse("the widths of neighbouring layers differ");
        }
        shape.layers.push_back(layer);
    }
    return shape.layers.empty() ? refuse("no layer") : shape;
}

} // namespace patchforge
