#include "host/network/layer.h"

#include <functional>
#include <numeric>
#include <stdexcept>

namespace patchforge {

double Layer::operations(std::int64_t) const {
    return 0;
}

SpectralMatrix Layer::spectral_matrix() const {
    const std::vector<std::int64_t> lengths = weight_shape();
    SpectralMatrix matrix;
    matrix.rows = lengths.front();
    matrix.inner =
        std::accumulate(lengths.begin() + 1, lengths.end(), std::int64_t{1}, std::multiplies<>());
    return matrix;
}

void Layer::input_gradient(Backend&, Matrix<float>, std::size_t, Matrix<const float>,
                           Vector<const float>, Matrix<const float>, const Epilogue&,
                           const LayerPass&) const {
    throw std::logic_error(text() + ": all its gradients are one operation");
}

void Layer::weight_gradient(Backend&, Vector<float>, Vector<float>, Matrix<const float>,
                            Matrix<const float>, bool) const {
    throw std::logic_error(text() + ": has no weights");
}

void Layer::weight_gradient_adam(Backend&, AdamTensor, AdamTensor, Matrix<const float>,
                                 Matrix<const float>, const Adam&) const {
    throw std::logic_error(text() + ": has no weights");
}

void Layer::backward_adam(Backend& backend, Matrix<float> dx, AdamTensor weight, AdamTensor bias,
                          Matrix<const float> dz, Matrix<const float> x, const Epilogue& previous,
                          const Adam& adam) const {
    input_gradient(backend, dx, 0, dz, weight.value, x, previous, {});
    weight_gradient_adam(backend, weight, bias, dz, x, adam);
}

void Layer::backward(Backend&, const Gradients&, Matrix<const float>,
                     const std::vector<Matrix<const float>>&, Vector<const float>, const Epilogue&,
                     const LayerPass&) const {
    throw std::logic_error(text() + ": its gradients are operations of their own");
}

} // namespace patchforge
