// A network's forward pass in float64, layer by layer from the oracles of tests/oracle. What a layer
// computes is read from its text.
#pragma once

#include <map>
#include <sstream>

#include "host/files/safetensors.h"
#include "host/network/network.h"
#include "tests/oracle/activation.h"
#include "tests/oracle/condition.h"
#include "tests/oracle/convolution.h"
#include "tests/oracle/linear.h"
#include "tests/oracle/minibatch.h"
#include "tests/oracle/modulate.h"
#include "tests/oracle/normalise_maps.h"
#include "tests/oracle/pool.h"
#include "tests/oracle/resample.h"
#include "tests/oracle/spectral.h"

namespace patchforge::testing {

using oracle::DoubleMatrix;

// Tensors by their names.
using NetworkValues = std::map<std::string, std::vector<double>>;

inline NetworkValues values_of(const Network& network) {
    NetworkValues values;
    for (const Tensor& tensor : network.weights().tensors) {
        const auto data = f32(tensor);
        values[tensor.name] = {data.begin(), data.end()};
    }
    return values;
}

// "conv 3>16 k3 s2": the word at the front, and what stands behind each letter.
struct LayerText {
    std::string kind, second;
    std::map<char, int> numbers;
    bool crop = false;

    explicit LayerText(const std::string& text) {
        std::istringstream words(text);
        words >> kind;
        for (std::string word; words >> word;) {
            crop = crop || word == "crop";
            second = second.empty() ? word : second;
            if (word.size() > 1 && word.find('>') == std::string::npos &&
                std::isdigit(static_cast<unsigned char>(word[1])) != 0 &&
                std::isalpha(static_cast<unsigned char>(word[0])) != 0) {
                numbers[word[0]] = std::stoi(word.substr(1));
            }
        }
    }
    int number(char letter, int otherwise) const {
        return numbers.contains(letter) ? numbers.at(letter) : otherwise;
    }
};

inline DoubleMatrix layer_value(const LayerShape& layer, Extent in,
                                const std::vector<DoubleMatrix>& x, const NetworkValues& values) {
    const LayerText text(layer.layer->text());
    const auto weight = [&] { return values.at(layer.weight_name()); };
    const std::vector<double> bias =
        layer.has_weights() && layer.bias
            ? values.at(layer.bias_name())
            : std::vector<double>(static_cast<std::size_t>(layer.out().channels));
    if (text.kind == "conv" || text.kind == "depthwise" || text.kind == "transposed" ||
        text.kind == "upsampled") {
        ConvolutionShape shape;
        shape.kind = text.kind == "transposed"  ? ConvolutionKind::transposed
                     : text.kind == "upsampled" ? ConvolutionKind::upsampled
                                                : ConvolutionKind::convolution;
        shape.in = in;
        shape.out_channels = layer.out().channels;
        shape.kernel_height = shape.kernel_width = text.number('k', 3);
        shape.stride = text.number('s', 1);
        shape.padding = text.number('p', text.kind == "upsampled" ? 1 : 0);
        shape.dilation = text.number('d', 1);
        shape.groups = text.kind == "depthwise" ? in.channels : 1;
        shape.output_padding = text.crop ? -1 : text.number('o', 0);
        const std::vector<double> w = weight();
        return oracle::convolution(x[0], {1, static_cast<std::int64_t>(w.size()), w}, bias, shape)
            .value;
    }
    if (text.kind == "pool") {
        Pool pool;
        pool.in = in;
        pool.kind = text.second == "max"       ? PoolKind::maximum
                    : text.second == "average" ? PoolKind::average
                    : text.second == "sum"     ? PoolKind::adaptive_sum
                                               : PoolKind::adaptive_average;
        pool.kernel = text.number('k', 2);
        pool.stride = text.number('s', pool.kernel);
        pool.padding = text.number('p', 0);
        pool.out_height = pool.out_width = text.number('n', 1);
        return oracle::pool(x[0], pool);
    }
    if (text.kind == "add") {
        DoubleMatrix y = x[0];
        for (std::size_t e = 0; e < y.values.size(); ++e) {
            y.values[e] += x[1].values[e];
        }
        return y;
    }
    if (text.kind == "concat") {
        DoubleMatrix y(x[0].rows, x[0].columns + x[1].columns);
        for (std::int64_t row = 0; row < y.rows; ++row) {
            for (std::int64_t c = 0; c < y.columns; ++c) {
                y(row, c) = c < x[0].columns ? x[0](row, c) : x[1](row, c - x[0].columns);
            }
        }
        return y;
    }
    if (text.kind == "channels") {
        DoubleMatrix y(x[0].rows, layer.outputs);
        const std::int64_t first = std::stoi(text.second) * in.plane();
        for (std::int64_t row = 0; row < y.rows; ++row) {
            for (std::int64_t c = 0; c < y.columns; ++c) {
                y(row, c) = x[0](row, first + c);
            }
        }
        return y;
    }
    if (text.kind == "augment") {
        return oracle::augment_condition(x[0], x[1]);
    }
    if (text.kind == "dot") {
        return {x[0].rows, 1, oracle::row_dot(x[0], x[1])};
    }
    if (text.kind == "view") {
        return x[0];
    }
    if (text.kind.find('>') != std::string::npos) {
        return oracle::linear(x[0], {layer.outputs, layer.inputs, weight()}, bias).value;
    }
    Resample rule;
    rule.in = in;
    rule.kind = text.kind == "nearest"    ? ResampleKind::nearest
                : text.kind == "bilinear" ? ResampleKind::bilinear
                : text.kind == "reflect"  ? ResampleKind::reflection_padding
                : text.kind == "shuffle"  ? ResampleKind::shuffle
                                          : ResampleKind::zero_padding;
    if (text.kind == "nearest" || text.kind == "bilinear") {
        rule.bottom = rule.right = text.crop ? -1 : 0;
    } else if (text.kind == "pad" || text.kind == "reflect") {
        rule.top = rule.left = rule.bottom = rule.right = std::stoi(text.second);
    } else if (text.kind == "crop") {
        rule.top = -((in.height - layer.out().height) / 2);
        rule.left = -((in.width - layer.out().width) / 2);
        rule.bottom = layer.out().height - in.height - rule.top;
        rule.right = layer.out().width - in.width - rule.left;
    } else {
        rule.factor = std::stoi(text.second);
    }
    return oracle::resample(rule).forward(x[0]);
}

inline DoubleMatrix rows_of(const DoubleMatrix& x, std::int64_t first, std::int64_t count) {
    return {count, x.columns,
            std::vector<double>(x.values.begin() + first * x.columns,
                                x.values.begin() + (first + count) * x.columns)};
}

// Between layer and what it reads: noise and what steers maps, the deviation of a batch. Noise is that of
// pictures 0, 1, ... of seed 0.
inline bool is_modulation(const std::string& kind) {
    return kind == "film" || kind == "noise" || kind == "deviation";
}

inline DoubleMatrix modulated(const LayerShape& layer, std::int64_t number, Extent in,
                              const std::vector<DoubleMatrix>& x, const NetworkValues& values,
                              std::int64_t groups) {
    const LayerText text(layer.layer->text());
    if (text.kind == "deviation") {
        DoubleMatrix y(x[0].rows, layer.outputs);
        const std::int64_t rows = x[0].rows / groups;
        for (std::int64_t group = 0; group < groups; ++group) {
            const DoubleMatrix of_part = oracle::append_deviation(rows_of(x[0], group * rows, rows),
                                                                  in, std::stoi(text.second));
            std::copy(of_part.values.begin(), of_part.values.end(),
                      y.values.begin() + group * rows * y.columns);
        }
        return y;
    }
    const auto strength =
        layer.has_weights() ? values.at(layer.weight_name()) : std::vector<double>{};
    return oracle::modulate(
        x[0], in, x.size() > 1 ? x[1] : DoubleMatrix(0, 0), strength,
        {0, purpose_of_layer(static_cast<std::uint32_t>(Purpose::picture_noise), number), 0});
}

// Minibatch discrimination: x, and how close its rows are to the others of their group.
inline DoubleMatrix compared(const LayerShape& layer, const DoubleMatrix& x,
                             const NetworkValues& values, std::int64_t groups) {
    const std::int64_t columns = layer.outputs - layer.inputs, rows = x.rows / groups;
    const std::int64_t numbers = layer.weight_shape()[0];
    const DoubleMatrix m =
        oracle::linear(x, {numbers, layer.inputs, values.at(layer.weight_name())},
                       std::vector<double>(static_cast<std::size_t>(numbers)))
            .value;
    DoubleMatrix wide(x.rows, layer.outputs);
    for (std::int64_t group = 0; group < groups; ++group) {
        const DoubleMatrix o = oracle::minibatch_closeness(rows_of(m, group * rows, rows), columns);
        for (std::int64_t r = 0; r < rows; ++r) {
            for (std::int64_t c = 0; c < layer.outputs; ++c) {
                wide(group * rows + r, c) =
                    c < layer.inputs ? x(group * rows + r, c) : o(r, c - layer.inputs);
            }
        }
    }
    return wide;
}

// The layer's weights by their singular value along the vectors that the file holds.
inline void divide_by_singular_value(const LayerShape& layer, NetworkValues& values) {
    std::vector<double>& weight = values.at(layer.weight_name());
    weight =
        oracle::spectral_normalise(weight, values.at(layer.spectral_name("u")),
                                   values.at(layer.spectral_name("v")), layer.spectral_matrix(), 0)
            .y;
}

inline DoubleMatrix normalised(const LayerShape& layer, const DoubleMatrix& z,
                               const NetworkValues& values, bool training, std::int64_t groups) {
    const auto named = [&](const char* tensor) {
        const auto found = values.find(layer.normalisation_name(tensor));
        return found == values.end() ? std::vector<double>{} : found->second;
    };
    MapSets sets{layer.out(), 1, 1};
    if (layer.normalisation == Normalisation::batch) {
        sets.rows = z.rows / groups;
    } else if (layer.normalisation == Normalisation::group) {
        sets.channels = layer.out().channels / layer.groups;
    }
    const auto scale = named("weight"), shift = named("bias");
    if (layer.normalisation != Normalisation::batch || training) {
        return oracle::normalise_maps(z, sets, scale, shift).y;
    }
    const auto mean = named("running_mean"), variance = named("running_var");
    DoubleMatrix y = z;
    for (std::int64_t row = 0; row < z.rows; ++row) {
        for (std::int64_t e = 0; e < z.columns; ++e) {
            const auto c = static_cast<std::size_t>(e / layer.out().plane());
            y(row, e) = (z(row, e) - mean[c]) / std::sqrt(variance[c] + double{1e-5f}) *
                            (scale.empty() ? 1 : scale[c]) +
                        (shift.empty() ? 0 : shift[c]);
        }
    }
    return y;
}

// The values of all layers, without dropout (layers_test.cpp has it).
inline std::vector<DoubleMatrix> layer_values(const NetworkShape& shape, NetworkValues values,
                                              const DoubleMatrix& input, bool training,
                                              std::int64_t groups = 1) {
    std::vector<DoubleMatrix> outputs;
    for (std::int64_t l = 0; l < std::ssize(shape.layers); ++l) {
        const LayerShape& layer = shape.layers[static_cast<std::size_t>(l)];
        std::vector<DoubleMatrix> x;
        for (const int source : shape.sources(l)) {
            x.push_back(source < 0 ? input : outputs[static_cast<std::size_t>(source)]);
        }
        const int first = shape.sources(l).front();
        const Extent in =
            first < 0 ? shape.in : shape.layers[static_cast<std::size_t>(first)].out();
        if (layer.spectral) {
            divide_by_singular_value(layer, values);
        }
        DoubleMatrix z = layer.follows() ? compared(layer, x[0], values, groups)
                         : is_modulation(LayerText(layer.layer->text()).kind)
                             ? modulated(layer, shape.number(l), in, x, values, groups)
                             : layer_value(layer, in, x, values);
        if (layer.normalisation != Normalisation::none) {
            z = normalised(layer, z, values, training && layer.trained, groups);
        }
        for (double& value : z.values) {
            value = oracle::activation_value(layer.activation, layer.slope, value);
        }
        outputs.push_back(z);
    }
    return outputs;
}
inline DoubleMatrix network_output(const NetworkShape& shape, const NetworkValues& values,
                                   const DoubleMatrix& input, bool training,
                                   std::int64_t groups = 1) {
    return layer_values(shape, values, input, training, groups).back();
}

} // namespace patchforge::testing
