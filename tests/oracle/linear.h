// The matrix products of kernels/operations/linear.h in float64.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

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
    // factor * others, to a whole row.
    void add_row(std::int64_t row, double factor, const double* others) {
        double *values = value.row(row), *magnitudes = magnitude.row(row);
        for (std::int64_t c = 0; c < value.columns; ++c) {
            const double term = factor * others[c];
            values[c] += term;
            magnitudes[c] += std::fabs(term);
        }
    }
};

// z [B, O] = x [B, I] weight [O, I]^T + bias [O] (or none). Sums wait for their last term: four of them are
// taken together, which is five times as fast as one.
inline Products linear(const DoubleMatrix& x, const DoubleMatrix& weight,
                       const std::vector<double>& bias) {
    struct Sum {
        double value = 0, magnitude = 0;
        void add(double term) {
            value += term;
            magnitude += std::fabs(term);
        }
    };
    Products z(x.rows, weight.rows);
    for (std::int64_t b = 0; b < x.rows; ++b) {
        const double* row = x.row(b);
        for (std::int64_t o = 0; o < weight.rows; o += 4) {
            // Past the last row the last one is summed again.
            const auto weights = [&](std::int64_t n) {
                return weight.row(std::min(o + n, weight.rows - 1));
            };
            const double *w0 = weights(0), *w1 = weights(1), *w2 = weights(2), *w3 = weights(3);
            Sum s0, s1, s2, s3;
            for (std::int64_t i = 0; i < x.columns; ++i) {
                s0.add(row[i] * w0[i]);
                s1.add(row[i] * w1[i]);
                s2.add(row[i] * w2[i]);
                s3.add(row[i] * w3[i]);
            }
            std::int64_t at = o;
            for (const Sum& sum : {s0, s1, s2, s3}) {
                if (at < weight.rows) {
                    z.value(b, at) = sum.value;
                    z.magnitude(b, at) = sum.magnitude;
                    if (!bias.empty()) {
                        z.add(b, at, bias.at(static_cast<std::size_t>(at)));
                    }
                }
                ++at;
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
            dx.add_row(b, dz(b, o), weight.row(o));
        }
    }
    return dx;
}

// d_weight [O, I] = dz [B, O]^T x [B, I].
inline Products linear_weight_gradient(const DoubleMatrix& dz, const DoubleMatrix& x) {
    Products d_weight(dz.columns, x.columns);
    for (std::int64_t o = 0; o < dz.columns; ++o) {
        for (std::int64_t b = 0; b < dz.rows; ++b) {
            d_weight.add_row(o, dz(b, o), x.row(b));
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
