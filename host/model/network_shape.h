// What a fully connected network looks like, without any memory: its layers, and the names that
// PyTorch's nn.Sequential would give their tensors.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/operations/activation.h"

namespace patchforge {

// What stands between a Linear and its activation (kernels/operations/normalise.h).
enum class Normalisation { none, batch, virtual_batch };

// One Linear with what follows it: activation(normalise(x weight^T + bias)), then dropout, then
// minibatch discrimination, which appends its columns to the output.
struct LayerShape {
    std::int64_t inputs = 0;
    std::int64_t outputs = 0;
    Activation activation = Activation::identity;
    float slope = 0.2f; // of leaky_relu
    float dropout = 0;  // probability, active in training only
    int module_index =
        0; // of the Linear in nn.Sequential: its tensors are `<index>.weight`, `.bias`
    Normalisation normalisation = Normalisation::none;
    std::int64_t reference_rows = 0; // of a virtual batch: the first rows of every training batch
    bool trained = true; // false: weight and bias are given once and no step changes them
    // Minibatch discrimination (kernels/operations/minibatch.h): columns appended, and numbers a
    // column is made of. 0: none.
    std::int64_t closeness_columns = 0;
    std::int64_t closeness_size = 0;

    std::int64_t width() const { return outputs + closeness_columns; } // the next layer's inputs
    bool plain() const { return normalisation == Normalisation::none && closeness_columns == 0; }

    std::string weight_name() const { return std::to_string(module_index) + ".weight"; }
    std::string bias_name() const { return std::to_string(module_index) + ".bias"; }
    // Of the nn.BatchNorm1d behind the Linear; of a learned matrix that nn.Sequential has no module
    // for.
    std::string normalisation_name(const char* tensor) const {
        return std::to_string(module_index + 1) + "." + tensor;
    }
    std::string closeness_name() const {
        return std::to_string(module_index) + ".closeness_weight";
    }
};

struct NetworkShape {
    std::vector<LayerShape> layers;

    std::int64_t inputs() const { return layers.front().inputs; }
    std::int64_t outputs() const { return layers.back().outputs; }
    std::int64_t parameter_count() const; // of what is trained
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
// file alone is enough to build its network. E.g. "64>256 relu @0; 256>7500 tanh @2". Further
// words: slope=, dropout=, norm=batch or virtual:<reference rows>, closeness=<columns>x<size>,
// fixed (not trained).
std::string describe(const NetworkShape& shape);
NetworkShape network_shape_from_description(const std::string& description);

} // namespace patchforge
