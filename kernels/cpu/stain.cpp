#include <algorithm>

#include "kernels/cpu/cpu_backend.h"
#include "kernels/cpu/philox_word.h"
#include "kernels/stain_change.h"

namespace patchforge {
namespace {

StainArguments change_of(const StainJitter& jitter, std::int64_t row) {
    const PhiloxStream stream = philox_stream(jitter.random);
    std::uint32_t words[8];
    for (int i = 0; i < 8; ++i) {
        words[i] = word(stream, static_cast<std::uint64_t>(8 * row + i));
    }
    const StainChange change = stain_change(words, jitter.scale, jitter.shift);
    const bool unit = jitter.range == PixelRange::unit;
    StainArguments arguments;
    arguments.half = unit ? 1.0f : 0.5f;
    arguments.offset = unit ? 0.0f : 0.5f;
    std::copy_n(&change.matrix[0][0], 9, &arguments.matrix[0][0]);
    std::copy_n(change.offset, 3, arguments.shift);
    return arguments;
}

} // namespace

void CpuBackend::jitter_stain(Matrix<float> y, Matrix<const float> x, const StainJitter& jitter) {
    pool_.parallel_for(x.rows, [&](std::int64_t row) {
        vector_.jitter_stain(y.data + row * x.columns, x.data + row * x.columns, x.columns / 3,
                             change_of(jitter, row));
    });
}

void CpuBackend::jitter_stain_gradient(Matrix<float> dx, Matrix<const float> dy,
                                       Matrix<const float> x, const StainJitter& jitter) {
    pool_.parallel_for(x.rows, [&](std::int64_t row) {
        const std::int64_t first = row * x.columns;
        vector_.jitter_stain_gradient(dx.data + first, dy.data + first, x.data + first,
                                      x.columns / 3, change_of(jitter, row));
    });
}

} // namespace patchforge
