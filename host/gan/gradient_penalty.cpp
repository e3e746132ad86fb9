#include "host/gan/gradient_penalty.h"

namespace patchforge {

GradientPenalty::GradientPenalty(const Network& discriminator, std::int64_t maximum_rows,
                                 std::int64_t pixels)
    : network_(&discriminator), pixels_(pixels), pass_(discriminator, maximum_rows),
      input_gradient_(discriminator.backend(), maximum_rows * discriminator.shape().inputs()),
      penalty_(discriminator.backend(), maximum_rows) {
    if (pixels < discriminator.shape().inputs()) {
        slope_ = DeviceArray<float>(discriminator.backend(), maximum_rows * pixels);
    }
    for (const LayerShape& layer : discriminator.shape().layers) {
        tangent_.emplace_back(discriminator.backend(), maximum_rows * layer.outputs);
    }
}

void GradientPenalty::add_gradient(Vector<float> gradients, Vector<float> penalty,
                                   Matrix<const float> input, float weight) {
    Backend& backend = network_->backend();
    const std::int64_t rows = input.rows;
    const Matrix<float> g = input_gradient_.matrix(rows, input.columns);
    pass_.forward(input);
    backend.fill(pass_.output_gradient().flat(), 1);
    pass_.backward_input(g);

    const Vector<float> of_rows = penalty_.view().part(0, rows);
    if (slope_.size() == 0) {
        backend.penalise_slope(g, of_rows, g, weight);
    } else {
        const Matrix<float> slope = slope_.matrix(rows, pixels_);
        backend.copy_columns(slope, 0, g, 0, pixels_);
        backend.penalise_slope(slope, of_rows, slope, weight);
        backend.fill(g.flat(), 0);
        backend.copy_columns(g, 0, slope, 0, pixels_);
    }
    backend.column_mean(penalty, {of_rows.data, rows, 1});

    Matrix<const float> tangent = g;
    for (std::int64_t layer = 0; layer < network_->layer_count(); ++layer) {
        const Matrix<float> w = network_->weight(layer);
        if (network_->shape().layers[static_cast<std::size_t>(layer)].trained) {
            backend.linear_weight_gradient(
                {network_->gradient_of(gradients, w.data), w.rows, w.columns}, {},
                pass_.gradient(layer), tangent, true);
        }
        if (layer + 1 < network_->layer_count()) {
            const Matrix<float> next =
                tangent_[static_cast<std::size_t>(layer)].matrix(rows, w.rows);
            backend.linear_forward(next, tangent, w, {}, {});
            backend.activation_gradient(next, next, pass_.output(layer), pass_.epilogue(layer));
            tangent = next;
        }
    }
}

} // namespace patchforge
