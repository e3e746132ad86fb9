// Spectral normalisation (Miyato et al. 2018): a layer's weights divided by their largest singular value
// sigma, which power iteration follows from one call to the next. u and v are state: they belong into
// the checkpoint.
#pragma once

#include "kernels/views.h"

namespace patchforge {

// Weights [outer, rows, inner] as the matrix [rows, outer * inner] whose singular value is meant. The
// rows are outputs: outer = 1 for linear layers and convolutions, [out, in, kh, kw]; for transposed
// convolutions, [in, out, kh, kw], outer = in.
struct SpectralMatrix {
    std::int64_t outer = 1;
    std::int64_t rows = 1;
    std::int64_t inner = 1;

    std::int64_t columns() const { return outer * inner; }
    std::int64_t size() const { return rows * columns(); }
};

struct SpectralOperations {
    virtual ~SpectralOperations() = default;

    // `iterations` times v = W^T u / max(|W^T u|, 1e-12), u = W v / max(|W v|, 1e-12); then sigma [1] =
    // u^T W v and y = W / sigma. u [rows], v [columns()], of unit length, as PyTorch's weight_u and
    // weight_v. Training makes one iteration a pass forward; evaluation none, which leaves u and v alone.
    // rows + columns() <= 2 million: a GPU keeps that many intermediate sums.
    virtual void spectral_normalise(Vector<float> y, Vector<float> sigma, Vector<float> u,
                                    Vector<float> v, Vector<const float> weight,
                                    const SpectralMatrix& matrix, int iterations) = 0;

    // d_weight = (dy - (sum of dy * y) u v^T) / sigma, added to what is there when `accumulate`: u and v
    // are constants, sigma is not. y, sigma, u, v as the pass forward left them. d_weight may be dy.
    virtual void spectral_gradient(Vector<float> d_weight, Vector<const float> dy,
                                   Vector<const float> y, Vector<const float> sigma,
                                   Vector<const float> u, Vector<const float> v,
                                   const SpectralMatrix& matrix, bool accumulate) = 0;
};

} // namespace patchforge
