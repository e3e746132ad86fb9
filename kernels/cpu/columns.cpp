#include <algorithm>

#include "kernels/cpu/cpu_backend.h"

namespace patchforge {

void CpuBackend::copy_columns(Matrix<float> to, std::int64_t to_first, Matrix<const float> from,
                              std::int64_t from_first, std::int64_t count) {
    pool_.parallel_for(to.rows, [&](std::int64_t row) {
        std::copy_n(from.data + row * from.columns + from_first, count,
                    to.data + row * to.columns + to_first);
    });
}

void CpuBackend::one_hot(Matrix<float> to, std::int64_t first, std::int64_t classes,
                         Vector<const std::int32_t> label) {
    for (std::int64_t row = 0; row < to.rows; ++row) {
        for (std::int64_t c = 0; c < classes; ++c) {
            to.data[row * to.columns + first + c] = label.data[row] == c ? 1.0f : 0.0f;
        }
    }
}

} // namespace patchforge
