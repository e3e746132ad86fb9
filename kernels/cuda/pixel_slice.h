// One block's share of a wide layer that stays in shared memory over many iterations: the weights
// between `slice_pixels` pixels and all hidden units. D's first layer and G's last are the same
// thing seen from two sides, and each needs the same three products:
//
//     over_hidden   out[r, p] = sum over h of a[r, h] w[p, h]     G's pixels, D's gradient by them
//     over_pixels   out[r, h] = sum over p of a[r, p] w[p, h]     this slice's part of D's hidden sums,
//                                                                 of the gradient by G's hidden units
//     update        w[p, h]  <- Adam along sum over r of a[r, p] b[r, h]
//
// A row of w is padded by four floats: eight lanes that read 16 bytes each from eight consecutive
// rows then touch all 32 banks once. Rows are done in tiles of at most `tile_rows`, of which a thread
// computes every fourth: 4 hidden units or 4 pixels times up to 8 rows, 32 sums in registers, so that
// 12 reads of 16 bytes serve 128 products.
#pragma once

#include <type_traits>

#include "kernels/cuda/adam_update.h"
#include "kernels/cuda/gan_iterations.h"
#include "kernels/cuda/instructions.h"

namespace patchforge::cuda {

constexpr unsigned hidden_stride = most_hidden + 4;
constexpr unsigned tile_rows = 32;

using HiddenRow = float[hidden_stride];
using PixelRow = float[slice_pixels];

// Where a block's part of a tensor over (pixel, hidden) lies in the network's own layout.
struct SlicePlace {
    float* data;
    std::int64_t pixel_stride;
    std::int64_t hidden_stride;
    unsigned pixels; // true ones, at most slice_pixels
    unsigned hidden; // a multiple of 16

    // Visits every element in the order in which they lie in memory.
    template <class Visit>
    __device__ void each(Visit visit) const {
        const bool pixels_first = pixel_stride == 1;
        const unsigned inner = pixels_first ? pixels : hidden;
        for (unsigned i = threadIdx.x; i < pixels * hidden; i += slice_threads) {
            const unsigned p = pixels_first ? i % inner : i / inner;
            const unsigned h = pixels_first ? i / inner : i % inner;
            visit(p, h, data[p * pixel_stride + h * hidden_stride]);
        }
    }
};

// Calls body with the number of rows a thread does, as a constant, so that sums stay in registers.
template <class Body>
__device__ void with_rows_of_thread(unsigned rows, Body body) {
    switch ((rows + 3) / 4) {
    case 0:
        return;
    case 1:
        return body(std::integral_constant<int, 1>{});
    case 2:
        return body(std::integral_constant<int, 2>{});
    case 3:
        return body(std::integral_constant<int, 3>{});
    case 4:
        return body(std::integral_constant<int, 4>{});
    case 5:
        return body(std::integral_constant<int, 5>{});
    default:
        return body(std::integral_constant<int, 8>{});
    }
}

struct PixelSlice {
    HiddenRow weight[slice_pixels]; // zero beyond the true pixels

    // a: rows of a tile in shared memory. finish(row, pixel, sum) once for every true element.
    // A warp does 8 pixels side by side, each in 4 lanes that share the sum: every fourth quad of h.
    template <class Finish>
    __device__ void over_hidden(const HiddenRow* a, unsigned rows, unsigned pixels, unsigned hidden,
                                Finish finish) const {
        if (pixels == 0) {
            return; // this block has none, and no weights
        }
        with_rows_of_thread(rows, [&](auto constant) {
            constexpr int own_rows = decltype(constant)::value;
            const unsigned warp = threadIdx.x / 32;
            const unsigned lane = threadIdx.x % 32;
            const unsigned first_row = warp / 2;
            const unsigned first_pixel = warp % 2 * 32 + lane % 8;
            const unsigned part = lane / 8;
            float sum[own_rows][4] = {};
            for (unsigned h = 4 * part; h < hidden; h += 16) {
                float w[4][4];
                PATCHFORGE_UNROLL
                for (unsigned j = 0; j < 4; ++j) {
                    load_shared(w[j], weight[min(first_pixel + 8 * j, slice_pixels - 1)] + h);
                }
                PATCHFORGE_UNROLL
                for (unsigned i = 0; i < own_rows; ++i) {
                    float value[4];
                    load_shared(value, a[min(first_row + 4 * i, rows - 1)] + h);
                    PATCHFORGE_UNROLL
                    for (unsigned j = 0; j < 4; ++j) {
                        PATCHFORGE_UNROLL
                        for (unsigned k = 0; k < 4; ++k) {
                            sum[i][j] = fmaf(value[k], w[j][k], sum[i][j]);
                        }
                    }
                }
            }
            PATCHFORGE_UNROLL
            for (unsigned i = 0; i < own_rows; ++i) {
                float of_lane = 0.0f; // pixel number `part` of the four
                PATCHFORGE_UNROLL
                for (unsigned j = 0; j < 4; ++j) {
                    sum[i][j] += __shfl_xor_sync(0xffffffffu, sum[i][j], 8);
                    sum[i][j] += __shfl_xor_sync(0xffffffffu, sum[i][j], 16);
                    of_lane = part == j ? sum[i][j] : of_lane;
                }
                const unsigned row = first_row + 4 * i;
                const unsigned pixel = first_pixel + 8 * part;
                if (row < rows && pixel < pixels) {
                    finish(row, pixel, of_lane);
                }
            }
        });
    }

    // a: rows of pixels in shared memory, zero beyond the true ones. finish(row, h, quad) once for
    // every four hidden units of a row.
    template <class Finish>
    __device__ void over_pixels(const PixelRow* a, unsigned rows, unsigned hidden,
                                Finish finish) const {
        const unsigned h = threadIdx.x % 64 * 4;
        const unsigned first_row = threadIdx.x / 64;
        if (h >= hidden) {
            return;
        }
        with_rows_of_thread(rows, [&](auto constant) {
            constexpr int own_rows = decltype(constant)::value;
            float sum[own_rows][4] = {};
            for (unsigned p = 0; p < slice_pixels; p += 4) {
                float w[4][4];
                PATCHFORGE_UNROLL
                for (unsigned j = 0; j < 4; ++j) {
                    load_shared(w[j], weight[p + j] + h);
                }
                PATCHFORGE_UNROLL
                for (unsigned i = 0; i < own_rows; ++i) {
                    float value[4];
                    load_shared(value, a[min(first_row + 4 * i, rows - 1)] + p);
                    PATCHFORGE_UNROLL
                    for (unsigned j = 0; j < 4; ++j) {
                        PATCHFORGE_UNROLL
                        for (unsigned k = 0; k < 4; ++k) {
                            sum[i][k] = fmaf(value[j], w[j][k], sum[i][k]);
                        }
                    }
                }
            }
            PATCHFORGE_UNROLL
            for (unsigned i = 0; i < own_rows; ++i) {
                if (first_row + 4 * i < rows) {
                    finish(first_row + 4 * i, h, sum[i]);
                }
            }
        });
    }

    // The gradient of a thread: 16 pixels x 4 hidden units, in registers over all tiles of rows.
    struct Gradient {
        float sum[16][4] = {};

        // a, b: the same rows, by pixel and by hidden unit, in shared memory.
        __device__ void add(const PixelRow* a, const HiddenRow* b, unsigned rows, unsigned hidden) {
            const unsigned h = threadIdx.x % 64 * 4;
            const unsigned first_pixel = threadIdx.x / 64 * 16;
            if (h >= hidden) {
                return;
            }
            for (unsigned r = 0; r < rows; ++r) {
                float of_hidden[4];
                load_shared(of_hidden, b[r] + h);
                PATCHFORGE_UNROLL
                for (unsigned p = 0; p < 16; p += 4) {
                    if (first_pixel + p < slice_pixels) {
                        float of_pixel[4];
                        load_shared(of_pixel, a[r] + first_pixel + p);
                        PATCHFORGE_UNROLL
                        for (unsigned j = 0; j < 4; ++j) {
                            PATCHFORGE_UNROLL
                            for (unsigned k = 0; k < 4; ++k) {
                                sum[p + j][k] = fmaf(of_pixel[j], of_hidden[k], sum[p + j][k]);
                            }
                        }
                    }
                }
            }
        }
    };

    // The moments lie in global memory as [slice_pixels, hidden]; only this block touches them, and
    // they stay in L2: 4 * 61 kB a block, 31 MB on 125 blocks. Those of two pixels are on their way
    // while two others are worked on: 16 to 32 kB of a block. Four would want more registers than
    // there are.
    __device__ void update(const Gradient& gradient, float* first_moment, float* second_moment,
                           unsigned pixels, unsigned hidden, const AdamUpdate& adam) {
        constexpr unsigned together = 2;
        const unsigned h = threadIdx.x % 64 * 4;
        const unsigned first_pixel = threadIdx.x / 64 * 16;
        if (h >= hidden) {
            return;
        }
        float m[2][together][4], v[2][together][4];
        const auto load = [&](unsigned first) {
            PATCHFORGE_UNROLL
            for (unsigned p = 0; p < together; ++p) {
                const unsigned pixel = first_pixel + first + p;
                if (pixel < pixels) {
                    load_from_l2(m[first / together % 2][p], first_moment + pixel * hidden + h);
                    load_from_l2(v[first / together % 2][p], second_moment + pixel * hidden + h);
                }
            }
        };
        load(0);
        PATCHFORGE_UNROLL
        for (unsigned first = 0; first < 16; first += together) {
            if (first + together < 16) {
                load(first + together);
            }
            PATCHFORGE_UNROLL
            for (unsigned p = 0; p < together; ++p) {
                const unsigned pixel = first_pixel + first + p;
                if (pixel < pixels) {
                    float(&of_m)[4] = m[first / together % 2][p];
                    float(&of_v)[4] = v[first / together % 2][p];
                    float w[4];
                    load_shared(w, weight[pixel] + h);
                    adam.apply(w, of_m, of_v, gradient.sum[first + p]);
                    store_to_l2(first_moment + pixel * hidden + h, of_m);
                    store_to_l2(second_moment + pixel * hidden + h, of_v);
                    store_quad<true>(weight[pixel] + h, w, 4);
                }
            }
        }
    }
};

} // namespace patchforge::cuda
