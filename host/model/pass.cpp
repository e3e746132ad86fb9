#include <stdexcept>

#include "host/model/network.h"

namespace patchforge {

namespace {

// Share of a batch's statistics in the running ones, nn.BatchNorm1d's default.
constexpr float momentum = 0.1f;

} // namespace

Pass::Pass(const Network& network, std::int64_t maximum_rows, bool backward)
    : network_(&network), memory_(network.shape().layers.size()),
      outputs_(network.shape().layers.size()), epilogues_(network.shape().layers.size()) {
    const auto take = [&](DeviceArray<float>& array, std::int64_t columns) {
        array = DeviceArray<float>(network.backend(), maximum_rows * columns);
    };
    for (std::int64_t l = 0; l < network.layer_count(); ++l) {
        const LayerShape& layer = shape(l);
        LayerMemory& kept = memory(l);
        take(kept.output, layer.outputs);
        if (backward) {
            take(kept.gradient, layer.outputs);
        }
        if (layer.normalisation != Normalisation::none) {
            take(kept.before_normalisation, layer.outputs);
            kept.statistics =
                DeviceArray<float>(network.backend(), maximum_groups * 2 * layer.outputs);
            kept.unwanted = DeviceArray<float>(network.backend(), 2 * layer.outputs);
        }
        if (layer.closeness_columns > 0) {
            const std::int64_t numbers = layer.closeness_columns * layer.closeness_size;
            take(kept.closeness_features, numbers);
            take(kept.closeness, layer.closeness_columns);
            take(kept.width, layer.width());
            if (backward) {
                take(kept.width_gradient, layer.width());
                take(kept.features_gradient, numbers);
                take(kept.through_features, layer.outputs);
            }
        }
    }
}

Matrix<float> Pass::gradient(std::int64_t layer) const {
    return memory_.at(static_cast<std::size_t>(layer)).gradient.matrix(rows_, shape(layer).outputs);
}

Matrix<const float> Pass::input_of(std::int64_t layer) const {
    if (layer == 0) {
        return input_;
    }
    const LayerShape& below = shape(layer - 1);
    return below.closeness_columns > 0
               ? memory_[static_cast<std::size_t>(layer - 1)].width.matrix(rows_, below.width())
               : output(layer - 1);
}

Matrix<float> Pass::forward(Matrix<const float> input, const DropoutSource& dropout,
                            Matrix<float> output) {
    if (dropout.groups > maximum_groups) {
        throw std::logic_error("Pass::forward: more groups than there is room for");
    }
    input_ = input;
    rows_ = input.rows;
    groups_ = dropout.groups;
    Backend& backend = network_->backend();
    for (std::int64_t l = 0; l < network_->layer_count(); ++l) {
        const LayerShape& layer = shape(l);
        const bool last = l + 1 == network_->layer_count();
        Matrix<float>& y = outputs_[static_cast<std::size_t>(l)];
        Epilogue& epilogue = epilogues_[static_cast<std::size_t>(l)];
        y = last && !output.empty() ? output : memory(l).output.matrix(rows_, layer.outputs);
        epilogue = {layer.activation,
                    layer.slope,
                    dropout.training ? layer.dropout : 0.0f,
                    {dropout.seed, dropout.purpose + static_cast<std::uint32_t>(l), dropout.draw}};
        if (layer.normalisation == Normalisation::none) {
            backend.linear_forward(y, input_of(l), network_->weight(l), network_->bias(l),
                                   epilogue);
        } else {
            backend.linear_forward(memory(l).before_normalisation.matrix(rows_, layer.outputs),
                                   input_of(l), network_->weight(l), network_->bias(l), {});
            normalise(l, dropout);
            backend.activate(y, y, epilogue);
        }
        if (layer.closeness_columns > 0) {
            append_closeness(l);
        }
    }
    return outputs_.back();
}

void Pass::keep_rows(std::int64_t first, std::int64_t count) {
    input_ = input_.row_range(first, count);
    for (Matrix<float>& output : outputs_) {
        output = output.row_range(first, count);
    }
    rows_ = count;
}

void Pass::normalise(std::int64_t layer, const DropoutSource& dropout) {
    Backend& backend = network_->backend();
    const LayerShape& l = shape(layer);
    const Matrix<float> y = output(layer);
    const Matrix<float> z = memory(layer).before_normalisation.matrix(rows_, l.outputs);
    const Matrix<float> running = network_->running_statistics(layer);
    const Vector<float> scale = network_->scale(layer), shift = network_->shift(layer);
    const bool virtual_batch = l.normalisation == Normalisation::virtual_batch;
    if (!dropout.training) {
        const float share = virtual_batch ? 1.0f / static_cast<float>(l.reference_rows + 1) : 0.0f;
        backend.normalise_by(y, z, running, share, scale, shift);
        return;
    }
    const Matrix<float> statistics = memory(layer).statistics.matrix(2 * maximum_groups, l.outputs);
    if (virtual_batch) {
        backend.normalise(y, statistics.row_range(0, 2), z, l.reference_rows, scale, shift);
        backend.copy(running.data, statistics.data,
                     static_cast<std::size_t>(running.size()) * sizeof(float));
        return;
    }
    const std::int64_t rows = group_rows();
    for (std::int64_t group = 0; group < groups_; ++group) {
        const Matrix<float> now = statistics.row_range(2 * group, 2);
        backend.normalise(y.row_range(group * rows, rows), now, z.row_range(group * rows, rows),
                          rows, scale, shift);
        // PyTorch keeps the unbiased variance.
        const auto n = static_cast<float>(rows);
        const float unbiased = rows > 1 ? n / (n - 1) : 1.0f;
        for (const std::int64_t moment : {0, 1}) {
            const Vector<float> kept = running.row_range(moment, 1).flat();
            backend.weighted_sum(kept, kept, 1 - momentum, now.row_range(moment, 1).flat(),
                                 moment == 0 ? momentum : momentum * unbiased, {}, 0);
        }
    }
}

void Pass::append_closeness(std::int64_t layer) {
    Backend& backend = network_->backend();
    const LayerShape& l = shape(layer);
    LayerMemory& kept = memory(layer);
    const Matrix<float> features =
        kept.closeness_features.matrix(rows_, l.closeness_columns * l.closeness_size);
    const Matrix<float> closeness = kept.closeness.matrix(rows_, l.closeness_columns);
    const Matrix<float> width = kept.width.matrix(rows_, l.width());
    backend.linear_forward(features, output(layer), network_->closeness_weight(layer), {}, {});
    const std::int64_t rows = group_rows();
    for (std::int64_t group = 0; group < groups_; ++group) {
        backend.minibatch_closeness(closeness.row_range(group * rows, rows),
                                    features.row_range(group * rows, rows));
    }
    backend.copy_columns(width, 0, output(layer), 0, l.outputs);
    backend.copy_columns(width, l.outputs, closeness, 0, l.closeness_columns);
}

void Pass::normalise_gradient(std::int64_t layer, Vector<float> gradients, bool accumulate) {
    Backend& backend = network_->backend();
    const LayerShape& l = shape(layer);
    const auto wanted = [&](Vector<float> tensor, std::int64_t part) {
        return gradients.empty()
                   ? memory(layer).unwanted.view().part(part * l.outputs, l.outputs)
                   : Vector<float>{network_->gradient_of(gradients, tensor.data), tensor.size};
    };
    const Vector<float> d_scale = wanted(network_->scale(layer), 0);
    const Vector<float> d_shift = wanted(network_->shift(layer), 1);
    const Matrix<float> d = gradient(layer);
    const Matrix<float> z = memory(layer).before_normalisation.matrix(rows_, l.outputs);
    const Matrix<float> statistics = memory(layer).statistics.matrix(2 * maximum_groups, l.outputs);
    const bool virtual_batch = l.normalisation == Normalisation::virtual_batch;
    const std::int64_t parts = virtual_batch ? 1 : groups_;
    const std::int64_t rows = rows_ / parts;
    for (std::int64_t part = 0; part < parts; ++part) {
        const Matrix<float> d_part = d.row_range(part * rows, rows);
        backend.normalise_gradient(d_part, d_scale, d_shift, d_part, z.row_range(part * rows, rows),
                                   statistics.row_range(2 * part, 2),
                                   virtual_batch ? l.reference_rows : rows, network_->scale(layer),
                                   accumulate || part > 0);
    }
}

void Pass::closeness_gradient(std::int64_t layer, Vector<float> gradients, bool accumulate) {
    Backend& backend = network_->backend();
    const LayerShape& l = shape(layer);
    LayerMemory& kept = memory(layer);
    const std::int64_t numbers = l.closeness_columns * l.closeness_size;
    const Matrix<float> d_width = kept.width_gradient.matrix(rows_, l.width());
    const Matrix<float> d_closeness = kept.closeness.matrix(rows_, l.closeness_columns);
    const Matrix<float> features = kept.closeness_features.matrix(rows_, numbers);
    const Matrix<float> d_features = kept.features_gradient.matrix(rows_, numbers);
    const Matrix<float> through = kept.through_features.matrix(rows_, l.outputs);
    const Matrix<float> d = gradient(layer);
    const Matrix<float> weight = network_->closeness_weight(layer);
    // The closeness itself is not needed any more: its place takes its gradient.
    backend.copy_columns(d_closeness, 0, d_width, l.outputs, l.closeness_columns);
    const std::int64_t rows = group_rows();
    for (std::int64_t group = 0; group < groups_; ++group) {
        backend.minibatch_closeness_gradient(d_features.row_range(group * rows, rows),
                                             d_closeness.row_range(group * rows, rows),
                                             features.row_range(group * rows, rows));
    }
    if (!gradients.empty()) {
        backend.linear_weight_gradient(
            {network_->gradient_of(gradients, weight.data), weight.rows, weight.columns}, {},
            d_features, output(layer), accumulate);
    }
    backend.copy_columns(d, 0, d_width, 0, l.outputs);
    backend.linear_input_gradient(through, d_features, weight, {}, {});
    backend.weighted_sum(d.flat(), d.flat(), 1, through.flat(), 1, {}, 0);
    backend.activation_gradient(d, d, output(layer), epilogue(layer));
}

void Pass::backward_update(Network& network, const Adam& adam) {
    if (!network.plain()) {
        throw std::logic_error("Pass::backward_update: only for plain networks");
    }
    Backend& backend = network.backend();
    const std::int64_t first = network.first_trained();
    for (std::int64_t layer = network.layer_count() - 1; layer > first; --layer) {
        if (shape(layer).trained) {
            backend.linear_backward_adam(gradient(layer - 1), network.weight_state(layer),
                                         network.bias_state(layer), gradient(layer),
                                         output(layer - 1), epilogue(layer - 1), adam);
        } else {
            backend.linear_input_gradient(gradient(layer - 1), gradient(layer),
                                          network.weight(layer), output(layer - 1),
                                          epilogue(layer - 1));
        }
    }
    backend.linear_weight_gradient_adam(network.weight_state(first), network.bias_state(first),
                                        gradient(first), input_of(first), adam);
}

void Pass::backward_input(Matrix<float> d_input, const Epilogue& previous, std::int64_t from) {
    backward({}, false, d_input, previous, from < 0 ? network_->layer_count() - 1 : from);
}

void Pass::backward_gradients(Vector<float> gradients, bool accumulate, Matrix<float> d_input,
                              const Epilogue& previous) {
    backward(gradients, accumulate, d_input, previous, network_->layer_count() - 1);
}

void Pass::backward(Vector<float> gradients, bool accumulate, Matrix<float> d_input,
                    const Epilogue& previous, std::int64_t from) {
    Backend& backend = network_->backend();
    const std::int64_t lowest = d_input.empty() ? network_->first_trained() : 0;
    for (std::int64_t layer = from; layer >= lowest; --layer) {
        if (shape(layer).normalisation != Normalisation::none) {
            normalise_gradient(layer, gradients, accumulate);
        }
        const Matrix<float> weight = network_->weight(layer);
        if (!gradients.empty() && shape(layer).trained) {
            const Vector<float> bias = network_->bias(layer);
            backend.linear_weight_gradient(
                {network_->gradient_of(gradients, weight.data), weight.rows, weight.columns},
                {network_->gradient_of(gradients, bias.data), bias.size}, gradient(layer),
                input_of(layer), accumulate);
        }
        if (layer == 0) {
            if (!d_input.empty()) {
                backend.linear_input_gradient(d_input, gradient(0), weight, input_, previous);
            }
        } else if (layer > lowest) {
            if (shape(layer - 1).closeness_columns > 0) {
                backend.linear_input_gradient(
                    memory(layer - 1).width_gradient.matrix(rows_, shape(layer - 1).width()),
                    gradient(layer), weight, {}, {});
                closeness_gradient(layer - 1, gradients, accumulate);
            } else {
                backend.linear_input_gradient(gradient(layer - 1), gradient(layer), weight,
                                              output(layer - 1), epilogue(layer - 1));
            }
        }
    }
}

} // namespace patchforge
