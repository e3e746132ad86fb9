#include "host/network/tangent.h"

#include <fmt/format.h>

#include <algorithm>

#include "host/network/layers/kinds.h"
#include "host/network/layers/tangent_rule.h"

namespace patchforge {

namespace {

const TangentRule* rule_of(const Layer& layer) {
    return dynamic_cast<const TangentRule*>(&layer);
}

std::string why_none(const LayerShape& layer) {
    const TangentRule* rule = layer.layer ? rule_of(*layer.layer) : nullptr;
    if (layer.layer && rule == nullptr) {
        return "has no second derivative here; leave it out";
    }
    if (rule != nullptr && !rule->why_no_tangent().empty()) {
        return rule->why_no_tangent();
    }
    switch (layer.normalisation) {
    case Normalisation::none:
    case Normalisation::batch:
    case Normalisation::instance:
    case Normalisation::group:
        break;
    case Normalisation::virtual_batch:
        return "normalises by reference rows, which has no second derivative here; take "
               "norm=batch, "
               "instance or group, or spectral in its place";
    }
    if (layer.activation == Activation::tanh || layer.activation == Activation::sigmoid) {
        return fmt::format("ends in {}, whose slope changes with its input; take relu or "
                           "leaky_relu",
                           activation_name(layer.activation));
    }
    return {};
}

} // namespace

std::string Tangent::why_none(const NetworkShape& shape) {
    for (std::size_t l = 0; l < shape.layers.size(); ++l) {
        const LayerShape& layer = shape.layers[l];
        if (const std::string reason = patchforge::why_none(layer); !reason.empty()) {
            return fmt::format("layer {} ({}) {}", shape.number(static_cast<std::int64_t>(l)) + 1,
                               layer.layer ? layer.layer->text()
                                           : linear_layer(layer.inputs, layer.outputs)->text(),
                               reason);
        }
    }
    return {};
}

Tangent::Tangent(const Network& network, std::int64_t maximum_rows)
    : network_(&network), memory_(network.shape().layers.size()) {
    Backend& backend = network.backend();
    std::int64_t room = 0;
    for (std::int64_t l = network.layer_count() - 1; l >= 0; --l) {
        const LayerShape& layer = shape(l);
        LayerMemory& kept = memory_[static_cast<std::size_t>(l)];
        kept.layer = layer.layer ? layer.layer : linear_layer(layer.inputs, layer.outputs);
        for (const int source : network.shape().sources(l)) {
            if (source >= 0) {
                memory_[static_cast<std::size_t>(source)].read = true;
            }
        }
        if (kept.read) {
            kept.tangent = DeviceArray<float>(backend, maximum_rows * layer.outputs);
        }
        if (layer.normalisation != Normalisation::none) {
            kept.before = DeviceArray<float>(backend, maximum_rows * layer.outputs);
        }
        if (kept.read || kept.before.size() > 0) {
            room = std::max(room, rule_of(*kept.layer)->tangent_room(maximum_rows));
        }
        if (layer.spectral) {
            kept.d_weight = DeviceArray<float>(backend, layer.spectral_matrix().size());
        }
    }
    if (room > 0) {
        room_ = DeviceArray<float>(backend, room);
    }
}

void Tangent::add_gradients(Vector<float> gradients, Trace& pass, Matrix<const float> input,
                            Matrix<const float> direction) {
    Backend& backend = network_->backend();
    std::vector<Matrix<const float>> normalised(memory_.size());
    for (std::int64_t l = 0; l < network_->layer_count(); ++l) {
        const LayerMemory& kept = memory_[static_cast<std::size_t>(l)];
        std::vector<Matrix<const float>> x, dx;
        for (const int source : network_->shape().sources(l)) {
            x.push_back(source < 0 ? input : pass.output(source));
            dx.push_back(source < 0 ? direction
                                    : memory_[static_cast<std::size_t>(source)].tangent.matrix(
                                          input.rows, shape(source).outputs));
        }
        if (shape(l).trained && shape(l).has_weights()) {
            add_weight_gradient(l, gradients, pass, dx.front());
        }
        const bool normalises = kept.before.size() > 0;
        if (!kept.read && !normalises) {
            continue;
        }
        const Matrix<float> t = kept.tangent.matrix(input.rows, shape(l).outputs);
        const Matrix<float> before =
            normalises ? kept.before.matrix(input.rows, shape(l).outputs) : t;
        rule_of(*kept.layer)->tangent(backend, before, dx, x, pass.weight_of(l), room_.view());
        if (normalises) {
            normalised[static_cast<std::size_t>(l)] = before;
        }
        if (!kept.read) {
            continue;
        }
        if (normalises) {
            pass.normalise_tangent(l, t, before);
        }
        if (!pass.epilogue(l).is_identity()) {
            backend.activation_gradient(t, t, pass.output(l), pass.epilogue(l));
        }
    }
    pass.backward_curvature(gradients, normalised);
}

void Tangent::add_weight_gradient(std::int64_t layer, Vector<float> gradients, const Trace& pass,
                                  Matrix<const float> dx) {
    Backend& backend = network_->backend();
    LayerMemory& kept = memory_[static_cast<std::size_t>(layer)];
    const Vector<float> weight = network_->weight(layer).flat();
    const Vector<float> target{network_->gradient_of(gradients, weight.data), weight.size};
    const bool spectral = shape(layer).spectral;
    kept.layer->weight_gradient(backend, spectral ? kept.d_weight.view() : target, {},
                                pass.gradient(layer), dx, !spectral);
    if (spectral) {
        // Its singular vectors are still those of the pass.
        backend.spectral_gradient(target, kept.d_weight.view(), pass.weight_of(layer),
                                  pass.singular_value(layer), network_->spectral_u(layer),
                                  network_->spectral_v(layer), shape(layer).spectral_matrix(),
                                  true);
    }
}

} // namespace patchforge
