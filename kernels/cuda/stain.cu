// Stain jitter and its gradient: a thread a pixel with its three channels, 24 B and 36 B moved, three
// logarithms and three exponentials. Optical densities enter as plain logarithms: what jitter does to
// them is a 3 x 3 matrix and an offset (kernels/stain_change.h), and the scale of either base cancels.
#include <algorithm>

#include "kernels/cuda/cuda_backend.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/instructions.h"
#include "kernels/cuda/philox.h"
#include "kernels/stain_change.h"

namespace patchforge::cuda {
namespace {

__device__ StainChange change_of(const StainJitter& jitter, std::int64_t row) {
    const PhiloxDraw draw(jitter.random);
    std::uint32_t words[8];
    std::uint32_t four[4];
    for (int half = 0; half < 2; ++half) {
        draw.words(four, static_cast<std::uint32_t>(2 * row + half));
        PATCHFORGE_UNROLL
        for (int i = 0; i < 4; ++i) {
            words[4 * half + i] = four[i];
        }
    }
    return stain_change(words, jitter.scale, jitter.shift);
}

// Grid x over the pixels of a picture, y over the pictures. dy null: forward.
template <bool gradient>
__global__ void __launch_bounds__(256)
    jitter_stain_kernel(float* out, const float* dy, const float* x, StainJitter jitter,
                        std::int64_t rows, int plane) {
    begin_kernel();
    const int pixel = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    const float half = jitter.range == PixelRange::unit ? 1.0f : 0.5f;
    const float offset = jitter.range == PixelRange::unit ? 0.0f : 0.5f;
    for (std::int64_t row = blockIdx.y; row < rows && pixel < plane; row += gridDim.y) {
        const StainChange change = change_of(jitter, row);
        const std::int64_t first = row * 3 * plane + pixel;
        float value[3];
        float logarithm[3];
        PATCHFORGE_UNROLL
        for (int c = 0; c < 3; ++c) {
            value[c] = x[first + c * plane] * half + offset;
            logarithm[c] = logf(fmaxf(value[c], stain_floor));
        }
        float result[3] = {0.0f, 0.0f, 0.0f};
        PATCHFORGE_UNROLL
        for (int i = 0; i < 3; ++i) {
            const float stained = expf(change.logarithm(logarithm, i));
            if (!gradient) {
                result[i] = (fminf(stained, 1.0f) - offset) / half;
            } else if (stained < 1.0f) {
                const float by_logarithm = dy[first + i * plane] * stained;
                PATCHFORGE_UNROLL
                for (int c = 0; c < 3; ++c) {
                    result[c] += by_logarithm * change.matrix[c][i];
                }
            }
        }
        PATCHFORGE_UNROLL
        for (int c = 0; c < 3; ++c) {
            if (gradient) {
                result[c] = value[c] > stain_floor ? result[c] / value[c] : 0.0f;
            }
            out[first + c * plane] = result[c];
        }
    }
}

LaunchShape pixel_shape(Matrix<const float> x, Stream stream, const char* name, double bytes) {
    return {.grid = {blocks_for(x.columns / 3, 256),
                     static_cast<unsigned>(std::min<std::int64_t>(x.rows, 65535))},
            .stream = stream,
            .name = name,
            .work = {bytes * x.size(), 40.0 * x.size()}};
}

} // namespace

void CudaBackend::jitter_stain(Matrix<float> y, Matrix<const float> x, const StainJitter& jitter) {
    launch(jitter_stain_kernel<false>, pixel_shape(x, stream_, "jitter_stain", 8.0), y.data,
           static_cast<const float*>(nullptr), x.data, jitter, x.rows,
           static_cast<int>(x.columns / 3));
}

void CudaBackend::jitter_stain_gradient(Matrix<float> dx, Matrix<const float> dy,
                                        Matrix<const float> x, const StainJitter& jitter) {
    launch(jitter_stain_kernel<true>, pixel_shape(x, stream_, "jitter_stain_gradient", 12.0),
           dx.data, dy.data, x.data, jitter, x.rows, static_cast<int>(x.columns / 3));
}

} // namespace patchforge::cuda
