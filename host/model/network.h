// A network on a device: its weights with Adam's moments, and passes through it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "host/model/network_shape.h"
#include "kernels/backend.h"

namespace patchforge {

struct TensorFile;

// All tensors of a network in one allocation, each beginning at a multiple of 64 floats, so that one
// operation can treat them as a whole and 16-byte access is always aligned. The moments lie in the
// same places of two further allocations.
class Network {
  public:
    Network(Backend& backend, NetworkShape shape);

    const NetworkShape& shape() const { return shape_; }
    Backend& backend() const { return *backend_; }
    std::int64_t layer_count() const { return static_cast<std::int64_t>(shape_.layers.size()); }

    // nn.Linear's initialisation: weight and bias uniform in +-1/sqrt(inputs). Tensor t of the network
    // draws from purpose initial_weights + 256 * (2 * network_number + weight or bias) + layer.
    void initialise(std::uint64_t seed, std::uint32_t network_number);

    Matrix<float> weight(std::int64_t layer) const;
    Vector<float> bias(std::int64_t layer) const;
    AdamTensor weight_state(std::int64_t layer) const;
    AdamTensor bias_state(std::int64_t layer) const;
    // Everything, padding included (which stays zero).
    AdamTensor all() const;

    // Weights by PyTorch's names, with the shape's description in the metadata under "network".
    TensorFile weights() const;
    // Moments as `first_moment.<name>` and `second_moment.<name>`.
    TensorFile moments() const;
    // Every tensor of the network must be in the file with the right shape, and nothing else. `what`
    // names the file in errors.
    void load_weights(const TensorFile& file, const std::string& what);
    void load_moments(const TensorFile& file, const std::string& what);

  private:
    struct Place {
        std::string name;
        std::vector<std::int64_t> shape;
        std::int64_t offset = 0;
        std::int64_t size = 0;
    };
    TensorFile save(const DeviceArray<float>& values, const std::string& prefix) const;
    void load(const TensorFile& file, const std::string& prefix, const std::string& what,
              DeviceArray<float>& values);

    Backend* backend_;
    NetworkShape shape_;
    std::vector<Place> places_; // weight, bias of layer 0, of layer 1, ...
    DeviceArray<float> values_;
    DeviceArray<float> first_moments_;
    DeviceArray<float> second_moments_;
};

// Where a training pass takes its dropout masks from. Layer l draws from purpose + l. In evaluation
// mode nothing is dropped.
struct DropoutSource {
    bool training = false;
    std::uint64_t seed = 0;
    std::uint32_t purpose = 0;
    StepCount draw;
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

    // Output of a layer in the last forward pass.
    Matrix<float> output(std::int64_t layer) const { return outputs_[layer]; }
    // The epilogue that made it.
    const Epilogue& epilogue(std::int64_t layer) const { return epilogues_[layer]; }
    // Where the gradient by the last layer's z (before its epilogue) goes before a backward pass.
    Matrix<float> output_gradient() { return gradient(network_->layer_count() - 1); }

    // The backward passes start from output_gradient().
    // Every parameter takes an Adam step; nothing is computed for the input.
    void backward_update(Network& network, const Adam& adam);
    // d_input [B, inputs]: gradient by whatever `previous` made the input of; no parameter changes.
    void backward_input(Matrix<float> d_input, const Epilogue& previous = {});
    // Gradients of all parameters, laid out as Network::all(), added when `accumulate`; d_input too if
    // not empty.
    void backward_gradients(Vector<float> gradients, bool accumulate, Matrix<float> d_input = {},
                            const Epilogue& previous = {});

  private:
    Matrix<float> gradient(std::int64_t layer) const;

    const Network* network_;
    std::int64_t rows_ = 0;
    Matrix<const float> input_;
    std::vector<DeviceArray<float>> output_memory_;
    std::vector<DeviceArray<float>> gradient_memory_;
    std::vector<Matrix<float>> outputs_;
    std::vector<Epilogue> epilogues_;
};

} // namespace patchforge
