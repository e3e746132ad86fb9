// kernels/operations/modulate.h in float64.
#pragma once

#include <algorithm>
#include <cmath>

#include "kernels/operations/modulate.h"
#include "tests/oracle/matrix.h"
#include "tests/oracle/noise.h"

namespace patchforge::oracle {

// film [B, 2 C] and strength [C] may be empty; `first` is the draw of row 0's noise.
inline DoubleMatrix modulate(const DoubleMatrix& x, const Extent& extent, const DoubleMatrix& film,
                             const std::vector<double>& strength, const Stream& first) {
    const std::int64_t plane = std::int64_t{extent.height} * extent.width;
    DoubleMatrix y(x.rows, x.columns);
    for (std::int64_t row = 0; row < x.rows; ++row) {
        Stream picture = first;
        picture.draw += static_cast<std::uint64_t>(row);
        const auto noise = normal(plane, 0, 1, picture);
        for (std::int64_t column = 0; column < x.columns; ++column) {
            const std::int64_t channel = column / plane;
            double value = x(row, column);
            if (film.rows > 0) {
                value += film(row, channel) * x(row, column) + film(row, extent.channels + channel);
            }
            if (!strength.empty()) {
                value += strength[static_cast<std::size_t>(channel)] *
                         noise[static_cast<std::size_t>(column % plane)];
            }
            y(row, column) = value;
        }
    }
    return y;
}

inline DoubleMatrix append_deviation(const DoubleMatrix& x, const Extent& extent,
                                     std::int64_t group) {
    const std::int64_t plane = std::int64_t{extent.height} * extent.width;
    DoubleMatrix y(x.rows, x.columns + plane);
    for (std::int64_t row = 0; row < x.rows; ++row) {
        const std::int64_t first = row / group * group;
        const std::int64_t end = std::min(first + group, x.rows);
        const auto count = static_cast<double>(end - first);
        double total = 0;
        for (std::int64_t column = 0; column < x.columns; ++column) {
            double mean = 0, square = 0;
            for (std::int64_t r = first; r < end; ++r) {
                mean += x(r, column) / count;
                square += x(r, column) * x(r, column) / count;
            }
            total += std::sqrt(square - mean * mean + 1e-8);
            y(row, column) = x(row, column);
        }
        for (std::int64_t pixel = 0; pixel < plane; ++pixel) {
            y(row, x.columns + pixel) = total / static_cast<double>(x.columns);
        }
    }
    return y;
}

} // namespace patchforge::oracle
