#include "kernels/cpu/cpu_backend.h"
#include "kernels/cpu/philox_word.h"

namespace patchforge {

void CpuBackend::dihedral(Matrix<float> y, Matrix<const float> x, Extent shape,
                          const RandomStream& random) {
    const PhiloxStream stream = philox_stream(random);
    const std::int64_t height = shape.height;
    const std::int64_t width = shape.width;
    pool_.parallel_for(x.rows, [&](std::int64_t b) {
        const std::uint32_t drawn = word(stream, static_cast<std::uint64_t>(b));
        const bool swapped = height == width && (drawn >> 31 & 1) != 0;
        const bool from_below = (drawn >> 30 & 1) != 0;
        const bool from_right = (drawn >> 29 & 1) != 0;
        for (std::int64_t channel = 0; channel < shape.channels; ++channel) {
            const std::int64_t plane = b * x.columns + channel * height * width;
            for (std::int64_t i = 0; i < height; ++i) {
                for (std::int64_t j = 0; j < width; ++j) {
                    std::int64_t row = swapped ? j : i;
                    std::int64_t column = swapped ? i : j;
                    row = from_below ? height - 1 - row : row;
                    column = from_right ? width - 1 - column : column;
                    y.data[plane + i * width + j] = x.data[plane + row * width + column];
                }
            }
        }
    });
}

} // namespace patchforge
