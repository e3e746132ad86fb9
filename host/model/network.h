// A network on a device: its weights with Adam's moments, and passes through it.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "host/model/network_shape.h"
#include "kernels/backend.h"

namespace patchforge {

struct TensorFile;

// All tensors of a network in one allocation: first what is trained, each tensor beginning at a
// multiple of 64 floats, so that one operation can treat them as a whole and 16-byte access is
// always aligned; then the statistics of normalisation; then the layers that are fixed. The moments
// lie in the same places of two further allocations.
class Network {
  public:
    Network(Backend& backend, NetworkShape shape);

    const NetworkShape& shape() const { return shape_; }
    Backend& backend() const { return *backend_; }
    std::int64_t layer_count() const { return static_cast<std::int64_t>(shape_.layers.size()); }
    // No normalisation and no minibatch discrimination: Linear layers and their epilogues.
    bool plain() const;
    // The lowest layer that is trained: gradients need not go further down.
    std::int64_t first_trained() const;

    // nn.Linear's initialisation: weight and bias uniform in +-1/sqrt(inputs). Tensor t of the
    // network draws from purpose initial_weights + 256 * (2 * network_number + weight or bias) +
    // layer. Normalisation begins with scale 1, shift 0, mean 0, variance 1; the matrix of
    // minibatch discrimination is N(0, 1 / inputs).
    void initialise(std::uint64_t seed, std::uint32_t network_number);

    Matrix<float> weight(std::int64_t layer) const;
    Vector<float> bias(std::int64_t layer) const;
    AdamTensor weight_state(std::int64_t layer) const;
    AdamTensor bias_state(std::int64_t layer) const;
    // Of a normalised layer: scale, shift [outputs] and the running mean and variance [2, outputs]
    // (for a virtual batch: the reference's last ones).
    Vector<float> scale(std::int64_t layer) const;
    Vector<float> shift(std::int64_t layer) const;
    Matrix<float> running_statistics(std::int64_t layer) const;
    // Of minibatch discrimination: [columns * size, outputs].
    Matrix<float> closeness_weight(std::int64_t layer) const;

    // Everything that is trained, padding included (which stays zero).
    AdamTensor all() const;
    // What training changes: all() and the statistics of normalisation.
    Vector<float> state() const;
    // Where a trained tensor's gradient lies in a gradient laid out as all().
    float* gradient_of(Vector<float> gradients, const float* tensor) const {
        return gradients.data + (tensor - values_.data());
    }

    // Weights by PyTorch's names, with the shape's description in the metadata under "network".
    TensorFile weights() const;
    // Moments as `first_moment.<name>` and `second_moment.<name>`.
    TensorFile moments() const;
    // Every tensor of the network must be in the file with the right shape, and nothing else.
    // `what` names the file in errors.
    void load_weights(const TensorFile& file, const std::string& what);
    void load_moments(const TensorFile& file, const std::string& what);

  private:
    struct Place {
        std::string name;
        std::vector<std::int64_t> shape;
        std::int64_t offset = 0;
        std::int64_t size = 0;
    };
    enum class Role { weight, bias, scale, shift, mean, variance, closeness, count };
    const Place& place(std::int64_t layer, Role role) const;
    float* at(std::int64_t layer, Role role) const {
        return values_.data() + place(layer, role).offset;
    }
    TensorFile save(const DeviceArray<float>& values, const std::string& prefix,
                    std::int64_t end) const;
    void load(const TensorFile& file, const std::string& prefix, const std::string& what,
              DeviceArray<float>& values);

    Backend* backend_;
    NetworkShape shape_;
    std::vector<Place> places_;                                                 // by offset
    std::vector<std::array<int, static_cast<std::size_t>(Role::count)>> index_; // into places_
    std::int64_t trained_size_ = 0;
    std::int64_t state_size_ = 0;
    DeviceArray<float> values_;
    DeviceArray<float> first_moments_;
    DeviceArray<float> second_moments_;
};

// How a training pass differs from evaluation. Dropout: layer l draws its mask from purpose + l.
// The rows are `groups` equal parts, each normalised and compared within itself (real patches and
// fakes in one batch, say), behind the reference rows if the network has a virtual batch. Batch
// statistics go into the running ones, group by group.
struct DropoutSource {
    bool training = false;
    std::uint64_t seed = 0;
    std::uint32_t purpose = 0;
    StepCount draw;
    std::int64_t groups = 1;
};

// One way through a network: the outputs of every layer of the last forward pass, kept for the
// backward one. Several passes may share a network.
class Pass {
  public:
    // Room for up to maximum_rows. Without `backward` no room for gradients is taken.
    Pass(const Network& network, std::int64_t maximum_rows, bool backward = true);

    // Runs the network on input [B, inputs]; returns the last layer's output [B, outputs], which is
    // `output` if given. Input and output must stay as they are until the backward pass is done.
    Matrix<float> forward(Matrix<const float> input, const DropoutSource& dropout = {},
                          Matrix<float> output = {});

    // As if the last forward pass had run on these rows of its input alone: the backward pass then
    // is theirs. For plain networks without dropout, whose rows know nothing of each other.
    void keep_rows(std::int64_t first, std::int64_t count);

    // Output of a layer in the last forward pass, [B, outputs], before what is appended to it.
    Matrix<float> output(std::int64_t layer) const { return outputs_[layer]; }
    // The epilogue that made it.
    const Epilogue& epilogue(std::int64_t layer) const { return epilogues_[layer]; }
    // Gradient by what enters a layer's epilogue, as the last backward pass left it.
    Matrix<float> gradient(std::int64_t layer) const;
    // Where the gradient by the last layer's z (before its epilogue) goes before a backward pass.
    Matrix<float> output_gradient() { return gradient(network_->layer_count() - 1); }

    // The backward passes start from output_gradient(), or from gradient(from) if `from` is given.
    // Every parameter takes an Adam step, fused with its gradient; nothing is computed for the
    // input. For plain networks.
    void backward_update(Network& network, const Adam& adam);
    // d_input [B, inputs]: gradient by whatever `previous` made the input of; no parameter changes.
    void backward_input(Matrix<float> d_input, const Epilogue& previous = {},
                        std::int64_t from = -1);
    // Gradients of all parameters, laid out as Network::all(), added when `accumulate`; d_input too
    // if not empty.
    void backward_gradients(Vector<float> gradients, bool accumulate, Matrix<float> d_input = {},
                            const Epilogue& previous = {});

  private:
    // What one layer keeps of a forward pass; empty where the layer has no use for it.
    struct LayerMemory {
        DeviceArray<float> output;
        DeviceArray<float> gradient;
        DeviceArray<float> before_normalisation; // z [B, outputs]
        DeviceArray<float> statistics;           // [groups, 2, outputs]
        DeviceArray<float> closeness_features;   // m [B, columns * size]
        DeviceArray<float> closeness;            // o [B, columns]
        DeviceArray<float> width;                // output and closeness side by side
        DeviceArray<float> width_gradient;
        DeviceArray<float> features_gradient; // by m
        DeviceArray<float> through_features;  // [B, outputs]
        DeviceArray<float> unwanted;          // gradients of scale and shift nobody asked for
    };
    static constexpr std::int64_t maximum_groups = 2;

    void normalise(std::int64_t layer, const DropoutSource& dropout);
    void append_closeness(std::int64_t layer);
    // Turns gradient(layer) into the gradient by the Linear's output.
    void normalise_gradient(std::int64_t layer, Vector<float> gradients, bool accumulate);
    // The gradient by a layer's output and what is appended to it, in width_gradient, becomes
    // gradient(layer).
    void closeness_gradient(std::int64_t layer, Vector<float> gradients, bool accumulate);
    void backward(Vector<float> gradients, bool accumulate, Matrix<float> d_input,
                  const Epilogue& previous, std::int64_t from);
    Matrix<const float> input_of(std::int64_t layer) const;

    const LayerShape& shape(std::int64_t layer) const {
        return network_->shape().layers[static_cast<std::size_t>(layer)];
    }
    LayerMemory& memory(std::int64_t layer) { return memory_[static_cast<std::size_t>(layer)]; }
    // The rows of a group, behind the reference rows.
    std::int64_t group_rows() const { return rows_ / groups_; }

    const Network* network_;
    std::int64_t rows_ = 0;
    std::int64_t groups_ = 1;
    Matrix<const float> input_;
    std::vector<LayerMemory> memory_;
    std::vector<Matrix<float>> outputs_;
    std::vector<Epilogue> epilogues_;
};

} // namespace patchforge
