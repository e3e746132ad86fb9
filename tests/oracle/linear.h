// The matrix products of kernels/operations/linear.h in float64.
#pragma once

#include <cmath>

#include "tests/oracle/matrix.h"

namespace patchforge::oracle {

// A sum of products, and the sum of their magnitudes, from which follows what float32 may lose.
struct Products {
    DoubleMatrix value;
    DoubleMatrix magnitude;

    Products(std::int64_t rows, std::int64_t columns)
        : value(rows, columns), magnitude(rows, columns) {}

    void add(std::int64_t row, std::int64_t column, double term) {
        const auto at = static_cast<std::size_t>(row * value.columns + column);
        value.values[at] += term;
        magnitude.values[at] += std::fabs(term);
    }
};

// z [B, O] = x [B, I] weight [O, I]^T + bias [O] (or none).
inline Products linear(const DoubleMatrix& x, const DoubleMatrix& weight,
                       const std::vector<double>& bias) {
    Products z(x.rows, weight.rows);
    for (std::int64_t b = 0; b < x.rows; ++b) {
        for (std::int64_t o = 0; o < weight.rows; ++o) {
            for (std::int64_t i = 0; i < x.columns; ++i) {
                z.add(b, o, x(b, i) * weight(o, i));
            }
            if (!bias.empty()) {
                z.add(b, o, bias.at(static_cast<std::size_t>(o)));
            }
        }
    }
    return z;
}

// dx [B, I] = dz [B, O] weight [O, I].
inline Products linear_input_gradient(const DoubleMatrix& dz, const DoubleMatrix& weight) {
    Products dx(dz.rows, weight.columns);
    for (std::int64_t b = 0; b < dz.rows; ++b) {
        for (std::int64_t o = 0; o < weight.rows; ++o) {
            for (std::int64_t i = 0; i < weight.columns; ++i) {
                dx.add(b, i, dz(b, o) * weight(o, i));
            }
        }
    }
    return dx;
}

// d_weight [O, I] = dz [B, O]^T x [B, I].
inline Products linear_weight_gradient(const DoubleMatrix& dz, const DoubleMatrix& x) {
    Products d_weight(dz.columns, x.columns);
    for (std::int64_t b = 0; b < dz.rows; ++b) {
        for (std::int64_t o = 0; o < dz.columns; ++o) {
            for (std::int64_t i = 0; i < x.columns; ++i) {
                d_weight.add(o, i, dz(b, o) * x(b, i));
            }
        }
    }
    return d_weight;
}

// d_bias [1, O] = column sums of dz [B, O].
inline Products linear_bias_gradient(const DoubleMatrix& dz) {
    Products d_bias(1, dz.columns);
    for (std::int64_t b = 0; b < dz.rows; ++b) {
        for (std::int64_t o = 0; o < dz.columns; ++o) {
            d_bias.add(0, o, dz(b, o));
        }
    }
    return d_bias;
}

} // namespace patchforge::oracle
