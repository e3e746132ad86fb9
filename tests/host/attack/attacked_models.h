// Small classifiers and sets to attack.
#pragma once

#include <cmath>
#include <cstdint>
#include <memory>
#include <random>
#include <vector>

#include "host/attack/attack_runner.h"
#include "host/files/safetensors.h"
#include "host/model/classifier_model.h"

namespace patchforge::testing {

// Weights one layer after the other: weight [out, in], bias [out].
inline std::unique_ptr<ClassifierModel> model_of(Backend& backend, NetworkShape shape,
                                                 ClassifierFormat format,
                                                 const std::vector<std::vector<float>>& values) {
    TensorFile file;
    std::size_t at = 0;
    for (const LayerShape& layer : shape.layers) {
        file.tensors.push_back(
            make_f32(layer.weight_name(), {layer.outputs, layer.inputs}, values.at(at++).data()));
        file.tensors.push_back(
            make_f32(layer.bias_name(), {layer.outputs}, values.at(at++).data()));
    }
    auto model = std::make_unique<ClassifierModel>(backend, std::move(shape), std::move(format));
    model->network().load_weights(file, "test");
    return model;
}

inline ClassifierFormat format_of(int channels, int height, int width, int classes,
                                  bool binary = false) {
    ClassifierFormat format{channels, height, width, {}, binary};
    for (int c = 0; c < classes; ++c) {
        format.class_names.push_back(std::to_string(c));
    }
    return format;
}

// Random weights, three times nn.Linear's bounds, so that answers differ between patches.
inline std::unique_ptr<ClassifierModel> random_model(Backend& backend,
                                                     const ClassifierFormat& format,
                                                     std::uint64_t seed,
                                                     Activation hidden = Activation::leaky_relu) {
    NetworkShape shape = multilayer_perceptron(format.pixels(), {16}, format.outputs(), hidden,
                                               0.2f, true, 0.5f, Activation::identity);
    std::mt19937_64 engine(seed);
    std::vector<std::vector<float>> values;
    for (const LayerShape& layer : shape.layers) {
        const double bound = 3 / std::sqrt(static_cast<double>(layer.inputs));
        for (const std::int64_t size : {layer.outputs * layer.inputs, layer.outputs}) {
            std::vector<float> tensor(static_cast<std::size_t>(size));
            for (float& v : tensor) {
                v = static_cast<float>(bound *
                                       (2.0 * static_cast<double>(engine() >> 11) * 0x1p-53 - 1));
            }
            values.push_back(tensor);
        }
    }
    return model_of(backend, std::move(shape), format, values);
}

// Random patches that the model is right about, but for every tenth.
inline AttackSet set_for(const ClassifierModel& model, std::int64_t count, std::uint64_t seed) {
    std::mt19937_64 engine(seed);
    AttackSet set;
    for (std::int64_t i = 0; i < count * model.pixels(); ++i) {
        set.levels.push_back(static_cast<std::uint8_t>(engine() >> 56));
    }
    set.labels = model.predictions(set.levels);
    for (std::size_t i = 9; i < set.labels.size(); i += 10) {
        set.labels[i] = static_cast<std::int32_t>((set.labels[i] + 1) % model.class_count());
    }
    return set;
}

} // namespace patchforge::testing
