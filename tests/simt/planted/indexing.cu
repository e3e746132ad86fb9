// Faults of arithmetic on indices: bounds off by one, tails forgotten, strides and axes mixed up.
#include "tests/simt/planted/planted.h"

#include <limits>

namespace planted {

namespace {

using patchforge::cuda::blocks_for;

constexpr unsigned threads = 64;
constexpr int rows = 7, columns = 31, padded = 32; // of a matrix whose rows may be padded
constexpr int count = rows * columns;

std::vector<float> doubled() {
    auto values = integers(count);
    for (float& value : values) {
        value *= 2.0f;
    }
    return values;
}

template <bool faulty>
__global__ void greater_for_greater_equal(float* out, const float* in) {
    const int i = static_cast<int>(blockIdx.x * threads + threadIdx.x);
    if (faulty ? i > count : i >= count) {
        return;
    }
    out[i] = 2.0f * (i < count ? in[i] : 0.0f);
}

template <bool faulty>
__global__ void read_one_past_the_end(float* out, const float* in) {
    const int i = static_cast<int>(blockIdx.x * threads + threadIdx.x);
    if (i < count) {
        const float next = faulty || i + 1 < count ? in[i + 1] : 0.0f;
        out[i] = 2.0f * in[i] + 0.0f * next;
    }
}

// Four numbers a thread; the last count % 4 belong to nobody.
template <bool faulty>
__global__ void lost_tail(float* out, const float* in) {
    const int first = 4 * static_cast<int>(blockIdx.x * threads + threadIdx.x);
    const int end = faulty ? count / 4 * 4 : count;
    for (int i = first; i < first + 4 && i < end; ++i) {
        out[i] = 2.0f * in[i];
    }
}

// Every thread strides by its block instead of by the grid, so blocks repeat each other's work.
template <bool faulty>
__global__ void stride_of_block_for_grid(float* out, const float* in) {
    const int stride = static_cast<int>(faulty ? blockDim.x : gridDim.x * blockDim.x);
    for (int i = static_cast<int>(blockIdx.x * threads + threadIdx.x); i < count; i += stride) {
        out[i] += 2.0f * in[i];
    }
}

// The input's rows lie `padded` apart.
template <bool faulty>
__global__ void width_for_stride(float* out, const float* in) {
    const int i = static_cast<int>(blockIdx.x * threads + threadIdx.x);
    if (i < count) {
        const int row = i / columns, column = i % columns;
        out[i] = 2.0f * in[row * (faulty ? columns : padded) + column];
    }
}

template <bool faulty>
__global__ void swapped_axes(float* out, const float* in) {
    const int i = static_cast<int>(blockIdx.x * threads + threadIdx.x);
    if (i < count) {
        const int row = i / columns, column = i % columns;
        out[faulty ? row * columns + column : column * rows + row] = in[i];
    }
}
std::vector<float> transposed() {
    const auto values = integers(count);
    std::vector<float> result(count);
    for (int row = 0; row < rows; ++row) {
        for (int column = 0; column < columns; ++column) {
            result[column * rows + row] = values[row * columns + column];
        }
    }
    return result;
}

// Rows of 31 floats start at multiples of 4 bytes, not of 16.
template <bool faulty>
__global__ void vector_load_of_ragged_rows(float* out, const float* in) {
    const int row = static_cast<int>(blockIdx.x * threads + threadIdx.x);
    if (row >= rows) {
        return;
    }
    int column = 0;
    if constexpr (faulty) {
        for (; column + 4 <= columns; column += 4) {
            const float4 quad = *reinterpret_cast<const float4*>(in + row * columns + column);
            const float four[4] = {quad.x, quad.y, quad.z, quad.w};
            for (int i = 0; i < 4; ++i) {
                out[row * columns + column + i] = 2.0f * four[i];
            }
        }
    }
    for (; column < columns; ++column) {
        out[row * columns + column] = 2.0f * in[row * columns + column];
    }
}

std::vector<float> padded_rows() {
    const auto values = integers(count);
    std::vector<float> result(rows * padded, std::numeric_limits<float>::quiet_NaN());
    for (int i = 0; i < count; ++i) {
        result[i / columns * padded + i % columns] = values[i];
    }
    return result;
}

template <class Kernel>
std::vector<float> run_flat(Kernel kernel, const std::vector<float>& input, float initial,
                            const char* name) {
    Array in(input), out(std::vector<float>(count, initial));
    patchforge::cuda::launch(
        kernel, {.grid = dim3(blocks_for(count, threads)), .block = threads, .name = name},
        out.data(), static_cast<const float*>(in.data()));
    return out.values();
}

constexpr float nan = std::numeric_limits<float>::quiet_NaN();
#define RUN_FLAT(kernel, input, initial)                                                           \
    [](bool faulty) {                                                                              \
        return run_flat(faulty ? kernel<true> : kernel<false>, input, initial, #kernel);           \
    }

} // namespace

std::vector<Bug> indexing_bugs() {
    return {
        {"greater_for_greater_equal", Sign::out_of_bounds, Plain::caught,
         RUN_FLAT(greater_for_greater_equal, integers(count), nan), doubled},
        {"read_one_past_the_end", Sign::out_of_bounds, Plain::caught,
         RUN_FLAT(read_one_past_the_end, integers(count), nan), doubled},
        {"lost_tail", Sign::wrong_result, Plain::caught, RUN_FLAT(lost_tail, integers(count), nan),
         doubled},
        {"stride_of_block_for_grid", Sign::race, Plain::caught,
         RUN_FLAT(stride_of_block_for_grid, integers(count), 0.0f), doubled},
        {"width_for_stride", Sign::wrong_result, Plain::caught,
         RUN_FLAT(width_for_stride, padded_rows(), nan), doubled},
        {"swapped_axes", Sign::wrong_result, Plain::caught,
         RUN_FLAT(swapped_axes, integers(count), nan), transposed},
        {"vector_load_of_ragged_rows", Sign::misaligned, Plain::crashes,
         RUN_FLAT(vector_load_of_ragged_rows, integers(count), nan), doubled},
    };
}

} // namespace planted
