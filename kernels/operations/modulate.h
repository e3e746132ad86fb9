// What steers maps from outside: FiLM (Perez et al. 2018), noise of a learned strength (StyleGAN:
// Karras, Laine & Aila 2019) and the deviation of a batch as a channel (Karras et al. 2018). A row of x
// [B, C * H * W] is a picture of `extent`.
#pragma once

#include "kernels/extent.h"
#include "kernels/operations/activation.h"
#include "kernels/random.h"
#include "kernels/views.h"

namespace patchforge {

// y = epilogue(x (1 + g[b, c]) + s[b, c] + strength[c] n[b, pixel]), either part left out when empty.
// n is standard normal, the same for all channels of a picture: element `pixel` of fill_normal with the
// draw noise.draw.value() + b. So a picture has a draw of its own: with a stride of the batch's size all
// pictures of a training differ, and picture k is the same in a batch as alone, with offset k.
struct Modulation {
    Matrix<const float> film;     // [B, 2 C]: g, then s
    Vector<const float> strength; // [C]
    RandomStream noise{};
};

struct ModulateOperations {
    virtual ~ModulateOperations() = default;

    // y may be x.
    virtual void modulate(Matrix<float> y, Matrix<const float> x, Extent extent,
                          const Modulation& modulation, const Epilogue& epilogue) = 0;

    // From dy, the gradient before the epilogue: dx = dy (1 + g) previous'(x) for the epilogue that made
    // x; d_film [B, 2 C] = sums over the pixels of dy x, then of dy; d_strength [C] = sums over
    // pictures and pixels of dy n, added to what is there when `accumulate`. d_film and d_strength are
    // empty where their part is. sums: room for B * C intermediate numbers, empty without noise. dx may
    // be dy, not x.
    virtual void modulate_gradient(Matrix<float> dx, Matrix<float> d_film, Vector<float> d_strength,
                                   Vector<double> sums, Matrix<const float> dy,
                                   Matrix<const float> x, Extent extent,
                                   const Modulation& modulation, const Epilogue& previous,
                                   bool accumulate) = 0;

    // y [B, (C + 1) H W] = x with one more channel, the same number t in all of its pixels: of each
    // `group` rows that follow each other (the last group takes what is left)
    //     t = mean over a picture's elements of sqrt(variance over the group's rows + 1e-8),
    // the variance biased.
    virtual void append_deviation(Matrix<float> y, Matrix<const float> x, Extent extent,
                                  std::int64_t group) = 0;

    // dx [B, C H W] = the gradient by x of append_deviation, from dy [B, (C + 1) H W].
    virtual void append_deviation_gradient(Matrix<float> dx, Matrix<const float> dy,
                                           Matrix<const float> x, Extent extent,
                                           std::int64_t group) = 0;
};

} // namespace patchforge
