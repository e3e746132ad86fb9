// Pooling and its gradients. Pixels of a window are in L1 when the next window asks for them again.
//
//     pool               a thread a window, or a warp where sums are over more than 64 pixels: then the
//                        lanes' loads lie side by side. 4 B read an input, 4 B written an output
//     pool_gradient      a thread a pixel of the input, which asks the windows around it for their share;
//                        of a maximum's window it looks whether the pixel is the first largest one, at
//                        4 comparisons a pixel for 2 x 2 windows, 36 for 3 x 3 ones every second line.
//                        Nothing is stored for it and nobody else writes its pixel
#include <algorithm>

#include "kernels/cuda/cuda_backend.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/epilogue.h"
#include "kernels/cuda/instructions.h"

namespace patchforge::cuda {
namespace {

constexpr int wide_window = 64; // pixels

// What a sum over window [i, j] is divided by.
__device__ float divisor(PoolKind kind, const PoolAxis& vertical, const PoolAxis& horizontal, int i,
                         int j) {
    return kind == PoolKind::adaptive_sum
               ? 1.0f
               : static_cast<float>(vertical.length(i) * horizontal.length(j));
}

// Whether v is taken for the maximum so far; a NaN is.
__device__ bool exceeds(float v, float maximum) {
    return v > maximum || v != v;
}

template <bool maximum>
__global__ void __launch_bounds__(256)
    pool_kernel(float* y, const float* x, PoolKind kind, PoolAxis vertical, PoolAxis horizontal,
                int channels, std::int64_t rows) {
    begin_kernel();
    const int e = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    const int columns = channels * vertical.out * horizontal.out;
    for (std::int64_t row = blockIdx.y; row < rows && e < columns; row += gridDim.y) {
        const int i = e / horizontal.out % vertical.out;
        const int j = e % horizontal.out;
        const std::int64_t plane = row * channels + e / horizontal.out / vertical.out;
        const float* from = x + plane * vertical.in * horizontal.in;
        float value = maximum ? -INFINITY : 0.0f;
        for (int a = vertical.begin(i); a < vertical.end(i); ++a) {
            for (int b = horizontal.begin(j); b < horizontal.end(j); ++b) {
                const float pixel = from[a * horizontal.in + b];
                if (maximum) {
                    value = exceeds(pixel, value) ? pixel : value;
                } else {
                    value += pixel;
                }
            }
        }
        y[row * columns + e] = maximum ? value : value / divisor(kind, vertical, horizontal, i, j);
    }
}

__global__ void __launch_bounds__(256)
    pool_wide_kernel(float* y, const float* x, PoolKind kind, PoolAxis vertical,
                     PoolAxis horizontal, std::int64_t windows) {
    begin_kernel();
    const std::int64_t w = std::int64_t{blockIdx.x} * (blockDim.x / 32) + threadIdx.x / 32;
    float value = 0.0f;
    int i = 0, j = 0;
    if (w < windows) {
        const int of_plane = vertical.out * horizontal.out;
        i = static_cast<int>(w % of_plane) / horizontal.out;
        j = static_cast<int>(w % of_plane) % horizontal.out;
        const float* from = x + w / of_plane * vertical.in * horizontal.in;
        const int width = horizontal.end(j) - horizontal.begin(j);
        const int pixels = (vertical.end(i) - vertical.begin(i)) * width;
        for (int k = static_cast<int>(threadIdx.x % 32); k < pixels; k += 32) {
            value += from[(vertical.begin(i) + k / width) * horizontal.in + horizontal.begin(j) +
                          k % width];
        }
    }
    PATCHFORGE_UNROLL
    for (int distance = 16; distance > 0; distance /= 2) {
        value += __shfl_xor_sync(0xffffffffu, value, distance);
    }
    if (w < windows && threadIdx.x % 32 == 0) {
        y[w] = value / divisor(kind, vertical, horizontal, i, j);
    }
}

// Whether pixel [a, b] is the first largest one of window [i, j]: larger than all before it, no smaller
// than those behind.
__device__ bool is_first_largest(const float* from, const PoolAxis& vertical,
                                 const PoolAxis& horizontal, int i, int j, int a, int b) {
    float maximum = -INFINITY;
    int row = vertical.begin(i), column = horizontal.begin(j);
    for (int k = vertical.begin(i); k < vertical.end(i); ++k) {
        for (int l = horizontal.begin(j); l < horizontal.end(j); ++l) {
            const float pixel = from[k * horizontal.in + l];
            if (exceeds(pixel, maximum)) {
                maximum = pixel;
                row = k;
                column = l;
            }
        }
    }
    return row == a && column == b;
}

// origin: x, where the epilogue that made it has to be gone back through; null where it is the identity.
template <bool maximum>
__global__ void __launch_bounds__(256)
    pool_gradient_kernel(float* dx, const float* dy, const float* x, const float* origin,
                         PoolKind kind, PoolAxis vertical, PoolAxis horizontal, int channels,
                         std::int64_t rows, Epilogue description) {
    begin_kernel();
    const int e = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    const int plane = vertical.in * horizontal.in;
    for (std::int64_t row = blockIdx.y; row < rows && e < channels * plane; row += gridDim.y) {
        const int a = e % plane / horizontal.in;
        const int b = e % horizontal.in;
        const std::int64_t p = row * channels + e / plane;
        const float* gradient = dy + p * vertical.out * horizontal.out;
        float sum = 0.0f;
        for (int i = vertical.first(a); i <= vertical.last(a); ++i) {
            for (int j = horizontal.first(b); j <= horizontal.last(b); ++j) {
                if (!maximum) {
                    sum += gradient[i * horizontal.out + j] /
                           divisor(kind, vertical, horizontal, i, j);
                } else if (is_first_largest(x + p * plane, vertical, horizontal, i, j, a, b)) {
                    sum += gradient[i * horizontal.out + j];
                }
            }
        }
        const std::int64_t element = row * channels * plane + e;
        if (origin != nullptr) {
            // Made here: its registers would be in the way of the loops.
            sum *= ElementEpilogue(description).derivative(origin[element], element);
        }
        dx[element] = sum;
    }
}

} // namespace

void CudaBackend::pool(Matrix<float> y, Matrix<const float> x, const Pool& pool) {
    const PoolAxis vertical = pool.vertical(), horizontal = pool.horizontal();
    const bool maximum = pool.kind == PoolKind::maximum;
    const double covered = 1.0 * vertical.covered() * horizontal.covered() * pool.in.channels;
    const Work work = {4.0 * x.rows * covered + 4.0 * y.size(), 1.0 * x.rows * covered};
    const int window =
        (vertical.end(0) - vertical.begin(0)) * (horizontal.end(0) - horizontal.begin(0));
    if (!maximum && window > wide_window) {
        launch(pool_wide_kernel,
               {.grid = blocks_for(y.size(), 256 / 32),
                .stream = stream_,
                .name = "pool",
                .work = work},
               y.data, x.data, pool.kind, vertical, horizontal, y.size());
    } else {
        launch(maximum ? pool_kernel<true> : pool_kernel<false>,
               {.grid = {blocks_for(y.columns, 256),
                         static_cast<unsigned>(std::min<std::int64_t>(y.rows, 65535))},
                .stream = stream_,
                .name = "pool",
                .work = work},
               y.data, x.data, pool.kind, vertical, horizontal, pool.in.channels, y.rows);
    }
}

void CudaBackend::pool_gradient(Matrix<float> dx, Matrix<const float> dy, Matrix<const float> x,
                                const Pool& pool, const Epilogue& previous) {
    const PoolAxis vertical = pool.vertical(), horizontal = pool.horizontal();
    const bool maximum = pool.kind == PoolKind::maximum;
    const double covered = 1.0 * vertical.covered() * horizontal.covered() * pool.in.channels;
    const double read = !previous.is_identity() ? pool.in.size() : maximum ? covered : 0.0;
    launch(maximum ? pool_gradient_kernel<true> : pool_gradient_kernel<false>,
           {.grid = {blocks_for(dx.columns, 256),
                     static_cast<unsigned>(std::min<std::int64_t>(dx.rows, 65535))},
            .stream = stream_,
            .name = "pool_gradient",
            .work = {4.0 * (dx.size() + dy.size()) + 4.0 * dx.rows * read, 4.0 * dx.size()}},
           dx.data, dy.data, x.data, previous.is_identity() ? nullptr : x.data, pool.kind, vertical,
           horizontal, pool.in.channels, dx.rows, previous);
}

} // namespace patchforge::cuda
