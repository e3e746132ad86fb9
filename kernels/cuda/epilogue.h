// Bias is added by its owner; this is the rest of what follows a matrix product: activation and
// dropout of one element, and their derivative (formulas in kernels/operations/activation.h).
#pragma once

#include "kernels/cuda/philox.h"
#include "kernels/operations/activation.h"

namespace patchforge::cuda {

class ElementEpilogue {
  public:
    __device__ explicit ElementEpilogue(const Epilogue& epilogue)
        : activation_(epilogue.activation), slope_(epilogue.slope),
          // dropout_threshold() without its float64: a product with a power of two is exact.
          threshold_(static_cast<std::uint32_t>(epilogue.dropout * 4294967296.0f)),
          kept_scale_(1.0f / (1.0f - epilogue.dropout)), draw_(epilogue.random) {}

    __device__ bool is_identity() const { return activation_ == Activation::identity && !drops(); }
    __device__ bool drops() const { return threshold_ != 0; }

    __device__ float apply(float z, std::int64_t element) const {
        return drops() ? apply_with_word(z, draw_.word(element)) : activate(z);
    }

    // The factor that turns dy into dz, from the output y.
    __device__ float derivative(float y, std::int64_t element) const {
        return drops() ? derivative_with_word(y, draw_.word(element)) : slope_at(y);
    }

    // z = apply(z) for elements first ... first + 3.
    __device__ void apply_quad(float (&z)[4], std::int64_t first) const {
        std::uint32_t word[4];
        words_of_quad(word, first);
        PATCHFORGE_UNROLL
        for (int i = 0; i < 4; ++i) {
            z[i] = drops() ? apply_with_word(z[i], word[i]) : activate(z[i]);
        }
    }

    // gradient *= derivative(y), for such a quad.
    __device__ void multiply_by_derivative(float (&gradient)[4], const float (&y)[4],
                                           std::int64_t first) const {
        std::uint32_t word[4];
        words_of_quad(word, first);
        PATCHFORGE_UNROLL
        for (int i = 0; i < 4; ++i) {
            gradient[i] *= drops() ? derivative_with_word(y[i], word[i]) : slope_at(y[i]);
        }
    }

  private:
    // One call of Philox gives all four when the first element starts its group.
    __device__ void words_of_quad(std::uint32_t (&word)[4], std::int64_t first) const {
        PATCHFORGE_UNROLL
        for (int i = 0; i < 4; ++i) {
            word[i] = 0;
        }
        if (drops() && first % 4 == 0) {
            draw_.words(word, static_cast<std::uint32_t>(first / 4));
        } else if (drops()) {
            PATCHFORGE_UNROLL
            for (int i = 0; i < 4; ++i) {
                word[i] = draw_.word(first + i);
            }
        }
    }

    __device__ float apply_with_word(float z, std::uint32_t word) const {
        return word >= threshold_ ? activate(z) * kept_scale_ : 0.0f;
    }

    __device__ float derivative_with_word(float y, std::uint32_t word) const {
        return word >= threshold_ ? slope_at(y / kept_scale_) * kept_scale_ : 0.0f;
    }

    __device__ float activate(float z) const {
        switch (activation_) {
        case Activation::relu:
            return z < 0.0f ? 0.0f : z; // a NaN stays one
        case Activation::leaky_relu:
            return z > 0.0f ? z : slope_ * z;
        case Activation::tanh:
            return tanhf(z);
        case Activation::sigmoid:
            return 1.0f / (1.0f + expf(-z));
        case Activation::identity:
            break;
        }
        return z;
    }

    // The activation's slope where its value is t.
    __device__ float slope_at(float t) const {
        switch (activation_) {
        case Activation::relu:
            return t > 0.0f ? 1.0f : 0.0f;
        case Activation::leaky_relu:
            return t > 0.0f ? 1.0f : slope_;
        case Activation::tanh:
            return 1.0f - t * t;
        case Activation::sigmoid:
            return t * (1.0f - t);
        case Activation::identity:
            break;
        }
        return 1.0f;
    }

    Activation activation_;
    float slope_;
    std::uint32_t threshold_;
    float kept_scale_;
    PhiloxDraw draw_;
};

} // namespace patchforge::cuda
