// What a network looks like, without any memory: its layers, what each of them reads, and the names
// that PyTorch's nn.Sequential would give their tensors. docs/formats.md specifies the text.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "host/network/layer.h"
#include "kernels/operations/activation.h"

namespace patchforge {

// What stands between a layer and its activation. Of flat values batch and virtual_batch are those of
// kernels/operations/normalise.h; everything else is kernels/operations/normalise_maps.h.
enum class Normalisation { none, batch, virtual_batch, instance, group };

// A layer with what follows it: activation(normalise(layer(x))), then dropout.
struct LayerShape {
    std::int64_t inputs = 0; // numbers that it reads and gives
    std::int64_t outputs = 0;
    Activation activation = Activation::identity;
    float slope = 0.2f;   // of leaky_relu
    float dropout = 0;    // probability, active in training only
    int module_index = 0; // in nn.Sequential: its tensors are `<index>.weight`, `.bias`
    Normalisation normalisation = Normalisation::none;
    std::int64_t reference_rows = 0; // of a virtual batch: the first rows of every training batch
    // false: weight, bias and what normalises are given once, and no step changes them: batches are
    // normalised by the running statistics in training, too.
    bool trained = true;
    LayerPointer layer{}; // what computes; none: Linear
    // Layers whose values it reads, input -1; none: the layer before.
    std::vector<int> from{};
    bool bias = true;
    bool affine = true;    // what is normalised is scaled and shifted, unless by instance
    bool spectral = false; // weights are divided by their largest singular value
    float deviation = 0;   // of normal initial weights, with biases of 0; 0: the usual uniform ones
    bool head = false;     // an output of the network beside the last layer
    int groups = 1;        // of group normalisation
    std::string name{};    // that later layers read it by

    Extent out() const { return layer ? layer->out() : flat(outputs); }
    // Whether one operation gives the gradient by its weights and takes Adam's step with it.
    bool fuses_weights() const { return !spectral && !(layer && layer->backward_at_once()); }
    bool has_affine() const {
        return affine && normalisation != Normalisation::none &&
               normalisation != Normalisation::instance;
    }
    SpectralMatrix spectral_matrix() const {
        return layer ? layer->spectral_matrix() : SpectralMatrix{1, outputs, inputs};
    }
    bool is_linear() const;
    bool follows() const { return layer && layer->follows(); }
    // Whether it has weights, which it has unless `layer` is one without.
    bool has_weights() const { return !layer || !layer->weight_shape().empty(); }
    std::vector<std::int64_t> weight_shape() const;
    std::int64_t fan_in() const { return layer ? layer->fan_in() : inputs; }

    std::string weight_name() const {
        return std::to_string(module_index) + "." + (layer ? layer->weight_name() : "weight");
    }
    std::string bias_name() const { return std::to_string(module_index) + ".bias"; }
    // Of the nn.BatchNorm behind the layer; of a learned matrix that nn.Sequential has no module
    // for.
    std::string normalisation_name(const char* tensor) const {
        return std::to_string(module_index + 1) + "." + tensor;
    }
    std::string spectral_name(const char* vector) const { // "u", "v", as nn.utils.spectral_norm
        return weight_name() + "_" + vector;
    }
};

struct NetworkShape {
    std::vector<LayerShape> layers;
    Extent in{}; // of the pictures that it reads; none: flat

    std::int64_t inputs() const { return layers.front().inputs; }
    std::int64_t outputs() const { return layers.back().outputs; }
    std::int64_t parameter_count() const; // of what is trained
    // What layer l reads: -1 the input, else a layer.
    std::vector<int> sources(std::int64_t l) const;
    // Of its random streams and in messages: that of the layer which it follows, if it does.
    std::int64_t number(std::int64_t l) const;
    // The layers whose values are the network's: those that say so, then the last.
    std::vector<int> heads() const;
    // Each layer reads the one before alone.
    bool is_chain() const;
};

// Linear, activation [, Dropout] for each of `hidden`, then a last Linear and `output` activation.
// Module indices count as in
//     nn.Sequential(Linear, LeakyReLU, Dropout, Linear, LeakyReLU, Dropout, Linear, Sigmoid)
// `dropout_modules` says whether a Dropout stands behind each hidden activation, so that a
// probability of 0 does not rename the tensors.
NetworkShape multilayer_perceptron(std::int64_t inputs, const std::vector<std::int64_t>& hidden,
                                   std::int64_t outputs, Activation hidden_activation, float slope,
                                   bool dropout_modules, float dropout, Activation output);

// Behind the last layer: its values and so many columns of minibatch discrimination, of `size` numbers each
// (layers/closeness.cpp), flat.
void append_closeness(NetworkShape& shape, std::int64_t columns, std::int64_t size);

// Names of activations as options and files spell them: "identity", "relu", "leaky_relu", "tanh",
// "sigmoid". activation_from_name throws std::invalid_argument for others.
const char* activation_name(Activation activation);
Activation activation_from_name(const std::string& name);

// A shape as one line of text, and back: kept in the metadata of a checkpoint, so that a weights
// file alone is enough to build its network, and what --network takes. E.g.
//     64>256 relu @0; 256>7500 tanh @2
//     3x50x50; conv 3>16 k3 p1 nobias norm=batch relu; pool max k2; linear 9216>2
// Throws std::runtime_error saying which layer is wrong, and how.
std::string describe(const NetworkShape& shape);
std::string layer_text(const NetworkShape& shape, std::int64_t layer); // of that, one layer
NetworkShape network_shape_from_description(const std::string& description);

} // namespace patchforge
