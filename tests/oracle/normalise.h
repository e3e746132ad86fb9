// kernels/operations/normalise.h in float64, as its header says it: own share and reference share
// of mean and mean square.
#pragma once

#include <cmath>

#include "tests/oracle/matrix.h"

namespace patchforge::oracle {

struct Normalised {
    DoubleMatrix y;
    std::vector<double> mean;
    std::vector<double> variance;
};

inline Normalised normalise(const DoubleMatrix& z, std::int64_t reference_rows,
                            const std::vector<double>& scale, const std::vector<double>& shift) {
    Normalised result{DoubleMatrix(z.rows, z.columns), {}, {}};
    const auto count = static_cast<double>(reference_rows);
    for (std::int64_t c = 0; c < z.columns; ++c) {
        double mean = 0, square = 0;
        for (std::int64_t r = 0; r < reference_rows; ++r) {
            mean += z(r, c) / count;
            square += z(r, c) * z(r, c) / count;
        }
        result.mean.push_back(mean);
        result.variance.push_back(square - mean * mean);
        for (std::int64_t r = 0; r < z.rows; ++r) {
            const double own = r < reference_rows ? 0 : 1 / (count + 1);
            const double m = own * z(r, c) + (1 - own) * mean;
            const double q = own * z(r, c) * z(r, c) + (1 - own) * square;
            const auto at = static_cast<std::size_t>(c);
            result.y(r, c) =
                scale[at] * (z(r, c) - m) / std::sqrt(double{1e-5f} + q - m * m) + shift[at];
        }
    }
    return result;
}

} // namespace patchforge::oracle
