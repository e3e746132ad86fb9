#include "kernels/cpu/vector/functions.h"
#include "kernels/cpu/vector/math.h"
#include "kernels/cpu/vector/simd.h"

namespace patchforge::PATCHFORGE_ISA {
namespace {

constexpr float floor_of_colour = 1e-6f;

// Colours of `lanes` pixels, in [0, 1], and the logarithms of those they get.
struct Pixels {
    Floats colour[3];
    Floats stained[3];

    Pixels(const float* x, std::int64_t plane, std::int64_t n, const StainArguments& jitter) {
        Floats logarithms[3];
        for (int c = 0; c < 3; ++c) {
            colour[c] = load_up_to(x + c * plane, n) * jitter.half + jitter.offset;
            logarithms[c] = logarithm(maximum(colour[c], broadcast(floor_of_colour)));
        }
        for (int i = 0; i < 3; ++i) {
            stained[i] = exponential(logarithms[0] * jitter.matrix[0][i] +
                                     logarithms[1] * jitter.matrix[1][i] +
                                     logarithms[2] * jitter.matrix[2][i] + jitter.shift[i]);
        }
    }
};

} // namespace

void jitter_stain(float* y, const float* x, std::int64_t plane, const StainArguments& jitter) {
    for (std::int64_t at = 0; at < plane; at += lanes) {
        const std::int64_t n = plane - at;
        const Pixels pixels(x + at, plane, n, jitter);
        for (int i = 0; i < 3; ++i) {
            const Floats cut = minimum(pixels.stained[i], broadcast(1.0f));
            store_up_to(y + at + i * plane, (cut - jitter.offset) / jitter.half, n);
        }
    }
}

void jitter_stain_gradient(float* dx, const float* dy, const float* x, std::int64_t plane,
                           const StainArguments& jitter) {
    for (std::int64_t at = 0; at < plane; at += lanes) {
        const std::int64_t n = plane - at;
        const Pixels pixels(x + at, plane, n, jitter);
        Floats by_logarithm[3];
        for (int i = 0; i < 3; ++i) {
            const Floats product = load_up_to(dy + at + i * plane, n) * pixels.stained[i];
            by_logarithm[i] = pixels.stained[i] < 1.0f ? product : Floats{};
        }
        for (int c = 0; c < 3; ++c) {
            const Floats sum = by_logarithm[0] * jitter.matrix[c][0] +
                               by_logarithm[1] * jitter.matrix[c][1] +
                               by_logarithm[2] * jitter.matrix[c][2];
            store_up_to(dx + at + c * plane,
                        pixels.colour[c] > floor_of_colour ? sum / pixels.colour[c] : Floats{}, n);
        }
    }
}

} // namespace patchforge::PATCHFORGE_ISA
