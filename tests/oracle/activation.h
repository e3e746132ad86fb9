// kernels/operations/activation.h in float64.
#pragma once

#include <cmath>
#include <stdexcept>

#include "kernels/operations/activation.h"
#include "tests/oracle/matrix.h"
#include "tests/oracle/philox.h"

namespace patchforge::oracle {

inline double activation_value(Activation activation, double slope, double z) {
    switch (activation) {
    case Activation::identity:
        return z;
    case Activation::relu:
        return z > 0 ? z : 0;
    case Activation::leaky_relu:
        return z > 0 ? z : slope * z;
    case Activation::tanh:
        return std::tanh(z);
    case Activation::sigmoid:
        return 1 / (1 + std::exp(-z));
    }
    throw std::invalid_argument("activation: unknown");
}

// The derivative by z, from the activation's value.
inline double activation_derivative(Activation activation, double slope, double value) {
    switch (activation) {
    case Activation::identity:
        return 1;
    case Activation::relu:
        return value > 0 ? 1 : 0;
    case Activation::leaky_relu:
        return value > 0 ? 1 : slope;
    case Activation::tanh:
        return 1 - value * value;
    case Activation::sigmoid:
        return value * (1 - value);
    }
    throw std::invalid_argument("activation: unknown");
}

// patchforge::Epilogue at one draw.
struct Epilogue {
    Activation activation = Activation::identity;
    double slope = 0.2f;
    double dropout = 0;
    Stream random;

    Epilogue() = default;
    Epilogue(const patchforge::Epilogue& from, std::uint64_t draw)
        : activation(from.activation), slope(from.slope),
          dropout(from.dropout), random{from.random.seed, from.random.purpose, draw} {}

    bool keeps(std::uint64_t element) const {
        return dropout == 0 || random.word(element) >= std::floor(std::ldexp(dropout, 32));
    }
    double value(double z, std::uint64_t element) const {
        return keeps(element) ? activation_value(activation, slope, z) / (1 - dropout) : 0;
    }
    double derivative(double y, std::uint64_t element) const {
        return keeps(element)
                   ? activation_derivative(activation, slope, y * (1 - dropout)) / (1 - dropout)
                   : 0;
    }
};

inline DoubleMatrix activate(DoubleMatrix z, const Epilogue& epilogue) {
    for (std::size_t e = 0; e < z.values.size(); ++e) {
        z.values[e] = epilogue.value(z.values[e], e);
    }
    return z;
}

// The gradient by z from the one by y = activate(z).
inline DoubleMatrix activation_gradient(DoubleMatrix dy, const DoubleMatrix& y,
                                        const Epilogue& epilogue) {
    for (std::size_t e = 0; e < dy.values.size(); ++e) {
        dy.values[e] *= epilogue.derivative(y.values[e], e);
    }
    return dy;
}

} // namespace patchforge::oracle
