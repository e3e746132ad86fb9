#include <algorithm>

#include "kernels/cpu/cpu_backend.h"
#include "kernels/cpu/philox_word.h"

namespace patchforge {

void CpuBackend::exchange_pictures(Matrix<float> shown, Matrix<float> pool,
                                   Matrix<const float> fresh, const RandomStream& random) {
    const PhiloxStream stream = philox_stream(random);
    const std::uint64_t before = random.draw.value() * static_cast<std::uint64_t>(fresh.rows);
    const std::int64_t pixels = fresh.columns;
    for (std::int64_t b = 0; b < fresh.rows; ++b) {
        const std::uint64_t n = before + static_cast<std::uint64_t>(b);
        const auto element = static_cast<std::uint64_t>(2 * b);
        const float* const picture = fresh.data + b * pixels;
        float* const out = shown.data + b * pixels;
        if (n < static_cast<std::uint64_t>(pool.rows)) {
            std::copy_n(picture, pixels, pool.data + static_cast<std::int64_t>(n) * pixels);
            std::copy_n(picture, pixels, out);
        } else if (word(stream, element) >> 31) {
            const auto slot = static_cast<std::int64_t>((std::uint64_t{word(stream, element + 1)} *
                                                         static_cast<std::uint64_t>(pool.rows)) >>
                                                        32);
            std::copy_n(pool.data + slot * pixels, pixels, out);
            std::copy_n(picture, pixels, pool.data + slot * pixels);
        } else {
            std::copy_n(picture, pixels, out);
        }
    }
}

} // namespace patchforge
