#include "host/network/network.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "host/files/safetensors.h"

namespace patchforge {

namespace {

constexpr std::int64_t alignment = 64;     // floats
constexpr int first_power_iterations = 15; // as PyTorch: from a random vector to a singular one

std::int64_t aligned(std::int64_t count) {
    return (count + alignment - 1) / alignment * alignment;
}

} // namespace

Network::Network(Backend& backend, NetworkShape shape)
    : backend_(&backend), shape_(std::move(shape)) {
    std::int64_t offset = 0;
    std::array<int, static_cast<std::size_t>(Role::count)> nowhere{};
    nowhere.fill(-1);
    index_.assign(shape_.layers.size(), nowhere);
    const auto place = [&](std::size_t layer, Role role, std::string name,
                           std::vector<std::int64_t> tensor_shape) {
        std::int64_t size = 1;
        for (const std::int64_t length : tensor_shape) {
            size *= length;
        }
        index_[layer][static_cast<std::size_t>(role)] = static_cast<int>(places_.size());
        places_.push_back({std::move(name), std::move(tensor_shape), offset, size});
        // Mean and variance are one matrix [2, outputs].
        offset += role == Role::mean ? size : aligned(size);
    };
    const auto place_linear = [&](std::size_t l) {
        const LayerShape& layer = shape_.layers[l];
        if (layer.has_weights()) {
            place(l, Role::weight, layer.weight_name(), layer.weight_shape());
            if (layer.bias) {
                place(l, Role::bias, layer.bias_name(), {layer.out().channels});
            }
        }
    };
    const auto place_affine = [&](std::size_t l) {
        const LayerShape& layer = shape_.layers[l];
        if (layer.has_affine()) {
            place(l, Role::scale, layer.normalisation_name("weight"), {layer.out().channels});
            place(l, Role::shift, layer.normalisation_name("bias"), {layer.out().channels});
        }
    };
    const auto place_statistics = [&](std::size_t l) {
        const LayerShape& layer = shape_.layers[l];
        if (layer.normalisation == Normalisation::batch ||
            layer.normalisation == Normalisation::virtual_batch) {
            place(l, Role::mean, layer.normalisation_name("running_mean"), {layer.out().channels});
            place(l, Role::variance, layer.normalisation_name("running_var"),
                  {layer.out().channels});
        }
    };
    for (std::size_t l = 0; l < shape_.layers.size(); ++l) {
        const LayerShape& layer = shape_.layers[l];
        if (layer.trained) {
            place_linear(l);
            place_affine(l);
        }
    }
    trained_size_ = offset;
    for (std::size_t l = 0; l < shape_.layers.size(); ++l) {
        if (shape_.layers[l].trained) {
            place_statistics(l);
        }
    }
    state_size_ = offset;
    for (std::size_t l = 0; l < shape_.layers.size(); ++l) {
        if (shape_.layers[l].spectral) {
            const SpectralMatrix matrix = shape_.layers[l].spectral_matrix();
            place(l, Role::u, shape_.layers[l].spectral_name("u"), {matrix.rows});
            place(l, Role::v, shape_.layers[l].spectral_name("v"), {matrix.columns()});
        }
    }
    vectors_size_ = offset;
    for (std::size_t l = 0; l < shape_.layers.size(); ++l) {
        if (!shape_.layers[l].trained) {
            place_linear(l);
            place_affine(l);
            place_statistics(l);
        }
    }
    values_ = DeviceArray<float>(backend, offset);
    first_moments_ = DeviceArray<float>(backend, trained_size_);
    second_moments_ = DeviceArray<float>(backend, trained_size_);
    for (std::int64_t l = 0; l < layer_count(); ++l) {
        const LayerShape& layer = shape_.layers[static_cast<std::size_t>(l)];
        bool trains = layer.trained && (layer.has_weights() || layer.has_affine());
        for (const int source : shape_.sources(l)) {
            trains = trains || (source >= 0 && trains_[static_cast<std::size_t>(source)]);
        }
        trains_.push_back(trains);
    }
}

std::int64_t Network::trained_before(std::int64_t layer) const {
    std::int64_t before = trained_size_;
    for (std::size_t l = static_cast<std::size_t>(layer); l < index_.size(); ++l) {
        for (const int place : index_[l]) {
            if (place >= 0) {
                before = std::min(before, places_[static_cast<std::size_t>(place)].offset);
            }
        }
    }
    return before;
}

bool Network::plain_chain() const {
    return shape_.is_chain() &&
           std::all_of(shape_.layers.begin(), shape_.layers.end(), [](const LayerShape& layer) {
               return layer.is_linear() && layer.normalisation == Normalisation::none &&
                      !layer.spectral;
           });
}

void Network::initialise(std::uint64_t seed, std::uint32_t network_number) {
    for (std::int64_t layer = 0; layer < layer_count(); ++layer) {
        const LayerShape& shape = shape_.layers[static_cast<std::size_t>(layer)];
        const auto stream = [&](WeightUse use) {
            return RandomStream{
                seed, purpose_of_weights(network_number, use, shape_.number(layer)), {}};
        };
        if (shape.layer && shape.layer->first_weight()) {
            backend_->fill(weight(layer).flat(), *shape.layer->first_weight());
        } else if (shape.has_weights() && shape.deviation > 0) {
            backend_->fill_normal(
                weight(layer).flat(), 0, shape.deviation,
                stream(shape.follows() ? WeightUse::closeness : WeightUse::weight));
            if (shape.bias) {
                backend_->fill(bias(layer), 0);
            }
        } else if (shape.has_weights()) {
            const float bound = 1.0f / std::sqrt(static_cast<float>(shape.fan_in()));
            backend_->fill_uniform(weight(layer).flat(), -bound, bound, stream(WeightUse::weight));
            if (shape.bias) {
                backend_->fill_uniform(bias(layer), -bound, bound, stream(WeightUse::bias));
            }
        }
        if (has(layer, Role::scale)) {
            backend_->fill(scale(layer), 1);
            backend_->fill(shift(layer), 0);
        }
        if (has(layer, Role::mean)) {
            backend_->fill(running_statistics(layer).row_range(0, 1).flat(), 0);
            backend_->fill(running_statistics(layer).row_range(1, 1).flat(), 1);
        }
        if (shape.spectral) {
            const Matrix<float> w = weight(layer);
            DeviceArray<float> normalised(*backend_, w.size() + 1);
            backend_->fill_normal(spectral_u(layer), 0, 1, stream(WeightUse::spectral));
            backend_->spectral_normalise(normalised.view().part(1, w.size()),
                                         normalised.view().part(0, 1), spectral_u(layer),
                                         spectral_v(layer), w.flat(), shape.spectral_matrix(),
                                         first_power_iterations);
            backend_->synchronise(); // before the memory goes
        }
    }
    backend_->fill(first_moments_.view(), 0);
    backend_->fill(second_moments_.view(), 0);
}

const Network::Place& Network::place(std::int64_t layer, Role role) const {
    return places_[static_cast<std::size_t>(
        index_[static_cast<std::size_t>(layer)][static_cast<std::size_t>(role)])];
}

Vector<float> Network::vector_at(std::int64_t layer, Role role) const {
    return has(layer, role) ? Vector<float>{at(layer, role), place(layer, role).size}
                            : Vector<float>{};
}

Matrix<float> Network::weight(std::int64_t layer) const {
    const Place& weight = place(layer, Role::weight);
    return {at(layer, Role::weight), weight.shape[0], weight.size / weight.shape[0]};
}

Vector<float> Network::bias(std::int64_t layer) const {
    return vector_at(layer, Role::bias);
}

AdamTensor Network::state_at(std::int64_t layer, Role role) const {
    if (!has(layer, role)) {
        return {};
    }
    const Place& tensor = place(layer, role);
    return all().part(tensor.offset, tensor.size);
}

AdamTensor Network::affine_state(std::int64_t layer) const {
    const Place &scale = place(layer, Role::scale), &shift = place(layer, Role::shift);
    return all().part(scale.offset, shift.offset + shift.size - scale.offset);
}

Vector<float> Network::scale(std::int64_t layer) const {
    return vector_at(layer, Role::scale);
}

Vector<float> Network::shift(std::int64_t layer) const {
    return vector_at(layer, Role::shift);
}

Matrix<float> Network::running_statistics(std::int64_t layer) const {
    return {at(layer, Role::mean), 2, place(layer, Role::mean).size};
}

AdamTensor Network::all() const {
    return {values_.view().part(0, trained_size_), first_moments_.view(), second_moments_.view()};
}

Vector<float> Network::state() const {
    return values_.view().part(0, state_size_);
}

Vector<float> Network::singular_vectors() const {
    return values_.view().part(state_size_, vectors_size_ - state_size_);
}

// The tensors that lie before `end`.
TensorFile Network::save(const DeviceArray<float>& values, const std::string& prefix,
                         std::int64_t end) const {
    std::vector<float> host(static_cast<std::size_t>(end));
    values.download(host.data(), end);
    TensorFile file;
    for (const Place& place : places_) {
        if (place.offset < end) {
            file.tensors.push_back(
                make_f32(prefix + place.name, place.shape, host.data() + place.offset));
        }
    }
    file.metadata["network"] = describe(shape_);
    return file;
}

TensorFile Network::weights() const {
    return save(values_, "", values_.size());
}

void Network::add_moments(TensorFile& file, const std::string& prefix) const {
    for (const auto& part : {save(first_moments_, prefix + "first_moment.", trained_size_),
                             save(second_moments_, prefix + "second_moment.", trained_size_)}) {
        file.tensors.insert(file.tensors.end(), part.tensors.begin(), part.tensors.end());
    }
}

void Network::load(const TensorFile& file, const std::string& prefix, const std::string& what,
                   DeviceArray<float>& values) {
    std::vector<float> host(static_cast<std::size_t>(values.size()), 0.0f);
    std::int64_t found = 0;
    for (const Tensor& tensor : file.tensors) {
        // PyTorch's nn.BatchNorm counts its batches, which nothing here depends on.
        found += tensor.name.starts_with(prefix) && !tensor.name.ends_with(".num_batches_tracked");
    }
    const auto wanted = std::count_if(places_.begin(), places_.end(), [&](const Place& place) {
        return place.offset < values.size();
    });
    if (found != wanted) {
        throw std::runtime_error(
            fmt::format("{}: holds {} tensors, this network has {} ({}); give the weights of a "
                        "network of this shape",
                        what, found, wanted, describe(shape_)));
    }
    for (const Place& place : places_) {
        if (place.offset >= values.size()) {
            continue;
        }
        const Tensor& tensor = file.at(prefix + place.name);
        if (tensor.shape != place.shape) {
            throw std::runtime_error(fmt::format(
                "{}: tensor {} has the shape [{}], this network needs [{}]; give the weights of a "
                "network of this shape",
                what, tensor.name, fmt::join(tensor.shape, ", "), fmt::join(place.shape, ", ")));
        }
        const std::span<const float> data = f32(tensor);
        std::copy(data.begin(), data.end(), host.begin() + place.offset);
    }
    values.upload(host.data(), values.size());
}

void Network::load_weights(const TensorFile& file, const std::string& what) {
    load(file, "", what, values_);
}

void Network::load_moments(const TensorFile& file, const std::string& what,
                           const std::string& prefix) {
    load(file, prefix + "first_moment.", what, first_moments_);
    load(file, prefix + "second_moment.", what, second_moments_);
}

} // namespace patchforge
