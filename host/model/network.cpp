#include "host/model/network.h"

#include <fmt/format.h>

#include <cmath>
#include <stdexcept>

#include "host/files/safetensors.h"

namespace patchforge {

namespace {

constexpr std::int64_t alignment = 64; // floats

std::int64_t aligned(std::int64_t count) { return (count + alignment - 1) / alignment * alignment; }

} // namespace

Network::Network(Backend& backend, NetworkShape shape)
    : backend_(&backend), shape_(std::move(shape)) {
    std::int64_t offset = 0;
    const auto place = [&](std::string name, std::vector<std::int64_t> tensor_shape,
                           std::int64_t size) {
        places_.push_back({std::move(name), std::move(tensor_shape), offset, size});
        offset += aligned(size);
    };
    for (const LayerShape& layer : shape_.layers) {
        place(layer.weight_name(), {layer.outputs, layer.inputs}, layer.outputs * layer.inputs);
        place(layer.bias_name(), {layer.outputs}, layer.outputs);
    }
    values_ = DeviceArray<float>(backend, offset);
    first_moments_ = DeviceArray<float>(backend, offset);
    second_moments_ = DeviceArray<float>(backend, offset);
}

void Network::initialise(std::uint64_t seed, std::uint32_t network_number) {
    for (std::int64_t layer = 0; layer < layer_count(); ++layer) {
        const float bound =
            1.0f / std::sqrt(static_cast<float>(shape_.layers[static_cast<std::size_t>(layer)].inputs));
        const auto stream = [&](std::uint32_t tensor) {
            return RandomStream{seed,
                                static_cast<std::uint32_t>(Purpose::initial_weights) +
                                    256 * (2 * network_number + tensor + 1) +
                                    static_cast<std::uint32_t>(layer),
                                {}};
        };
        backend_->fill_uniform(weight(layer).flat(), -bound, bound, stream(0));
        backend_->fill_uniform(bias(layer), -bound, bound, stream(1));
    }
    backend_->fill(first_moments_.view(), 0);
    backend_->fill(second_moments_.view(), 0);
}

Matrix<float> Network::weight(std::int64_t layer) const {
    const Place& place = places_[static_cast<std::size_t>(2 * layer)];
    return {values_.data() + place.offset, place.shape[0], place.shape[1]};
}

Vector<float> Network::bias(std::int64_t layer) const {
    const Place& place = places_[static_cast<std::size_t>(2 * layer + 1)];
    return {values_.data() + place.offset, place.size};
}

AdamTensor Network::weight_state(std::int64_t layer) const {
    const Place& place = places_[static_cast<std::size_t>(2 * layer)];
    return all().part(place.offset, place.size);
}

AdamTensor Network::bias_state(std::int64_t layer) const {
    const Place& place = places_[static_cast<std::size_t>(2 * layer + 1)];
    return all().part(place.offset, place.size);
}

AdamTensor Network::all() const {
    return {values_.view(), first_moments_.view(), second_moments_.view()};
}

TensorFile Network::save(const DeviceArray<float>& values, const std::string& prefix) const {
    std::vector<float> host(static_cast<std::size_t>(values.size()));
    values.download(host.data(), values.size());
    TensorFile file;
    for (const Place& place : places_) {
        file.tensors.push_back(make_f32(prefix + place.name, place.shape, host.data() + place.offset));
    }
    file.metadata["network"] = describe(shape_);
    return file;
}

TensorFile Network::weights() const { return save(values_, ""); }

TensorFile Network::moments() const {
    TensorFile file = save(first_moments_, "first_moment.");
    TensorFile second = save(second_moments_, "second_moment.");
    for (Tensor& tensor : second.tensors) {
        file.tensors.push_back(std::move(tensor));
    }
    return file;
}

void Network::load(const TensorFile& file, const std::string& prefix, const std::string& what,
                   DeviceArray<float>& values) {
    std::vector<float> host(static_cast<std::size_t>(values.size()), 0.0f);
    std::size_t found = 0;
    for (const Tensor& tensor : file.tensors) {
        found += tensor.name.rfind(prefix, 0) == 0;
    }
    if (found != places_.size()) {
        throw std::runtime_error(
            fmt::format("{}: holds {} tensors, this network has {} ({}); give the weights of a "
                        "network of this shape",
                        what, found, places_.size(), describe(shape_)));
    }
    for (const Place& place : places_) {
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

void Network::load_moments(const TensorFile& file, const std::string& what) {
    load(file, "first_moment.", what, first_moments_);
    load(file, "second_moment.", what, second_moments_);
}

Pass::Pass(const Network& network, std::int64_t maximum_rows, bool backward) : network_(&network) {
    for (const LayerShape& layer : network.shape().layers) {
        output_memory_.emplace_back(network.backend(), maximum_rows * layer.outputs);
        if (backward) {
            gradient_memory_.emplace_back(network.backend(), maximum_rows * layer.outputs);
        }
        outputs_.push_back({});
        epilogues_.push_back({});
    }
}

Matrix<float> Pass::gradient(std::int64_t layer) const {
    const auto l = static_cast<std::size_t>(layer);
    return gradient_memory_.at(l).matrix(rows_, network_->shape().layers[l].outputs);
}

Matrix<float> Pass::forward(Matrix<const float> input, const DropoutSource& dropout,
                            Matrix<float> output) {
    input_ = input;
    rows_ = input.rows;
    const auto& layers = network_->shape().layers;
    Matrix<const float> x = input;
    for (std::size_t l = 0; l < layers.size(); ++l) {
        const bool last = l + 1 == layers.size();
        outputs_[l] = last && !output.empty() ? output
                                              : output_memory_[l].matrix(rows_, layers[l].outputs);
        epilogues_[l] = {layers[l].activation, layers[l].slope,
                         dropout.training ? layers[l].dropout : 0.0f,
                         {dropout.seed, dropout.purpose + static_cast<std::uint32_t>(l), dropout.draw}};
        const auto layer = static_cast<std::int64_t>(l);
        network_->backend().linear_forward(outputs_[l], x, network_->weight(layer),
                                           network_->bias(layer), epilogues_[l]);
        x = outputs_[l];
    }
    return outputs_.back();
}

void Pass::backward_update(Network& network, const Adam& adam) {
    Backend& backend = network.backend();
    for (std::int64_t layer = network.layer_count() - 1; layer >= 1; --layer) {
        backend.linear_backward_adam(gradient(layer - 1), network.weight_state(layer),
                                     network.bias_state(layer), gradient(layer), output(layer - 1),
                                     epilogue(layer - 1), adam);
    }
    backend.linear_weight_gradient_adam(network.weight_state(0), network.bias_state(0), gradient(0),
                                        input_, adam);
}

void Pass::backward_input(Matrix<float> d_input, const Epilogue& previous) {
    Backend& backend = network_->backend();
    for (std::int64_t layer = network_->layer_count() - 1; layer >= 1; --layer) {
        backend.linear_input_gradient(gradient(layer - 1), gradient(layer), network_->weight(layer),
                                      output(layer - 1), epilogue(layer - 1));
    }
    backend.linear_input_gradient(d_input, gradient(0), network_->weight(0), input_, previous);
}

void Pass::backward_gradients(Vector<float> gradients, bool accumulate, Matrix<float> d_input,
                              const Epilogue& previous) {
    Backend& backend = network_->backend();
    const float* values = network_->all().value.data;
    for (std::int64_t layer = network_->layer_count() - 1; layer >= 0; --layer) {
        const Matrix<float> weight = network_->weight(layer);
        const Vector<float> bias = network_->bias(layer);
        const Matrix<const float> x = layer > 0 ? Matrix<const float>(output(layer - 1)) : input_;
        backend.linear_weight_gradient(
            {gradients.data + (weight.data - values), weight.rows, weight.columns},
            {gradients.data + (bias.data - values), bias.size}, gradient(layer), x, accumulate);
        if (layer > 0) {
            backend.linear_input_gradient(gradient(layer - 1), gradient(layer), weight, x,
                                          epilogue(layer - 1));
        } else if (!d_input.empty()) {
            backend.linear_input_gradient(d_input, gradient(0), weight, x, previous);
        }
    }
}

} // namespace patchforge
