// One block's share of a layer between hidden units: at most three of its units, with everything that
// belongs to them in shared memory, moments too.
//
// The forward product needs the rows of W that belong to the block's units, the product with W^T
// their columns. A block keeps both: every weight lies in two blocks, which update it alike, from the
// same numbers in the same order. So no weight of such a layer ever crosses the device.
#pragma once

#include "kernels/cuda/adam_update.h"
#include "kernels/cuda/instructions.h"
#include "kernels/cuda/pixel_slice.h"

namespace patchforge::cuda {

// A parameter with its moments.
template <unsigned size>
struct Trained {
    alignas(16) float value[size];
    float first_moment[size];
    float second_moment[size];

    __device__ void load(const AdamTensor& from, unsigned i, std::int64_t place) {
        value[i] = from.value.data[place];
        first_moment[i] = from.first_moment.data[place];
        second_moment[i] = from.second_moment.data[place];
    }
    __device__ void store(const AdamTensor& to, unsigned i, std::int64_t place) const {
        to.value.data[place] = value[i];
        to.first_moment.data[place] = first_moment[i];
        to.second_moment.data[place] = second_moment[i];
    }
    __device__ void update(unsigned i, float gradient, const AdamUpdate& adam) {
        adam.apply(value[i], first_moment[i], second_moment[i], gradient);
    }
};

// The hidden units of one layer that a block computes.
struct OwnUnits {
    unsigned first;
    unsigned count; // 0 in the last blocks

    __device__ OwnUnits(unsigned hidden) {
        const unsigned each = (hidden + gridDim.x - 1) / gridDim.x;
        first = min(blockIdx.x * each, hidden);
        count = min(each, hidden - first);
    }
};

// Sums over i of source(row)[i] weight[unit][i], for all rows and the block's units: a warp does up
// to four rows at once, so that eight reads of 16 bytes a lane are under way together.
// source(quad, row, i) reads four; finish(row, unit, sum). length is a multiple of 4, at most 256.
template <class Source, class Finish>
__device__ void own_products(unsigned rows, unsigned length, unsigned units,
                             const Trained<most_hidden>* weight, Source source, Finish finish) {
    constexpr unsigned warps = slice_threads / 32;
    constexpr unsigned together = 4;
    constexpr unsigned quads = most_hidden / 128;
    const unsigned lane = threadIdx.x % 32;
    for (unsigned first = threadIdx.x / 32; first < rows; first += together * warps) {
        float value[together][quads][4];
        PATCHFORGE_UNROLL
        for (unsigned i = 0; i < together; ++i) {
            PATCHFORGE_UNROLL
            for (unsigned j = 0; j < quads; ++j) {
                const unsigned row = first + i * warps;
                const unsigned at = 4 * (lane + 32 * j);
                PATCHFORGE_UNROLL
                for (unsigned k = 0; k < 4; ++k) {
                    value[i][j][k] = 0.0f;
                }
                if (row < rows && at < length) {
                    source(value[i][j], row, at);
                }
            }
        }
        PATCHFORGE_NO_UNROLL
        for (unsigned unit = 0; unit < units; ++unit) {
            float sum[together] = {};
            PATCHFORGE_UNROLL
            for (unsigned j = 0; j < quads; ++j) {
                const unsigned at = 4 * (lane + 32 * j);
                float w[4] = {};
                if (at < length) {
                    load_shared(w, weight[unit].value + at);
                }
                PATCHFORGE_UNROLL
                for (unsigned i = 0; i < together; ++i) {
                    PATCHFORGE_UNROLL
                    for (unsigned k = 0; k < 4; ++k) {
                        sum[i] = fmaf(value[i][j][k], w[k], sum[i]);
                    }
                }
            }
            float of_lane = 0.0f; // of row number `lane` of the four
            PATCHFORGE_UNROLL
            for (unsigned i = 0; i < together; ++i) {
                for (unsigned distance = 16; distance > 0; distance /= 2) {
                    sum[i] += __shfl_xor_sync(0xffffffffu, sum[i], distance);
                }
                of_lane = lane == i ? sum[i] : of_lane;
            }
            if (lane < together && first + lane * warps < rows) {
                finish(first + lane * warps, unit, of_lane);
            }
        }
    }
}

struct HiddenShard {
    Trained<most_hidden> row[units_of_block];    // weights into the block's units
    Trained<most_hidden> column[units_of_block]; // weights from the units of the same numbers below
    Trained<units_of_block> bias;
    float input[most_rows_of_pass][units_of_block]; // what those units below gave in this pass

    __device__ void load(const TrainedLayer& layer, const OwnUnits& own, unsigned hidden) {
        for (unsigned i = threadIdx.x; i < own.count * hidden; i += slice_threads) {
            const unsigned unit = i / hidden;
            const unsigned h = i % hidden;
            row[unit].load(layer.weight, h, std::int64_t{own.first + unit} * hidden + h);
            column[unit].load(layer.weight, h, std::int64_t{h} * hidden + own.first + unit);
        }
        if (threadIdx.x < own.count) {
            bias.load(layer.bias, threadIdx.x, own.first + threadIdx.x);
        }
    }

    __device__ void store(const TrainedLayer& layer, const OwnUnits& own, unsigned hidden) const {
        for (unsigned i = threadIdx.x; i < own.count * hidden; i += slice_threads) {
            row[i / hidden].store(layer.weight, i % hidden, std::int64_t{own.first} * hidden + i);
        }
        if (threadIdx.x < own.count) {
            bias.store(layer.bias, threadIdx.x, own.first + threadIdx.x);
        }
    }

    // below: [rows, hidden], exchanged. Call before backward(), with a barrier between.
    __device__ void keep_input(const float* below, unsigned rows, const OwnUnits& own,
                               unsigned hidden) {
        for (unsigned i = threadIdx.x; i < rows * own.count; i += slice_threads) {
            const unsigned r = i / own.count;
            const unsigned unit = i % own.count;
            input[r][unit] = __ldcg(below + r * hidden + own.first + unit);
        }
    }

    // A thread's gradients: of the weights that row[.] and column[.] hold at its place, and of a bias.
    struct Gradient {
        float row[units_of_block] = {};
        float column[units_of_block] = {};
        float bias = 0.0f;
    };

    // d: gradient by this layer's z for `rows` rows from `first` on, in shared memory, all units.
    __device__ void add_gradient(Gradient& gradient, const HiddenRow* d, const float* below,
                                 unsigned first, unsigned rows, const OwnUnits& own,
                                 unsigned hidden) const {
        constexpr unsigned together = 8; // reads under way
        const unsigned h = threadIdx.x;
        for (unsigned r = 0; h < hidden && r < rows; r += together) {
            float from_below[together];
            PATCHFORGE_UNROLL
            for (unsigned i = 0; i < together; ++i) {
                from_below[i] = r + i < rows ? __ldcg(below + (first + r + i) * hidden + h) : 0.0f;
            }
            PATCHFORGE_UNROLL
            for (unsigned i = 0; i < together; ++i) {
                PATCHFORGE_UNROLL
                for (unsigned unit = 0; unit < units_of_block; ++unit) {
                    if (r + i < rows && unit < own.count) {
                        gradient.row[unit] =
                            fmaf(d[r + i][own.first + unit], from_below[i], gradient.row[unit]);
                        gradient.column[unit] =
                            fmaf(d[r + i][h], input[first + r + i][unit], gradient.column[unit]);
                    }
                }
            }
        }
        if (threadIdx.x < own.count) {
            for (unsigned r = 0; r < rows; ++r) {
                gradient.bias += d[r][own.first + threadIdx.x];
            }
        }
    }

    __device__ void update(const Gradient& gradient, const OwnUnits& own, unsigned hidden,
                           const AdamUpdate& adam) {
        PATCHFORGE_UNROLL
        for (unsigned unit = 0; unit < units_of_block; ++unit) {
            if (threadIdx.x < hidden && unit < own.count) {
                row[unit].update(threadIdx.x, gradient.row[unit], adam);
                column[unit].update(threadIdx.x, gradient.column[unit], adam);
            }
        }
        if (threadIdx.x < own.count) {
            bias.update(threadIdx.x, gradient.bias, adam);
        }
    }
};

} // namespace patchforge::cuda
