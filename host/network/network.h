// A network on a device: its weights with Adam's moments, and passes through it.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "host/network/network_shape.h"
#include "kernels/backend.h"

namespace patchforge {

struct TensorFile;

// The purpose of a layer's stream: those of different layers never coincide, whatever the base.
constexpr std::uint32_t purpose_of_layer(std::uint32_t base, std::int64_t layer) {
    const auto number = static_cast<std::uint32_t>(layer);
    return number < 32 ? base + number : base + (number << 16);
}

// The streams of initial weights, of networks 0 to 127.
enum class WeightUse : std::uint32_t { weight, bias, closeness, spectral };
constexpr std::uint32_t purpose_of_weights(std::uint32_t network_number, WeightUse use,
                                           std::int64_t layer) {
    // Streams of the first 32 layers end at 31, so that 64 and 128 of the weight's are nobody else's.
    const std::uint32_t tensor = use == WeightUse::bias ? 1 : 0;
    return purpose_of_layer(static_cast<std::uint32_t>(Purpose::initial_weights) +
                                256 * (2 * network_number + tensor + 1) +
                                (use == WeightUse::closeness  ? 64
                                 : use == WeightUse::spectral ? 128
                                                              : 0),
                            layer);
}

// All tensors of a network in one allocation: first what is trained, each tensor beginning at a
// multiple of 64 floats, so that one operation can treat them as a whole and 16-byte access is
// always aligned; then the statistics of normalisation; then the layers that are fixed, with theirs. The moments
// lie in the same places of two further allocations.
class Network {
  public:
    Network(Backend& backend, NetworkShape shape);

    const NetworkShape& shape() const { return shape_; }
    Backend& backend() const { return *backend_; }
    std::int64_t layer_count() const { return static_cast<std::int64_t>(shape_.layers.size()); }
    // A chain of Linear layers and their epilogues: a row knows nothing of other rows.
    bool plain_chain() const;
    // Whether something is trained in a layer or below it.
    bool trains(std::int64_t layer) const { return trains_[static_cast<std::size_t>(layer)]; }

    // PyTorch's initialisation: weight and bias uniform in +-1/sqrt(fan in), each from its stream
    // (purpose_of_weights). Normalisation begins with scale 1, shift 0, mean 0, variance 1.
    void initialise(std::uint64_t seed, std::uint32_t network_number);

    // Of a layer with weights; [first length, all others]. The bias may be empty.
    Matrix<float> weight(std::int64_t layer) const;
    Vector<float> bias(std::int64_t layer) const;
    AdamTensor weight_state(std::int64_t layer) const { return state_at(layer, Role::weight); }
    AdamTensor bias_state(std::int64_t layer) const { return state_at(layer, Role::bias); }
    AdamTensor affine_state(std::int64_t layer) const; // from the scale to the end of the shift
    // Of a normalised layer: scale, shift [channels], empty for instance normalisation, and of batch
    // normalisation the running mean and variance [2, channels] (for a virtual batch: the reference's
    // last ones).
    Vector<float> scale(std::int64_t layer) const;
    Vector<float> shift(std::int64_t layer) const;
    Matrix<float> running_statistics(std::int64_t layer) const;
    // Of spectral normalisation: the singular vectors that follow the weights, of unit length.
    Vector<float> spectral_u(std::int64_t layer) const { return vector_at(layer, Role::u); }
    Vector<float> spectral_v(std::int64_t layer) const { return vector_at(layer, Role::v); }

    // Everything that is trained, padding included (which stays zero).
    AdamTensor all() const;
    // What training changes: all() and the statistics of normalisation.
    Vector<float> state() const;
    // The vectors of spectral normalisation, which training moves too; no average is one of them.
    Vector<float> singular_vectors() const;
    // Numbers of all() that belong to the layers before this one; those of a layer lie together.
    std::int64_t trained_before(std::int64_t layer) const;
    // Where a trained tensor's gradient lies in a gradient laid out as all().
    float* gradient_of(Vector<float> gradients, const float* tensor) const {
        return gradients.data + (tensor - values_.data());
    }

    // Weights by PyTorch's names, with the shape's description in the metadata under "network".
    TensorFile weights() const;
    // Moments as `<prefix>first_moment.<name>` and `<prefix>second_moment.<name>`.
    void add_moments(TensorFile& file, const std::string& prefix = "") const;
    // Every tensor of the network must be in the file with the right shape, and nothing else (of that prefix).
    // `what` names the file in errors.
    void load_weights(const TensorFile& file, const std::string& what);
    void load_moments(const TensorFile& file, const std::string& what,
                      const std::string& prefix = "");

  private:
    struct Place {
        std::string name;
        std::vector<std::int64_t> shape;
        std::int64_t offset = 0;
        std::int64_t size = 0;
    };
    enum class Role { weight, bias, scale, shift, mean, variance, u, v, count };
    const Place& place(std::int64_t layer, Role role) const;
    bool has(std::int64_t layer, Role role) const {
        return index_[static_cast<std::size_t>(layer)][static_cast<std::size_t>(role)] >= 0;
    }
    Vector<float> vector_at(std::int64_t layer, Role role) const;
    AdamTensor state_at(std::int64_t layer, Role role) const; // of what is trained
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
    std::vector<bool> trains_;
    std::int64_t trained_size_ = 0;
    std::int64_t state_size_ = 0;
    std::int64_t vectors_size_ = 0; // where the singular vectors end
    DeviceArray<float> values_;
    DeviceArray<float> first_moments_;
    DeviceArray<float> second_moments_;
};

} // namespace patchforge
