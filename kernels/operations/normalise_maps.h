// Normalisation of maps by sets of their elements (kernels/map_sets.h: batch, instance and group
// normalisation are one operation): with m the mean and v the biased variance of the set that holds
// x [B, C * H * W], and c the element's channel,
//     y = epilogue(scale[c] * (x - m) / sqrt(v + 1e-5) + shift[c]).
// scale and shift [C] may both be empty (1 and 0). statistics [2, sets] = m, then v. Sums in float64
// about the set's first element, in a fixed order. `sums` is room for sets.sums(B) intermediate
// numbers; what it holds afterwards is unspecified. Sets that validate(B) refuses are refused here.
#pragma once

#include "kernels/map_sets.h"
#include "kernels/operations/activation.h"
#include "kernels/operations/normalise.h"
#include "kernels/views.h"

namespace patchforge {

// What evaluation normalises by: means and variances [2, C] that follow those of training batches,
//     running = (1 - momentum) * running + momentum * (m, v n / (n - 1))
// with the unbiased variance, n elements a set, as PyTorch does. Parts of a batch do so one after
// the other. Of sets of one channel.
struct RunningStatistics {
    Matrix<float> values; // empty: not kept
    float momentum = 0.1f;
};

struct NormaliseMapsOperations {
    virtual ~NormaliseMapsOperations() = default;

    // y may be x.
    virtual void normalise_maps(Matrix<float> y, Matrix<float> statistics,
                                const RunningStatistics& running, Vector<double> sums,
                                Matrix<const float> x, const MapSets& sets,
                                Vector<const float> scale, Vector<const float> shift,
                                const Epilogue& epilogue) = 0;

    // The same with given statistics [2, sets]. Evaluation: those that were running, and sets of B
    // rows by one channel; a row's result does then not depend on its neighbours. y may be x.
    virtual void normalise_maps_by(Matrix<float> y, Matrix<const float> x,
                                   Matrix<const float> statistics, const MapSets& sets,
                                   Vector<const float> scale, Vector<const float> shift,
                                   const Epilogue& epilogue) = 0;

    // From dy, the gradient before the epilogue: dx, through the statistics too, times previous'(x)
    // for the epilogue that made x; d_scale, d_shift [C], added to what is there when `accumulate`,
    // or both empty. With N the normalised x, g = scale[c] dy and means over the set
    //     dx = (g - mean(g) - N mean(g N)) / sqrt(v + 1e-5).
    // dx may be dy, not x.
    virtual void normalise_maps_gradient(Matrix<float> dx, Vector<float> d_scale,
                                         Vector<float> d_shift, Vector<double> sums,
                                         Matrix<const float> dy, Matrix<const float> x,
                                         Matrix<const float> statistics, const MapSets& sets,
                                         Vector<const float> scale, const Epilogue& previous,
                                         bool accumulate) = 0;

    // The gradient of normalise_maps_by by x: dx = scale[c] dy / sqrt(v + 1e-5) previous'(x). x is
    // read only if `previous` is not the identity. dx may be dy.
    virtual void normalise_maps_by_gradient(Matrix<float> dx, Matrix<const float> dy,
                                            Matrix<const float> x, Matrix<const float> statistics,
                                            const MapSets& sets, Vector<const float> scale,
                                            const Epilogue& previous) = 0;

    // How y before its epilogue changes where x changes along t, statistics included: with N the
    // normalised x and means over the set, which may have a single element here,
    //     ty = scale[c] T    T = (t - mean(t) - N mean(t N)) / sqrt(v + 1e-5).
    // ty may be t, not x.
    virtual void normalise_maps_tangent(Matrix<float> ty, Vector<double> sums,
                                        Matrix<const float> t, Matrix<const float> x,
                                        Matrix<const float> statistics, const MapSets& sets,
                                        Vector<const float> scale) = 0;

    // The gradient of <dy, ty> by x and scale, for constants dy and t, added to dx and d_scale (which
    // may be empty): with g = scale[c] dy, G made of g as T is of t, and means over the set
    //     dx -= (N mean(g T) + mean(g N) T + mean(t N) G) / sqrt(v + 1e-5)    d_scale[c] += sum of dy T.
    // docs/derivations/gradient_penalty.md derives it. dx is none of dy, t and x. `sums` is room for
    // sets.curvature_sums(B) numbers.
    virtual void normalise_maps_curvature(Matrix<float> dx, Vector<float> d_scale,
                                          Vector<double> sums, Matrix<const float> dy,
                                          Matrix<const float> t, Matrix<const float> x,
                                          Matrix<const float> statistics, const MapSets& sets,
                                          Vector<const float> scale) = 0;
};

} // namespace patchforge
