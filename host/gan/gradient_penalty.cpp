#include "host/gan/gradient_penalty.h"

#include <stdexcept>

namespace patchforge {

namespace {

const Network& penalised(const Network& discriminator) {
    if (const std::string reason = Tangent::why_none(discriminator.shape()); !reason.empty()) {
        throw std::invalid_argument("--lambda-gp, --r1: the discriminator's " + reason +
                                    " (--network-d takes any text)");
    }
    return discriminator;
}

} // namespace

GradientPenalty::GradientPenalty(const Network& discriminator, std::int64_t maximum_rows,
                                 std::int64_t pixels)
    : network_(&penalised(discriminator)), pixels_(pixels),
      pass_(discriminator, maximum_rows, {.everything = true}),
      tangent_(discriminator, maximum_rows),
      input_gradient_(discriminator.backend(), maximum_rows * discriminator.shape().inputs()),
      row_values_(discriminator.backend(), maximum_rows) {
    if (pixels < discriminator.shape().inputs()) {
        slope_ = DeviceArray<float>(discriminator.backend(), maximum_rows * pixels);
    }
}

void GradientPenalty::add_gradient(Vector<float> gradients, Vector<float> penalty,
                                   Matrix<const float> input, float weight, Slope slope) {
    Backend& backend = network_->backend();
    const Matrix<float> g = input_gradient_.matrix(input.rows, input.columns);
    pass_.forward(input, {.batch_statistics = true});
    for (const int head : network_->shape().heads()) {
        const Matrix<float> d = pass_.gradient(head);
        backend.fill(d.flat(), 1.0f / static_cast<float>(d.columns));
    }
    pass_.backward_input(g);
    if (slope_.size() == 0) {
        penalise(g, penalty, weight, slope);
    } else {
        const Matrix<float> of_pixels = slope_.matrix(input.rows, pixels_);
        backend.copy_columns(of_pixels, 0, g, 0, pixels_);
        penalise(of_pixels, penalty, weight, slope);
        backend.fill(g.flat(), 0);
        backend.copy_columns(g, 0, of_pixels, 0, pixels_);
    }
    tangent_.add_gradients(gradients, pass_, input, g);
}

void GradientPenalty::penalise(Matrix<float> g, Vector<float> penalty, float weight, Slope slope) {
    Backend& backend = network_->backend();
    const Vector<float> of_rows = row_values_.view().part(0, g.rows);
    if (slope == Slope::one) {
        backend.penalise_slope(g, of_rows, g, weight);
        backend.column_mean(penalty, {of_rows.data, g.rows, 1});
        return;
    }
    const float share = weight / static_cast<float>(g.rows);
    const Matrix<const float> norms{of_rows.data, 1, g.rows};
    backend.row_norms(of_rows, g, {}, Norm::l2);
    backend.linear_forward({penalty.data, 1, 1}, norms, norms, {}, {});
    backend.affine(penalty, penalty, share / 2, 0);
    backend.affine(g.flat(), g.flat(), share, 0);
}

} // namespace patchforge
