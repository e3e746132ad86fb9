// What a fully connected network looks like, without any memory: its layers, and the names that
// PyTorch's nn.Sequential would give their tensors.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/operations/activation.h"

namespace patchforge {

// One Linear with what follows it: activation(x weight^T + bias), then dropout.
struct LayerShape {
    std::int64_t inputs = 0;
    std::int64_t outputs = 0;
    Activation activation = Activation::identity;
    float slope = 0.2f;  // of leaky_relu
    float dropout = 0;   // probability, active in training only
    int module_index = 0; // of the Linear in nn.Sequential: its tensors are `<index>.weight`, `.bias`

    std::string weight_name() const { return std::to_string(module_index) + ".weight"; }
    std::string bias_name() const { return std::to_string(module_index) + ".bias"; }
};

struct NetworkShape {
    std::vector<LayerShape> layers;

    std::int64_t inputs() const { return layers.front().inputs; }
    std::int64_t outputs() const { return layers.back().outputs; }
    std::int64_t parameter_count() const;
};

// Linear, activation [, Dropout] for each of `hidden`, then a last Linear and `output` activation.
// Module indices count as in
//     nn.Sequential(Linear, LeakyReLU, Dropout, Linear, LeakyReLU, Dropout, Linear, Sigmoid)
// `dropout_modules` says whether a Dropout stands behind each hidden activation, so that a
// probability of 0 does not rename the tensors.
NetworkShape multilayer_perceptron(std::int64_t inputs, const std::vector<std::int64_t>& hidden,
                                   std::int64_t outputs, Activation hidden_activation, float slope,
                                   bool dropout_modules, float dropout, Activation output);

// Names of activations as options and files spell them: "identity", "relu", "leaky_relu", "tanh",
// "sigmoid". activation_from_name throws std::invalid_argument for others.
const char* activation_name(Activation activation);
Activation activation_from_name(const std::string& name);

// A shape as one line of text, and back: kept in the metadata of a checkpoint, so that a weights
// file alone is enough to build its network. E.g. "64>256 relu @0; 256>7500 tanh @2".
std::string describe(const NetworkShape& shape);
NetworkShape network_shape_from_description(const std::string& description);

} // namespace patchforge
