// What follows a matrix product: bias, activation, dropout. One description, used by the forward
// operations (which apply it) and by the backward ones (which multiply by its derivative).
#pragma once

#include "kernels/random.h"
#include "kernels/views.h"

namespace patchforge {

enum class Activation { identity, relu, leaky_relu, tanh, sigmoid };

// y = dropout(activation(z)), element by element:
//     identity z | relu max(z, 0) | leaky_relu z > 0 ? z : slope * z | tanh | sigmoid 1/(1+exp(-z))
// With dropout p > 0, element e of [rows, columns] (e = row * columns + column) is kept when its
// word of `random` is >= dropout_threshold(p), and then divided by 1 - p (inverted dropout);
// otherwise it is 0. p in [0, 1). No mask is stored: the backward pass draws it again.
struct Epilogue {
    Activation activation = Activation::identity;
    float slope = 0.2f; // of leaky_relu, in (0, 1)
    float dropout = 0;
    RandomStream random{};

    bool is_identity() const { return activation == Activation::identity && dropout == 0; }
};

struct ActivationOperations {
    virtual ~ActivationOperations() = default;

    // y [B, N] = epilogue(z [B, N]). y may be z.
    virtual void activate(Matrix<float> y, Matrix<const float> z, const Epilogue& epilogue) = 0;

    // y [B, N] = epilogue(a + b): the end of a residual block. y may be a or b.
    virtual void activate_sum(Matrix<float> y, Matrix<const float> a, Matrix<const float> b,
                              const Epilogue& epilogue) = 0;

    // dz [B, N] = dy * epilogue'(z), with the derivative worked out from the epilogue's output y:
    //     relu, leaky_relu: the sign of y | tanh 1 - t^2, sigmoid s(1 - s), with t, s the value
    //     before dropout's division | dropped elements 0, kept ones times 1/(1-p).
    // relu and leaky_relu at z = 0 take the derivative of z < 0, as PyTorch does. dz may be dy.
    virtual void activation_gradient(Matrix<float> dz, Matrix<const float> dy,
                                     Matrix<const float> y, const Epilogue& epilogue) = 0;
};

} // namespace patchforge
