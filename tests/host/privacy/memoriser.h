// A generator that knows patches by heart: its one number walks over them, standing at each for a while.
#pragma once

#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

#include "host/files/safetensors.h"
#include "host/model/image_generator.h"
#include "host/network/network.h"

namespace patchforge::testing {

// patches: [count, pixels of format]. Codes are uniform in [-1, 1]; all but a tenth of them give a patch
// back, to a level or two. tanh(c_0 + sum over k of (c_k - c_k-1) (relu(z - b_k) - relu(z - b_k - w)) / w),
// c_k being atanh of patch k and b_k where it begins.
inline TensorFile memorising_generator(Backend& backend, std::span<const std::uint8_t> patches,
                                       const GeneratorFormat& like) {
    GeneratorFormat format = like;
    format.latent = "uniform";
    format.classes.clear();
    const auto pixels = static_cast<std::size_t>(format.channels * format.height * format.width);
    const std::size_t count = patches.size() / pixels, hidden = 2 * (count - 1);
    Network network(backend,
                    multilayer_perceptron(1, {static_cast<std::int64_t>(hidden)},
                                          static_cast<std::int64_t>(pixels), Activation::relu, 0,
                                          false, 0, Activation::tanh));
    const auto before_tanh = [&](std::size_t patch, std::size_t pixel) {
        const double unit = patches[patch * pixels + pixel] / 127.5 - 1;
        return std::atanh(std::clamp(unit, -0.99, 0.99));
    };
    const double width = 0.2 / static_cast<double>(count);
    std::vector<float> in_weight(hidden, 1.0f), in_bias(hidden), out_weight(pixels * hidden),
        out_bias(pixels);
    for (std::size_t k = 1; k < count; ++k) {
        const double begin = -1 + 2 * static_cast<double>(k) / static_cast<double>(count);
        in_bias[2 * k - 2] = static_cast<float>(-begin);
        in_bias[2 * k - 1] = static_cast<float>(-begin - width);
        for (std::size_t p = 0; p < pixels; ++p) {
            const double rise = (before_tanh(k, p) - before_tanh(k - 1, p)) / width;
            out_weight[p * hidden + 2 * k - 2] = static_cast<float>(rise);
            out_weight[p * hidden + 2 * k - 1] = static_cast<float>(-rise);
        }
    }
    for (std::size_t p = 0; p < pixels; ++p) {
        out_bias[p] = static_cast<float>(before_tanh(0, p));
    }
    const auto &first = network.shape().layers[0], &last = network.shape().layers[1];
    const auto wide = static_cast<std::int64_t>(hidden), out = static_cast<std::int64_t>(pixels);
    TensorFile file{"memoriser",
                    {make_f32(first.weight_name(), {wide, 1}, in_weight.data()),
                     make_f32(first.bias_name(), {wide}, in_bias.data()),
                     make_f32(last.weight_name(), {out, wide}, out_weight.data()),
                     make_f32(last.bias_name(), {out}, out_bias.data())},
                    {}};
    network.load_weights(file, "memoriser");
    file = network.weights();
    format.write(file);
    return file;
}

} // namespace patchforge::testing
