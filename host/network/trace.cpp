#include "host/network/trace.h"

#include <stdexcept>

namespace patchforge {

void Trace::start_from(std::int64_t layer) {
    starts_.push_back(static_cast<int>(layer));
    plan_values();
}

void Trace::keep(std::int64_t layer) {
    kept_.push_back(layer);
    plan_values();
}

Matrix<float> Trace::output(std::int64_t layer) const {
    if (!memory(layer).stays) {
        throw std::logic_error("Trace::output: of a layer whose output does not stay");
    }
    return made(layer);
}

Matrix<float> Trace::gradient(std::int64_t layer) const {
    return rows_of(memory(layer).gradient, shape(layer).outputs);
}

Matrix<const float> Trace::value(int source) const {
    return source < 0 ? input_ : Matrix<const float>(made(source));
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
    if (dropout.training && !use_.training) {
        throw std::logic_error("Trace::forward: has no room for training");
    }
    input_ = input;
    rows_ = input.rows;
    groups_ = dropout.groups;
    training_ = dropout.training;
    batch_statistics_ = dropout.batch_statistics;
    momentum_ = dropout.momentum;
    pictures_ = {dropout.picture_seed, static_cast<std::uint32_t>(Purpose::picture_noise),
                 dropout.picture};
    Backend& backend = network_->backend();
    for (std::int64_t l = 0; l < network_->layer_count(); ++l) {
        const LayerShape& layer = shape(l);
        const bool last = l + 1 == network_->layer_count();
        Matrix<float>& y = outputs_[static_cast<std::size_t>(l)];
        Epilogue& epilogue = epilogues_[static_cast<std::size_t>(l)];
        y = last && !output.empty() ? output : rows_of(memory(l).output, layer.outputs);
        epilogue = {layer.activation,
                    layer.slope,
                    dropout.training ? layer.dropout : 0.0f,
                    {dropout.seed, purpose_of_layer(dropout.purpose, network_->shape().number(l)),
                     dropout.draw}};
        if (layer.spectral) {
            backend.spectral_normalise(memory(l).spectral_weight.view(), memory(l).sigma.view(),
                                       network_->spectral_u(l), network_->spectral_v(l),
                                       network_->weight(l).flat(), layer.spectral_matrix(),
                                       training_ ? 1 : 0);
        }
        if (folds(l)) {
            fold(l);
        }
        const bool normalised = layer.normalisation != Normalisation::none && !folds(l);
        const bool fused = !normalised && computes(l).applies_epilogue();
        const Matrix<float> z = normalised ? before_normalisation(l) : y;
        computes(l).forward(backend, z, inputs_of(l), weight_of(l),
                            folds(l) ? memory(l).folded_bias.view() : network_->bias(l),
                            fused ? epilogue : Epilogue{}, pass_of(l));
        if (normalised) {
            normalise(l);
        }
        if (normalised ? !of_maps(l) : !fused && !epilogue.is_identity()) {
            backend.activate(y, y, epilogue);
        }
    }
    return outputs_.back();
}

Vector<const float> Trace::weight_of(std::int64_t layer) const {
    return folds(layer) ? memory(layer).folded_weight.view() : unfolded_weight(layer);
}

Vector<const float> Trace::unfolded_weight(std::int64_t layer) const {
    return shape(layer).spectral        ? memory(layer).spectral_weight.view()
           : shape(layer).has_weights() ? network_->weight(layer).flat()
                                        : Vector<float>{};
}

LayerPass Trace::pass_of(std::int64_t layer) {
    RandomStream noise = pictures_;
    noise.purpose = purpose_of_layer(noise.purpose, network_->shape().number(layer));
    const LayerMemory& own = memory(layer);
    return {group_rows(), noise, own.sums.view().part(0, computes(layer).sums(rows_)), own.kept,
            own.scratch};
}

void Trace::keep_rows(std::int64_t first, std::int64_t count) {
    input_ = input_.row_range(first, count);
    for (Matrix<float>& output : outputs_) {
        output = output.row_range(first, count);
    }
    rows_ = count;
}

void Trace::backward_update(Network& network, const Adam& adam) {
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
                               const Epilogue& previous,
                               const std::function<void(std::int64_t)>& complete) {
    Backward pass;
    pass.gradients = gradients;
    pass.complete = complete;
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
    if (pass.from == network_->layer_count() - 1 && !pass.tangents) {
        for (const int start : starts_) {
            ++readers_[static_cast<std::size_t>(start + 1)];
            ++collected_[static_cast<std::size_t>(start + 1)];
        }
    }
    for (std::int64_t l = pass.from; l >= 0; --l) {
        const auto value = static_cast<std::size_t>(l + 1);
        if (l < pass.from && collected_[value] == 0) {
            if (!pass.tangents || !bends(l)) {
                continue; // nothing above leads here, or nothing below is asked for
            }
            backend.fill(gradient(l).flat(), 0);
        }
        if (readers_[value] > 1 && !epilogue(l).is_identity()) {
            backend.activation_gradient(gradient(l), gradient(l), made(l), epilogue(l));
        }
        if (shape(l).normalisation != Normalisation::none) {
            normalise_gradient(l, pass);
        }
        if (pass.tangents && bends(l)) {
            add_curvature(l, pass);
        }
        if (computes(l).backward_at_once()) {
            backward_at_once(l, pass);
            continue;
        }
        parameter_gradients(l, pass);
        if (pass.complete) {
            pass.complete(network_->trained_before(l));
        }
        pass_down(l, pass);
    }
    if (readers_[0] > 1 && !pass.d_input.empty() && !pass.previous.is_identity()) {
        backend.activation_gradient(pass.d_input, pass.d_input, input_, pass.previous);
    }
}

void Trace::parameter_gradients(std::int64_t layer, const Backward& pass) {
    if (!shape(layer).trained || !shape(layer).has_weights() ||
        (pass.updated ? shape(layer).fuses_weights() : pass.gradients.empty())) {
        return;
    }
    Backend& backend = network_->backend();
    const Vector<float> target = weight_target(layer, pass);
    const Vector<float> d_bias = bias_target(layer, pass);
    const bool apart = shape(layer).spectral && pass.accumulate;
    const Vector<float> d_weight = apart ? memory(layer).apart.part(0, target.size) : target;
    if (apart) {
        backend.fill(d_weight, 0);
    }
    computes(layer).weight_gradient(backend, d_weight, d_bias, gradient(layer),
                                    inputs_of(layer).front(), pass.accumulate);
    if (shape(layer).spectral) {
        backend.spectral_gradient(target, d_weight, memory(layer).spectral_weight.view(),
                                  memory(layer).sigma.view(), network_->spectral_u(layer),
                                  network_->spectral_v(layer), shape(layer).spectral_matrix(),
                                  pass.accumulate);
    }
    if (pass.updated) {
        backend.adam(pass.updated->weight_state(layer), target, pass.adam);
        if (!d_bias.empty()) {
            backend.adam(pass.updated->bias_state(layer), d_bias, pass.adam);
        }
    }
}

Vector<float> Trace::weight_target(std::int64_t layer, const Backward& pass) const {
    const Vector<float> weight = network_->weight(layer).flat();
    return pass.updated
               ? memory(layer).apart.part(0, weight.size)
               : Vector<float>{network_->gradient_of(pass.gradients, weight.data), weight.size};
}

Vector<float> Trace::bias_target(std::int64_t layer, const Backward& pass) const {
    const Vector<float> bias = network_->bias(layer);
    return bias.empty() ? Vector<float>{}
           : pass.updated
               ? memory(layer).apart.part(network_->weight(layer).size(), bias.size)
               : Vector<float>{network_->gradient_of(pass.gradients, bias.data), bias.size};
}

bool Trace::wants(int source, const Backward& pass) const {
    return !pass.d_input.empty() || (source >= 0 && network_->trains(source));
}

// One operation gives all of a layer's gradients; what steers it nothing else reads.
void Trace::backward_at_once(std::int64_t layer, const Backward& pass) {
    Backend& backend = network_->backend();
    const std::vector<int> sources = network_->shape().sources(layer);
    const int source = sources.front();
    const auto value = static_cast<std::size_t>(source + 1);
    const bool wanted = wants(source, pass);
    const bool first = wanted && collected_[value]++ == 0;
    const Matrix<float> own = gradient(layer);
    const Matrix<float> target = !wanted ? own : source < 0 ? pass.d_input : gradient(source);
    Layer::Gradients gradients;
    gradients.dx = !wanted || first ? target : rows_of(added_, target.columns);
    gradients.accumulate = pass.accumulate;
    if (shape(layer).has_weights() && shape(layer).trained &&
        (pass.updated || !pass.gradients.empty())) {
        gradients.d_weight = weight_target(layer, pass);
    }
    bool steers_alone = true; // no gradient of its own was there before
    if (sources.size() > 1) {
        const Matrix<float> second = gradient(sources[1]);
        steers_alone = collected_[static_cast<std::size_t>(sources[1] + 1)]++ == 0;
        gradients.d_second = steers_alone ? second : rows_of(steering_, second.columns);
    }
    computes(layer).backward(backend, gradients, own, inputs_of(layer), weight_of(layer),
                             !wanted || readers_[value] > 1 ? Epilogue{}
                             : source < 0                   ? pass.previous
                                                            : epilogue(source),
                             pass_of(layer));
    if (pass.updated && !gradients.d_weight.empty()) {
        backend.adam(pass.updated->weight_state(layer), gradients.d_weight, pass.adam);
    }
    if (wanted && !first) {
        backend.weighted_sum(target.flat(), target.flat(), 1, gradients.dx.flat(), 1, {}, 0);
    }
    if (!steers_alone) {
        const Vector<float> all = gradient(sources[1]).flat();
        backend.weighted_sum(all, all, 1, gradients.d_second.flat(), 1, {}, 0);
    } else if (sources.size() > 1 && !epilogue(sources[1]).is_identity()) {
        backend.activation_gradient(gradients.d_second, gradients.d_second, made(sources[1]),
                                    epilogue(sources[1]));
    }
}

void Trace::pass_down(std::int64_t layer, const Backward& pass) {
    Backend& backend = network_->backend();
    const Layer& computed = computes(layer);
    const bool steps = pass.updated && shape(layer).trained && shape(layer).has_weights() &&
                       shape(layer).fuses_weights();
    const Vector<const float> weight = weight_of(layer);
    bool stepped = false;
    const std::vector<int> sources = network_->shape().sources(layer);
    for (std::size_t i = 0; i < sources.size(); ++i) {
        const int source = sources[i];
        if (!wants(source, pass)) {
            continue;
        }
        const auto value = static_cast<std::size_t>(source + 1);
        const bool alone = readers_[value] == 1;
        const bool first = collected_[value]++ == 0;
        const Matrix<const float> x = this->value(source);
        const Matrix<float> target = source < 0 ? pass.d_input : gradient(source);
        const Matrix<float> dx = first ? target : rows_of(added_, x.columns);
        const Epilogue previous = !alone       ? Epilogue{}
                                  : source < 0 ? pass.previous
                                               : epilogue(source);
        if (steps && alone && sources.size() == 1) {
            computed.backward_adam(backend, dx, pass.updated->weight_state(layer),
                                   pass.updated->bias_state(layer), gradient(layer), x, previous,
                                   pass.adam);
            stepped = true;
        } else {
            computed.input_gradient(backend, dx, i, gradient(layer), weight, x, previous,
                                    pass_of(layer));
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
