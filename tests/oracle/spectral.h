// kernels/operations/spectral.h in float64, on a matrix that is written out.
#pragma once

#include <algorithm>
#include <cmath>

#include "kernels/operations/spectral.h"
#include "tests/oracle/matrix.h"

namespace patchforge::oracle {

struct Spectral {
    std::vector<double> u, v;
    double sigma = 0;
    std::vector<double> y; // in the order of the weights
};

// Where the elements of the matrix lie among the weights.
inline std::int64_t spectral_element(const SpectralMatrix& m, std::int64_t row,
                                     std::int64_t column) {
    return (column / m.inner * m.rows + row) * m.inner + column % m.inner;
}

inline std::vector<double> unit(std::vector<double> vector) {
    double squares = 0;
    for (const double value : vector) {
        squares += value * value;
    }
    for (double& value : vector) {
        value /= std::max(std::sqrt(squares), 1e-12);
    }
    return vector;
}

inline Spectral spectral_normalise(const std::vector<double>& weight, std::vector<double> u,
                                   std::vector<double> v, const SpectralMatrix& m, int iterations) {
    const auto w = [&](std::int64_t r, std::int64_t c) {
        return weight.at(static_cast<std::size_t>(spectral_element(m, r, c)));
    };
    const auto by_rows = [&] {
        std::vector<double> product(static_cast<std::size_t>(m.rows));
        for (std::int64_t r = 0; r < m.rows; ++r) {
            for (std::int64_t c = 0; c < m.columns(); ++c) {
                product[static_cast<std::size_t>(r)] += w(r, c) * v.at(static_cast<std::size_t>(c));
            }
        }
        return product;
    };
    for (int i = 0; i < iterations; ++i) {
        std::vector<double> product(static_cast<std::size_t>(m.columns()));
        for (std::int64_t c = 0; c < m.columns(); ++c) {
            for (std::int64_t r = 0; r < m.rows; ++r) {
                product[static_cast<std::size_t>(c)] += w(r, c) * u.at(static_cast<std::size_t>(r));
            }
        }
        v = unit(product);
        u = unit(by_rows());
    }
    Spectral result{u, v, 0, weight};
    const auto product = by_rows();
    for (std::size_t r = 0; r < u.size(); ++r) {
        result.sigma += u[r] * product[r];
    }
    for (double& value : result.y) {
        value /= result.sigma;
    }
    return result;
}

} // namespace patchforge::oracle
