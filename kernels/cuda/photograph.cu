// Pictures as a camera sees them: a thread a pixel, which works out the few weights that it needs; the
// lines around it are in L1. Blocks of 8 x 8 are rounded by 64 threads in shared memory.
#include <algorithm>

#include "kernels/cuda/cuda_backend.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/instructions.h"
#include "kernels/cuda/philox.h"
#include "kernels/photograph_change.h"

namespace patchforge::cuda {
namespace {

__device__ PhotographChange change_of(const Photograph& how, Extent extent, std::int64_t row) {
    const PhiloxDraw draw(how.random);
    std::uint32_t words[8];
    std::uint32_t four[4];
    for (int half = 0; half < 2; ++half) {
        draw.words(four, static_cast<std::uint32_t>(2 * row + half));
        PATCHFORGE_UNROLL
        for (int i = 0; i < 4; ++i) {
            words[4 * half + i] = four[i];
        }
    }
    return photograph_change(how, extent, words);
}

// Grid x over the elements of a picture, y over the pictures.
template <bool transpose>
__global__ void __launch_bounds__(256)
    photograph_kernel(float* y, const float* x, Extent extent, Photograph how, std::int64_t rows) {
    begin_kernel();
    const int e = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    const int plane = extent.height * extent.width;
    for (std::int64_t row = blockIdx.y; row < rows && e < extent.size(); row += gridDim.y) {
        const PhotographChange change = change_of(how, extent, row);
        const int i = e / extent.width % extent.height, j = e % extent.width;
        const float* const from = x + row * extent.size() + e / plane * plane;
        float sum = 0.0f;
        if (!transpose) {
            const float down = change.down.position(i), right = change.right.position(j);
            for (int k = change.down.first(down); k <= change.down.last(down); ++k) {
                float line = 0.0f;
                for (int l = change.right.first(right); l <= change.right.last(right); ++l) {
                    line += change.right.weight(right, l) * from[k * extent.width + l];
                }
                sum += change.down.weight(down, k) * line;
            }
            sum /= change.down.total(down) * change.right.total(right);
        } else {
            for (int k = change.down.first_reader(i); k <= change.down.last_reader(i); ++k) {
                const float down = change.down.position(k);
                const float weight = change.down.weight(down, i);
                if (weight == 0.0f) {
                    continue;
                }
                float line = 0.0f;
                for (int l = change.right.first_reader(j); l <= change.right.last_reader(j); ++l) {
                    const float right = change.right.position(l);
                    line += change.right.weight(right, j) / change.right.total(right) *
                            from[k * extent.width + l];
                }
                sum += weight / change.down.total(down) * line;
            }
        }
        y[row * extent.size() + e] = change.brightness * sum;
    }
}

struct Blocks {
    float pixel[8][8];
    float half[8][8];
};

// Grid x over the blocks of a picture, y over the pictures; 64 threads a block.
__global__ void __launch_bounds__(64)
    round_blocks_kernel(float* y, const float* x, Extent extent, BlockRounding rounding,
                        BlockTables tables, std::int64_t rows) {
    begin_kernel();
    auto& s = shared<Blocks>();
    const int i = static_cast<int>(threadIdx.x / 8), j = static_cast<int>(threadIdx.x % 8);
    const int across = (extent.width + 7) / 8, down = (extent.height + 7) / 8;
    const int block = static_cast<int>(blockIdx.x);
    const int channel = block / (across * down);
    const int top = block / across % down * 8, left = block % across * 8;
    const int line = top + i < extent.height ? top + i : extent.height - 1;
    const int column = left + j < extent.width ? left + j : extent.width - 1;
    const PhiloxDraw draw(rounding.random);
    for (std::int64_t row = blockIdx.y; row < rows; row += gridDim.y) {
        const std::int64_t first =
            row * extent.size() + static_cast<std::int64_t>(channel) * extent.height * extent.width;
        const float step =
            block_step(block_quality(rounding.lowest, draw.word(8 * row + 5)), tables.steps[i][j]);
        s.pixel[i][j] =
            x[first + static_cast<std::int64_t>(line) * extent.width + column] - block_middle;
        __syncthreads();
        float sum = 0.0f;
        for (int k = 0; k < 8; ++k) {
            sum += s.pixel[i][k] * tables.basis[j][k];
        }
        s.half[i][j] = sum;
        __syncthreads();
        sum = 0.0f;
        for (int k = 0; k < 8; ++k) {
            sum += tables.basis[i][k] * s.half[k][j];
        }
        s.pixel[i][j] = step * rintf(sum / step);
        __syncthreads();
        sum = 0.0f;
        for (int k = 0; k < 8; ++k) {
            sum += s.pixel[i][k] * tables.basis[k][j];
        }
        s.half[i][j] = sum;
        __syncthreads();
        sum = 0.0f;
        for (int k = 0; k < 8; ++k) {
            sum += tables.basis[k][i] * s.half[k][j];
        }
        if (top + i < extent.height && left + j < extent.width) {
            y[first + static_cast<std::int64_t>(line) * extent.width + column] = sum + block_middle;
        }
        __syncthreads();
    }
}

template <bool transpose>
void enqueue(const char* name, Matrix<float> y, Matrix<const float> x, Extent extent,
             const Photograph& how, Stream stream) {
    launch(photograph_kernel<transpose>,
           {.grid = {blocks_for(extent.size(), 256),
                     static_cast<unsigned>(std::min<std::int64_t>(x.rows, 65535))},
            .stream = stream,
            .name = name,
            .work = {8.0 * x.size(), 60.0 * x.size()}},
           y.data, x.data, extent, how, x.rows);
}

} // namespace

void CudaBackend::photograph(Matrix<float> y, Matrix<const float> x, Extent extent,
                             const Photograph& change) {
    enqueue<false>("photograph", y, x, extent, change, stream_);
}

void CudaBackend::photograph_gradient(Matrix<float> dx, Matrix<const float> dy, Extent extent,
                                      const Photograph& change) {
    enqueue<true>("photograph_gradient", dx, dy, extent, change, stream_);
}

void CudaBackend::round_blocks(Matrix<float> y, Matrix<const float> x, Extent extent,
                               const BlockRounding& rounding) {
    const int blocks = extent.channels * ((extent.height + 7) / 8) * ((extent.width + 7) / 8);
    launch(round_blocks_kernel,
           {.grid = {static_cast<unsigned>(blocks),
                     static_cast<unsigned>(std::min<std::int64_t>(x.rows, 65535))},
            .block = 64,
            .shared_bytes = sizeof(Blocks),
            .stream = stream_,
            .name = "round_blocks",
            .work = {8.0 * x.size(), 70.0 * x.size()}},
           y.data, x.data, extent, rounding, BlockTables(), x.rows);
}

} // namespace patchforge::cuda
