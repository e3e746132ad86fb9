#include "host/network/layer.h"

#include <stdexcept>

namespace patchforge {

double Layer::operations(std::int64_t) const {
    return 0;
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
    input_gradient(backend, dx, 0, dz, weight.value, x, previous);
    weight_gradient_adam(backend, weight, bias, dz, x, adam);
}

} // namespace patchforge
