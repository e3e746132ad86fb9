// kernels/operations/condition.h in float64.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include "tests/oracle/matrix.h"
#include "tests/oracle/philox.h"

namespace patchforge::oracle {

inline DoubleMatrix augment_condition(const DoubleMatrix& noise, const DoubleMatrix& statistics) {
    DoubleMatrix y(noise.rows, noise.columns);
    for (std::int64_t row = 0; row < y.rows; ++row) {
        for (std::int64_t c = 0; c < y.columns; ++c) {
            const double deviation = std::sqrt(std::exp(statistics(row, y.columns + c)));
            y(row, c) = statistics(row, c) + deviation * noise(row, c);
        }
    }
    return y;
}

inline double gaussian_divergence(const DoubleMatrix& statistics) {
    const std::int64_t half = statistics.columns / 2;
    double sum = 0;
    for (std::int64_t row = 0; row < statistics.rows; ++row) {
        for (std::int64_t c = 0; c < half; ++c) {
            const double mean = statistics(row, c), variance = std::exp(statistics(row, half + c));
            sum += (mean * mean + variance - 1 - std::log(variance)) / 2;
        }
    }
    return sum / static_cast<double>(statistics.rows * half);
}

inline std::vector<double> row_dot(const DoubleMatrix& p, const DoubleMatrix& q) {
    std::vector<double> y(static_cast<std::size_t>(p.rows));
    for (std::int64_t row = 0; row < p.rows; ++row) {
        for (std::int64_t c = 0; c < p.columns; ++c) {
            y[static_cast<std::size_t>(row)] += p(row, c) * q(row, c);
        }
    }
    return y;
}

// A list of the classes that are left, from the one behind the label on, and a place in it.
inline std::int32_t other_label(std::int32_t label, std::int64_t classes, std::uint32_t word) {
    std::vector<std::int32_t> others;
    for (std::int64_t c = 1; c < classes; ++c) {
        others.push_back(static_cast<std::int32_t>((label + c) % classes));
    }
    return others[static_cast<std::size_t>(static_cast<double>(word) / 4294967296.0 *
                                           static_cast<double>(others.size()))];
}

} // namespace patchforge::oracle
