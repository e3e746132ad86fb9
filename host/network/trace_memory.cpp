// What a trace has room for, and where its values lie.
#include <algorithm>

#include "host/network/layers/kinds.h"
#include "host/network/lifetimes.h"
#include "host/network/trace.h"

namespace patchforge {

Trace::Trace(const Network& network, std::int64_t maximum_rows, const TraceUse& use)
    : network_(&network), maximum_rows_(maximum_rows), use_(use),
      memory_(network.shape().layers.size()), outputs_(network.shape().layers.size()),
      epilogues_(network.shape().layers.size()), starts_(network.shape().heads()) {
    starts_.pop_back(); // the last layer
    Backend& backend = network.backend();
    for (std::int64_t l = 0; l < network.layer_count(); ++l) {
        const LayerShape& layer = shape(l);
        LayerMemory& kept = memory(l);
        layers_.push_back(layer.layer ? layer.layer : linear_layer(layer.inputs, layer.outputs));
        if (layer.normalisation != Normalisation::none) {
            const std::int64_t channels = layer.out().channels;
            kept.statistics = DeviceArray<float>(
                backend, of_maps(l) ? 2 * std::max(maximum_groups, maximum_rows) * channels
                                    : maximum_groups * 2 * layer.outputs);
            if (of_maps(l)) {
                kept.sums = DeviceArray<double>(
                    backend, std::max(sets_of(l, maximum_rows).sums(maximum_rows),
                                      2 * (maximum_rows + maximum_groups) * channels));
            }
            if (use.everything) {
                kept.sums = DeviceArray<double>(
                    backend, sets_of(l, maximum_rows).curvature_sums(maximum_rows));
            }
            if (layer.has_affine()) {
                kept.affine = DeviceArray<float>(backend, network.shift(l).data -
                                                              network.scale(l).data + channels);
                backend.fill(kept.affine.view(), 0);
            }
            if (layer.normalisation == Normalisation::batch && of_maps(l) && layer.has_weights() &&
                computes(l).applies_epilogue()) {
                kept.folded_weight = DeviceArray<float>(backend, layer.spectral_matrix().size());
                kept.folded_bias = DeviceArray<float>(backend, channels);
            }
        }
        if (const std::int64_t sums = computes(l).sums(maximum_rows); sums > kept.sums.size()) {
            kept.sums = DeviceArray<double>(backend, sums);
        }
        if (layer.spectral) {
            kept.spectral_weight = DeviceArray<float>(backend, layer.spectral_matrix().size());
            kept.sigma = DeviceArray<float>(backend, 1);
        }
    }
    plan_values();
}

bool Trace::output_stays(std::int64_t layer) const {
    const auto among = [&](const auto& layers) {
        return std::find(layers.begin(), layers.end(), layer) != layers.end();
    };
    const LayerShape& l = shape(layer);
    if (use_.everything || layer + 1 == network_->layer_count() || among(starts_) || among(kept_)) {
        return true;
    }
    if (!use_.backward) {
        return false;
    }
    if (l.activation != Activation::identity || l.dropout > 0) {
        return true;
    }
    for (std::int64_t reader = layer + 1; reader < network_->layer_count(); ++reader) {
        const std::vector<int> sources = network_->shape().sources(reader);
        if (std::find(sources.begin(), sources.end(), layer) != sources.end() &&
            computes(reader).backward_reads_input()) {
            return true;
        }
    }
    return false;
}

// In evaluation the running statistics do not go through it.
bool Trace::keeps_before_normalisation(std::int64_t layer) const {
    const Normalisation normalisation = shape(layer).normalisation;
    return use_.backward && normalisation != Normalisation::none &&
           (use_.training || normalisation != Normalisation::batch);
}

// Steps 0 to layers - 1 are the layers forward, those to 2 layers - 1 the same layers back.
void Trace::plan_values() {
    const std::int64_t layers = network_->layer_count(), end = 2 * layers;
    const auto back = [&](std::int64_t layer) { return end - 1 - layer; };
    std::vector<Lifetime> lifetimes;
    std::vector<Vector<float>*> places;
    const auto take = [&](Vector<float>& place, std::int64_t size, std::int64_t first,
                          std::int64_t last) {
        if (size > 0) {
            lifetimes.push_back({size, first, last});
            places.push_back(&place);
        }
    };
    const auto take_rows = [&](Vector<float>& place, std::int64_t columns, std::int64_t first,
                               std::int64_t last) {
        take(place, maximum_rows_ * columns, first, last);
    };

    // Of each value, [0] the input: its readers, and how many gradients add up to its own.
    std::vector<std::vector<std::int64_t>> readers(static_cast<std::size_t>(layers + 1));
    std::vector<std::size_t> contributions(readers.size());
    for (std::int64_t l = 0; l < layers; ++l) {
        for (const int source : network_->shape().sources(l)) {
            readers[static_cast<std::size_t>(source + 1)].push_back(l);
            ++contributions[static_cast<std::size_t>(source + 1)];
        }
    }
    for (const int start : starts_) {
        ++contributions[static_cast<std::size_t>(start + 1)];
    }

    for (std::int64_t l = 0; l < layers; ++l) {
        const LayerShape& layer = shape(l);
        LayerMemory& kept = memory(l);
        const auto& of = readers[static_cast<std::size_t>(l + 1)];
        const std::int64_t last_reader = of.empty() ? l : of.back();
        const bool starts =
            l + 1 == layers || std::find(starts_.begin(), starts_.end(), l) != starts_.end();
        kept.stays = output_stays(l);
        // Outputs and starts of the network stay whatever else runs.
        take_rows(kept.output, layer.outputs, starts ? 0 : l, kept.stays ? end : last_reader);
        kept.before_normalisation = {};
        if (keeps_before_normalisation(l)) {
            take_rows(kept.before_normalisation, layer.outputs, l, end);
            if (use_.everything) {
                take_rows(kept.normalised_gradient, layer.outputs, 0, end);
            }
        }
        take(kept.kept, computes(l).kept(maximum_rows_), l, use_.backward ? end : l);
        if (!use_.backward) {
            continue;
        }
        const bool gradient_stays = starts || use_.everything;
        take_rows(kept.gradient, layer.outputs, gradient_stays ? 0 : back(last_reader),
                  gradient_stays ? end : back(l));
        take(kept.scratch, computes(l).scratch(maximum_rows_), back(l), back(l));
        if (layer.has_weights() && !layer.fuses_weights()) {
            take(kept.apart, network_->weight(l).size() + network_->bias(l).size, back(l), back(l));
        }
    }

    // A gradient on its way into a sum lives within the step of one reader.
    Lifetime added{0, end, 0}, steering{0, end, 0};
    for (std::size_t value = 0; use_.backward && value < readers.size(); ++value) {
        if (contributions[value] < 2) {
            continue;
        }
        for (const std::int64_t reader : readers[value]) {
            const std::vector<int> sources = network_->shape().sources(reader);
            const bool steers = computes(reader).backward_at_once() && sources.size() > 1 &&
                                sources[1] + 1 == static_cast<int>(value);
            Lifetime& on_its_way = steers ? steering : added;
            const std::int64_t columns = value == 0
                                             ? network_->shape().inputs()
                                             : shape(static_cast<std::int64_t>(value) - 1).outputs;
            on_its_way = {std::max(on_its_way.size, maximum_rows_ * columns),
                          std::min(on_its_way.first, back(reader)),
                          std::max(on_its_way.last, back(reader))};
        }
    }
    added_ = steering_ = {};
    take(added_, added.size, added.first, added.last);
    take(steering_, steering.size, steering.first, steering.last);

    const MemoryPlan plan = plan_memory(lifetimes);
    values_ = DeviceArray<float>(network_->backend(), plan.size);
    room_apart_ = plan.apart;
    for (std::size_t i = 0; i < places.size(); ++i) {
        *places[i] = {values_.data() + plan.offsets[i], lifetimes[i].size};
    }
}

Matrix<float> Trace::before_normalisation(std::int64_t layer) const {
    const Vector<float> kept = memory(layer).before_normalisation;
    return kept.empty() ? made(layer) : rows_of(kept, shape(layer).outputs);
}

} // namespace patchforge
