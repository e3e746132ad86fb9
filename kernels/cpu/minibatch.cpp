#include <algorithm>
#include <cmath>

#include "kernels/cpu/cpu_backend.h"

namespace patchforge {
namespace {

float closeness(const float* a, const float* b, std::int64_t size) {
    float distance = 0;
    for (std::int64_t c = 0; c < size; ++c) {
        distance += std::fabs(a[c] - b[c]);
    }
    return std::exp(-distance);
}

} // namespace

void CpuBackend::minibatch_closeness(Matrix<float> o, Matrix<const float> m) {
    const std::int64_t size = m.columns / o.columns;
    pool_.parallel_for(o.rows, [&](std::int64_t i) {
        for (std::int64_t k = 0; k < o.columns; ++k) {
            float sum = 0;
            for (std::int64_t j = 0; j < o.rows; ++j) {
                if (j != i) {
                    sum += closeness(m.data + i * m.columns + k * size,
                                     m.data + j * m.columns + k * size, size);
                }
            }
            o.data[i * o.columns + k] = sum;
        }
    });
}

void CpuBackend::minibatch_closeness_gradient(Matrix<float> dm, Matrix<const float> d_o,
                                              Matrix<const float> m) {
    const std::int64_t size = m.columns / d_o.columns;
    pool_.parallel_for(d_o.rows, [&](std::int64_t i) {
        std::fill_n(dm.data + i * m.columns, m.columns, 0.0f);
        for (std::int64_t k = 0; k < d_o.columns; ++k) {
            const float* const mine = m.data + i * m.columns + k * size;
            float* const gradient = dm.data + i * m.columns + k * size;
            for (std::int64_t j = 0; j < d_o.rows; ++j) {
                const float* const other = m.data + j * m.columns + k * size;
                const float pull = (d_o.data[i * d_o.columns + k] + d_o.data[j * d_o.columns + k]) *
                                   closeness(mine, other, size);
                for (std::int64_t c = 0; c < size; ++c) {
                    const float difference = mine[c] - other[c];
                    gradient[c] -= difference > 0 ? pull : difference < 0 ? -pull : 0.0f;
                }
            }
        }
    });
}

} // namespace patchforge
