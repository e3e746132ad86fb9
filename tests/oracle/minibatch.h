// kernels/operations/minibatch.h in float64.
#pragma once

#include <cmath>

#include "tests/oracle/matrix.h"

namespace patchforge::oracle {

inline DoubleMatrix minibatch_closeness(const DoubleMatrix& m, std::int64_t kernels) {
    const std::int64_t size = m.columns / kernels;
    DoubleMatrix o(m.rows, kernels);
    for (std::int64_t i = 0; i < m.rows; ++i) {
        for (std::int64_t j = 0; j < m.rows; ++j) {
            for (std::int64_t k = 0; k < kernels && i != j; ++k) {
                double distance = 0;
                for (std::int64_t c = k * size; c < (k + 1) * size; ++c) {
                    distance += std::fabs(m(i, c) - m(j, c));
                }
                o(i, k) += std::exp(-distance);
            }
        }
    }
    return o;
}

} // namespace patchforge::oracle
