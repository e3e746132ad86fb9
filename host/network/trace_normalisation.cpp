// What stands between a layer and its activation, forward and back.
#include <stdexcept>

#include "host/network/trace.h"

namespace patchforge {

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

bool Trace::folds(std::int64_t layer) const {
    return !training_ && !batch_statistics_ &&
           memory_[static_cast<std::size_t>(layer)].folded_weight.size() > 0;
}

// The weights as maps of the layer's outputs: what evaluation does to a channel's pixels it does to its
// weights, the mean and the shift apart, which the bias takes.
void Trace::fold(std::int64_t layer) {
    Backend& backend = network_->backend();
    LayerMemory& kept = memory(layer);
    const SpectralMatrix matrix = shape(layer).spectral_matrix();
    const auto channels = static_cast<int>(matrix.rows);
    const Matrix<float> running = network_->running_statistics(layer);
    const Vector<const float> weight = unfolded_weight(layer);
    backend.normalise_maps_by_gradient(
        kept.folded_weight.matrix(matrix.outer, matrix.rows * matrix.inner),
        {weight.data, matrix.outer, matrix.rows * matrix.inner}, {}, running,
        {{channels, static_cast<int>(matrix.inner), 1}, matrix.outer, 1}, network_->scale(layer),
        {});
    const Matrix<float> bias = kept.folded_bias.matrix(1, channels);
    if (network_->bias(layer).empty()) {
        backend.fill(bias.flat(), 0);
    } else {
        backend.copy(bias.data, network_->bias(layer).data, matrix.rows * sizeof(float));
    }
    backend.normalise_maps_by(bias, bias, running, {{channels, 1, 1}, 1, 1}, network_->scale(layer),
                              network_->shift(layer), {});
}

void Trace::normalise_maps(std::int64_t layer) {
    Backend& backend = network_->backend();
    const Matrix<float> y = made(layer);
    const Matrix<float> z = before_normalisation(layer);
    const Vector<float> scale = network_->scale(layer), shift = network_->shift(layer);
    const Epilogue& epilogue = epilogues_[static_cast<std::size_t>(layer)];
    const bool batch = shape(layer).normalisation == Normalisation::batch;
    if (batch && !by_own_statistics(layer)) {
        backend.normalise_maps_by(y, z, network_->running_statistics(layer), sets_of(layer, rows_),
                                  scale, shift, epilogue);
        return;
    }
    const MapSets sets = sets_of(layer, group_rows());
    backend.normalise_maps(
        y, statistics_of(layer),
        batch && training_ ? RunningStatistics{network_->running_statistics(layer), momentum_}
                           : RunningStatistics{},
        memory(layer).sums.view().part(0, sets.sums(rows_)), z, sets, scale, shift, epilogue);
}

void Trace::normalise_maps_gradient(std::int64_t layer, Vector<float> d_scale,
                                    Vector<float> d_shift, bool accumulate) {
    Backend& backend = network_->backend();
    const Matrix<float> d = gradient(layer);
    const Matrix<float> z = before_normalisation(layer);
    if (shape(layer).normalisation == Normalisation::batch && !by_own_statistics(layer)) {
        backend.normalise_maps_by_gradient(d, d, z, network_->running_statistics(layer),
                                           sets_of(layer, rows_), network_->scale(layer), {});
        return;
    }
    const MapSets sets = sets_of(layer, group_rows());
    backend.normalise_maps_gradient(
        d, d_scale, d_shift, memory(layer).sums.view().part(0, sets.sums(rows_)), d, z,
        statistics_of(layer), sets, network_->scale(layer), {}, accumulate);
}

Matrix<float> Trace::statistics_of(std::int64_t layer) const {
    return memory(layer).statistics.matrix(2, sets_of(layer, group_rows()).count(rows_));
}

bool Trace::bends(std::int64_t layer) const {
    const Normalisation by = shape(layer).normalisation;
    return by == Normalisation::instance || by == Normalisation::group ||
           (by == Normalisation::batch && by_own_statistics(layer));
}

void Trace::normalise_tangent(std::int64_t layer, Matrix<float> ty, Matrix<const float> t) {
    Backend& backend = network_->backend();
    const Vector<float> scale = network_->scale(layer);
    if (!bends(layer)) {
        backend.normalise_maps_by_gradient(ty, t, {}, network_->running_statistics(layer),
                                           sets_of(layer, rows_), scale, {});
        return;
    }
    backend.normalise_maps_tangent(ty, memory(layer).sums.view(), t, before_normalisation(layer),
                                   statistics_of(layer), sets_of(layer, group_rows()), scale);
}

void Trace::add_curvature(std::int64_t layer, const Backward& pass) {
    const Vector<float> scale = network_->scale(layer);
    network_->backend().normalise_maps_curvature(
        gradient(layer),
        scale.empty() || !shape(layer).trained
            ? Vector<float>{}
            : Vector<float>{network_->gradient_of(pass.gradients, scale.data), scale.size},
        memory(layer).sums.view(), rows_of(memory(layer).normalised_gradient, shape(layer).outputs),
        pass.tangents->at(static_cast<std::size_t>(layer)), before_normalisation(layer),
        statistics_of(layer), sets_of(layer, group_rows()), scale);
}

// Above the last layer that bends there is nothing to add.
void Trace::backward_curvature(Vector<float> gradients,
                               const std::vector<Matrix<const float>>& tangents) {
    Backward pass;
    pass.from = network_->layer_count() - 1;
    while (pass.from >= 0 && !bends(pass.from)) {
        --pass.from;
    }
    if (pass.from < 0) {
        return;
    }
    pass.gradients = gradients;
    pass.accumulate = true;
    pass.tangents = &tangents;
    network_->backend().fill(gradient(pass.from).flat(), 0);
    backward(pass);
}

void Trace::normalise(std::int64_t layer) {
    if (of_maps(layer)) {
        normalise_maps(layer);
        return;
    }
    Backend& backend = network_->backend();
    const LayerShape& l = shape(layer);
    const Matrix<float> y = made(layer);
    const Matrix<float> z = before_normalisation(layer);
    const Matrix<float> running = network_->running_statistics(layer);
    const Vector<float> scale = network_->scale(layer), shift = network_->shift(layer);
    const bool virtual_batch = l.normalisation == Normalisation::virtual_batch;
    if (!by_own_statistics(layer)) {
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
        if (!training_) {
            continue;
        }
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

void Trace::normalise_gradient(std::int64_t layer, const Backward& pass) {
    const Vector<float> gradients = pass.gradients;
    const bool accumulate = pass.accumulate;
    Backend& backend = network_->backend();
    const LayerShape& l = shape(layer);
    const Vector<float> scale = network_->scale(layer);
    const auto target = [&](Vector<float> tensor) {
        return tensor.empty() ? Vector<float>{}
               : gradients.empty() || !l.trained
                   ? memory(layer).affine.view().part(tensor.data - scale.data, tensor.size)
                   : Vector<float>{network_->gradient_of(gradients, tensor.data), tensor.size};
    };
    const Vector<float> d_scale = target(scale);
    const Vector<float> d_shift = target(network_->shift(layer));
    if ((pass.updated || !gradients.empty()) && !training_ && !batch_statistics_ &&
        l.normalisation == Normalisation::batch) {
        throw std::logic_error("Trace: gradients of parameters are those of a training pass");
    }
    if (folds(layer)) {
        return; // the weights take it down
    }
    if (!memory(layer).normalised_gradient.empty() && !pass.tangents) {
        backend.copy(memory(layer).normalised_gradient.data, gradient(layer).data,
                     static_cast<std::size_t>(gradient(layer).size()) * sizeof(float));
    }
    if (of_maps(layer) || (!by_own_statistics(layer) && l.normalisation == Normalisation::batch)) {
        normalise_maps_gradient(layer, d_scale, d_shift, accumulate && !gradients.empty());
    } else {
        normalise_columns_gradient(layer, d_scale, d_shift, accumulate);
    }
    if (pass.updated && l.trained && !d_scale.empty()) {
        backend.adam(pass.updated->affine_state(layer), memory(layer).affine.view(), pass.adam);
    }
}

void Trace::normalise_columns_gradient(std::int64_t layer, Vector<float> d_scale,
                                       Vector<float> d_shift, bool accumulate) {
    const LayerShape& l = shape(layer);
    const Matrix<float> d = gradient(layer);
    const Matrix<float> z = before_normalisation(layer);
    const Matrix<float> statistics = memory(layer).statistics.matrix(2 * maximum_groups, l.outputs);
    const bool virtual_batch = l.normalisation == Normalisation::virtual_batch;
    const std::int64_t parts = virtual_batch ? 1 : groups_;
    const std::int64_t rows = rows_ / parts;
    for (std::int64_t part = 0; part < parts; ++part) {
        const Matrix<float> d_part = d.row_range(part * rows, rows);
        network_->backend().normalise_gradient(
            d_part, d_scale, d_shift, d_part, z.row_range(part * rows, rows),
            statistics.row_range(2 * part, 2), virtual_batch ? l.reference_rows : rows,
            network_->scale(layer), accumulate || part > 0);
    }
}

} // namespace patchforge
