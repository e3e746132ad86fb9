#include "host/network/trace.h"

#include <algorithm>
#include <stdexcept>

#include "host/network/layers/kinds.h"

namespace patchforge {

Trace::Trace(const Network& network, std::int64_t maximum_rows, bool backward)
    : network_(&network), memory_(network.shape().layers.size()),
      outputs_(network.shape().layers.size()), epilogues_(network.shape().layers.size()) {
    const auto take = [&](DeviceArray<float>& array, std::int64_t columns) {
        array = DeviceArray<float>(network.backend(), maximum_rows * columns);
    };
    std::int64_t widest = 0;
    for (std::int64_t l = 0; l < network.layer_count(); ++l) {
        const LayerShape& layer = shape(l);
        LayerMemory& kept = memory(l);
        layers_.push_back(layer.layer ? layer.layer : linear_layer(layer.inputs, layer.outputs));
        take(kept.output, layer.outputs);
        widest = std::max({widest, layer.outputs, layer.inputs});
        if (backward) {
            take(kept.gradient, layer.outputs);
        }
        if (layer.normalisation != Normalisation::none) {
            const std::int64_t channels = layer.out().channels;
            take(kept.before_normalisation, layer.outputs);
            kept.statistics = DeviceArray<float>(
                network.backend(), of_maps(l)
                                       ? 2 * std::max(maximum_groups, maximum_rows) * channels
                                       : maximum_groups * 2 * layer.outputs);
            if (of_maps(l)) {
                kept.sums = DeviceArray<double>(
                    network.backend(), std::max(sets_of(l, maximum_rows).sums(maximum_rows),
                                                2 * (maximum_rows + maximum_groups) * channels));
            }
            kept.unwanted = DeviceArray<float>(network.backend(), 2 * channels);
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
    if (backward && !network.shape().is_chain()) {
        take(added_, widest);
    }
}

Matrix<float> Trace::gradient(std::int64_t layer) const {
    return memory_.at(static_cast<std::size_t>(layer)).gradient.matrix(rows_, shape(layer).outputs);
}

Matrix<const float> Trace::value(int source) const {
    if (source < 0) {
        return input_;
    }
    const LayerShape& layer = shape(source);
    return layer.closeness_columns > 0
               ? memory_[static_cast<std::size_t>(source)].width.matrix(rows_, layer.width())
               : output(source);
}

std::vector<Matrix<const float>> Trace::inputs_of(std::int64_t layer) const {
    std::vector<Matrix<const float>> inputs;
    for (const int source : network_->shape().sources(layer)) {
        inputs.push_back(value(source));
    }
    return inputs;
}

Matrix<float> Trace::forward(Matrix<const float> input, const DropoutSource& dropout,
                             Matrix<float> output) {
    if (dropout.groups > maximum_groups) {
        throw std::logic_error("Trace::forward: more groups than there is room for");
    }
    input_ = input;
    rows_ = input.rows;
    groups_ = dropout.groups;
    training_ = dropout.training;
    momentum_ = dropout.momentum;
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
                    {dropout.seed, purpose_of_layer(dropout.purpose, l), dropout.draw}};
        const Vector<const float> weight =
            layer.has_weights() ? network_->weight(l).flat() : Vector<float>{};
        const bool normalised = layer.normalisation != Normalisation::none;
        const bool fused = !normalised && computes(l).applies_epilogue();
        const Matrix<float> z =
            normalised ? memory(l).before_normalisation.matrix(rows_, layer.outputs) : y;
        computes(l).forward(backend, z, inputs_of(l), weight, network_->bias(l),
                            fused ? epilogue : Epilogue{});
        if (normalised) {
            normalise(l);
        }
        if (normalised ? !of_maps(l) : !fused && !epilogue.is_identity()) {
            backend.activate(y, y, epilogue);
        }
        if (layer.closeness_columns > 0) {
            append_closeness(l);
        }
    }
    return outputs_.back();
}

void Trace::keep_rows(std::int64_t first, std::int64_t count) {
    input_ = input_.row_range(first, count);
    for (Matrix<float>& output : outputs_) {
        output = output.row_range(first, count);
    }
    rows_ = count;
}

// Batches of flat values in training have operations of their own, which virtual batches share.
bool Trace::of_maps(std::int64_t layer) const {
    const LayerShape& l = shape(layer);
    return l.normalisation == Normalisation::instance || l.normalisation == Normalisation::group ||
           (l.normalisation == Normalisation::batch && l.layer && l.out().plane() > 1);
}

MapSets Trace::sets_of(std::int64_t layer, std::int64_t rows) const {
    const LayerShape& l = shape(layer);
    MapSets sets{l.out(), rows, 1};
    if (l.normalisation != Normalisation::batch) {
        sets.rows = 1;
        sets.channels = l.normalisation == Normalisation::group ? l.out().channels / l.groups : 1;
    }
    return sets;
}

void Trace::normalise_maps(std::int64_t layer) {
    Backend& backend = network_->backend();
    const Matrix<float> y = output(layer);
    const Matrix<float> z = memory(layer).before_normalisation.matrix(rows_, shape(layer).outputs);
    const Vector<float> scale = network_->scale(layer), shift = network_->shift(layer);
    const Epilogue& epilogue = epilogues_[static_cast<std::size_t>(layer)];
    const bool batch = shape(layer).normalisation == Normalisation::batch;
    if (batch && !training_) {
        backend.normalise_maps_by(y, z, network_->running_statistics(layer), sets_of(layer, rows_),
                                  scale, shift, epilogue);
        return;
    }
    const MapSets sets = sets_of(layer, group_rows());
    backend.normalise_maps(y, memory(layer).statistics.matrix(2, sets.count(rows_)),
                           batch ? RunningStatistics{network_->running_statistics(layer), momentum_}
                                 : RunningStatistics{},
                           memory(layer).sums.view().part(0, sets.sums(rows_)), z, sets, scale,
                           shift, epilogue);
}

void Trace::normalise_maps_gradient(std::int64_t layer, Vector<float> d_scale,
                                    Vector<float> d_shift, bool accumulate) {
    Backend& backend = network_->backend();
    const Matrix<float> d = gradient(layer);
    const Matrix<float> z = memory(layer).before_normalisation.matrix(rows_, shape(layer).outputs);
    if (shape(layer).normalisation == Normalisation::batch && !training_) {
        backend.normalise_maps_by_gradient(d, d, z, network_->running_statistics(layer),
                                           sets_of(layer, rows_), network_->scale(layer), {});
        return;
    }
    const MapSets sets = sets_of(layer, group_rows());
    backend.normalise_maps_gradient(d, d_scale, d_shift,
                                    memory(layer).sums.view().part(0, sets.sums(rows_)), d, z,
                                    memory(layer).statistics.matrix(2, sets.count(rows_)), sets,
                                    network_->scale(layer), {}, accumulate);
}

void Trace::normalise(std::int64_t layer) {
    if (of_maps(layer)) {
        normalise_maps(layer);
        return;
    }
    Backend& backend = network_->backend();
    const LayerShape& l = shape(layer);
    const Matrix<float> y = output(layer);
    const Matrix<float> z = memory(layer).before_normalisation.matrix(rows_, l.outputs);
    const Matrix<float> running = network_->running_statistics(layer);
    const Vector<float> scale = network_->scale(layer), shift = network_->shift(layer);
    const bool virtual_batch = l.normalisation == Normalisation::virtual_batch;
    if (!training_) {
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
            backend.weighted_sum(kept, kept, 1 - momentum_, now.row_range(moment, 1).flat(),
                                 moment == 0 ? momentum_ : momentum_ * unbiased, {}, 0);
        }
    }
}

void Trace::append_closeness(std::int64_t layer) {
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

void Trace::normalise_gradient(std::int64_t layer, const Backward& pass) {
    const Vector<float> gradients = pass.gradients;
    const bool accumulate = pass.accumulate;
    Backend& backend = network_->backend();
    const LayerShape& l = shape(layer);
    const auto wanted = [&](Vector<float> tensor, std::int64_t part) {
        return tensor.empty() ? Vector<float>{}
               : gradients.empty()
                   ? memory(layer).unwanted.view().part(part * tensor.size, tensor.size)
                   : Vector<float>{network_->gradient_of(gradients, tensor.data), tensor.size};
    };
    const Vector<float> d_scale = wanted(network_->scale(layer), 0);
    const Vector<float> d_shift = wanted(network_->shift(layer), 1);
    if (!gradients.empty() && !training_ && l.normalisation == Normalisation::batch) {
        throw std::logic_error("Trace: gradients of parameters are those of a training pass");
    }
    if (of_maps(layer) || (!training_ && l.normalisation == Normalisation::batch)) {
        normalise_maps_gradient(layer, d_scale, d_shift, accumulate && !gradients.empty());
        return;
    }
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

void Trace::closeness_gradient(std::int64_t layer, const Backward& pass) {
    const Vector<float> gradients = pass.gradients;
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
            d_features, output(layer), pass.accumulate);
    }
    backend.copy_columns(d, 0, d_width, 0, l.outputs);
    backend.linear_input_gradient(through, d_features, weight, {}, {});
    backend.weighted_sum(d.flat(), d.flat(), 1, through.flat(), 1, {}, 0);
    backend.activation_gradient(d, d, output(layer), epilogue(layer));
}

void Trace::backward_update(Network& network, const Adam& adam) {
    if (!network.plain()) {
        throw std::logic_error("Trace::backward_update: only for plain networks");
    }
    Backward pass;
    pass.from = network.layer_count() - 1;
    pass.updated = &network;
    pass.adam = adam;
    backward(pass);
}

void Trace::backward_input(Matrix<float> d_input, const Epilogue& previous, std::int64_t from) {
    Backward pass;
    pass.d_input = d_input;
    pass.previous = previous;
    pass.from = from < 0 ? network_->layer_count() - 1 : from;
    backward(pass);
}

void Trace::backward_gradients(Vector<float> gradients, bool accumulate, Matrix<float> d_input,
                               const Epilogue& previous) {
    Backward pass;
    pass.gradients = gradients;
    pass.accumulate = accumulate;
    pass.d_input = d_input;
    pass.previous = previous;
    pass.from = network_->layer_count() - 1;
    backward(pass);
}

void Trace::backward(const Backward& pass) {
    Backend& backend = network_->backend();
    const auto layers = static_cast<std::size_t>(network_->layer_count());
    readers_.assign(layers + 1, 0);
    collected_.assign(layers + 1, 0);
    for (std::int64_t l = 0; l <= pass.from; ++l) {
        for (const int source : network_->shape().sources(l)) {
            ++readers_[static_cast<std::size_t>(source + 1)];
        }
    }
    for (std::int64_t l = pass.from; l >= 0; --l) {
        const auto value = static_cast<std::size_t>(l + 1);
        if (l < pass.from && collected_[value] == 0) {
            continue; // nothing above leads here, or nothing below is asked for
        }
        if (readers_[value] > 1 && !epilogue(l).is_identity()) {
            backend.activation_gradient(gradient(l), gradient(l), output(l), epilogue(l));
        }
        if (shape(l).normalisation != Normalisation::none) {
            normalise_gradient(l, pass);
        }
        if (!pass.updated) {
            parameter_gradients(l, pass);
        }
        pass_down(l, pass);
    }
    if (readers_[0] > 1 && !pass.d_input.empty() && !pass.previous.is_identity()) {
        backend.activation_gradient(pass.d_input, pass.d_input, input_, pass.previous);
    }
}

void Trace::parameter_gradients(std::int64_t layer, const Backward& pass) {
    if (pass.gradients.empty() || !shape(layer).trained || !shape(layer).has_weights()) {
        return;
    }
    const auto gradient_of = [&](Vector<float> tensor) {
        return tensor.empty()
                   ? Vector<float>{}
                   : Vector<float>{network_->gradient_of(pass.gradients, tensor.data), tensor.size};
    };
    computes(layer).weight_gradient(network_->backend(),
                                    gradient_of(network_->weight(layer).flat()),
                                    gradient_of(network_->bias(layer)), gradient(layer),
                                    inputs_of(layer).front(), pass.accumulate);
}

void Trace::pass_down(std::int64_t layer, const Backward& pass) {
    Backend& backend = network_->backend();
    const Layer& computed = computes(layer);
    const bool steps = pass.updated && shape(layer).trained && shape(layer).has_weights();
    const Vector<const float> weight =
        shape(layer).has_weights() ? network_->weight(layer).flat() : Vector<float>{};
    bool stepped = false;
    const std::vector<int> sources = network_->shape().sources(layer);
    for (std::size_t i = 0; i < sources.size(); ++i) {
        const int source = sources[i];
        const bool wanted =
            source < 0 ? !pass.d_input.empty() : !pass.d_input.empty() || network_->trains(source);
        if (!wanted) {
            continue;
        }
        const auto value = static_cast<std::size_t>(source + 1);
        const bool alone = readers_[value] == 1;
        const bool first = collected_[value]++ == 0;
        const Matrix<const float> x = this->value(source);
        if (source >= 0 && shape(source).closeness_columns > 0) { // read by one layer alone
            computed.input_gradient(backend, memory(source).width_gradient.matrix(rows_, x.columns),
                                    i, gradient(layer), weight, {}, {});
            closeness_gradient(source, pass);
            continue;
        }
        const Matrix<float> target = source < 0 ? pass.d_input : gradient(source);
        const Matrix<float> dx = first ? target : added_.matrix(rows_, x.columns);
        const Epilogue previous = !alone       ? Epilogue{}
                                  : source < 0 ? pass.previous
                                               : epilogue(source);
        if (steps && alone && sources.size() == 1) {
            computed.backward_adam(backend, dx, pass.updated->weight_state(layer),
                                   pass.updated->bias_state(layer), gradient(layer), x, previous,
                                   pass.adam);
            stepped = true;
        } else {
            computed.input_gradient(backend, dx, i, gradient(layer), weight, x, previous);
        }
        if (!first) {
            backend.weighted_sum(target.flat(), target.flat(), 1, dx.flat(), 1, {}, 0);
        }
    }
    if (steps && !stepped) {
        computed.weight_gradient_adam(backend, pass.updated->weight_state(layer),
                                      pass.updated->bias_state(layer), gradient(layer),
                                      inputs_of(layer).front(), pass.adam);
    }
}

} // namespace patchforge
