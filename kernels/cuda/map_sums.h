// What the kernels that normalise maps, forward, back and once more, have in common: sums of planes meet
// over sets or over channels; elements come in quads of a row.
#pragma once

#include <algorithm>

#include "kernels/cuda/column_sum.h"
#include "kernels/cuda/plane_sum.h"
#include "kernels/map_sets.h"
#include "kernels/operations/normalise.h"

namespace patchforge::cuda {

constexpr unsigned most_rows_of_grid = 65535;

__device__ inline float inverse_deviation(float variance) {
    return 1.0f / sqrtf(normalisation_epsilon + variance);
}

// Where plane p begins, and the statistics of its set.
struct PlaneOfSet {
    std::int64_t first;
    double mean, inverse; // of the deviation
};

__device__ inline PlaneOfSet plane_of_set(const MapSets& sets, const float* statistics,
                                          std::int64_t count, std::int64_t p) {
    const int channels = sets.extent.channels;
    const std::int64_t set = sets.of(p / channels, static_cast<int>(p % channels));
    return {p * static_cast<int>(sets.extent.plane()), statistics[set],
            inverse_deviation(statistics[count + set])};
}

// Of the planes of set s of a part of the batch, the m-th.
__device__ inline std::int64_t member_plane(const MapSets& sets, std::int64_t part, int s, int m) {
    return (part * sets.rows + m / sets.channels) * sets.extent.channels + s * sets.channels +
           m % sets.channels;
}

// sums[values p], ... = those of plane p.
template <int values>
__device__ auto store_sums(double* sums) {
    return [=](std::int64_t p, const double(&value)[values]) {
        PATCHFORGE_UNROLL
        for (int k = 0; k < values; ++k) {
            sums[values * p + k] = value[k];
        }
    };
}

// Adds the sums k of plane at(m) times weight(m, k) over the members m = 0 ... of a set or a channel; the
// warps of a block take every eighth.
template <int values, class Plane, class Weight>
__device__ void sum_over_members(double (&value)[values], const double* sums, int members,
                                 bool inside, ColumnSumStorage<values>& storage, const Plane& at,
                                 const Weight& weight) {
    PATCHFORGE_UNROLL
    for (int k = 0; k < values; ++k) {
        value[k] = 0.0;
    }
    if (inside) {
        for (int m = static_cast<int>(threadIdx.x / 32); m < members; m += warps_per_block) {
            const double* of_plane = sums + values * at(m);
            PATCHFORGE_UNROLL
            for (int k = 0; k < values; ++k) {
                value[k] += weight(m, k) * of_plane[k];
            }
        }
    }
    sum_over_warps(value, storage);
}

// Calls body(element of the row, channel) for the elements of a thread's quad that lie in the row.
template <class Body>
__device__ void for_quad_of_row(unsigned first, unsigned columns, unsigned plane,
                                const Body& body) {
    PATCHFORGE_UNROLL
    for (unsigned i = 0; i < 4; ++i) {
        if (first + i < columns) {
            body(i, static_cast<int>((first + i) / plane));
        }
    }
}

template <int values>
LaunchShape plane_shape(std::int64_t planes, std::int64_t plane, Stream stream, const char* name,
                        double bytes, double operations) {
    return {.grid = blocks_for_planes(planes, plane),
            .block = reduction_block,
            .shared_bytes = sizeof(BlockSumStorage<values>),
            .stream = stream,
            .name = name,
            .work = {bytes, operations}};
}

inline LaunchShape element_shape(Matrix<const float> x, Stream stream, const char* name,
                                 double bytes, double operations) {
    return {.grid = {blocks_for(x.columns, 4 * 256),
                     static_cast<unsigned>(std::min<std::int64_t>(x.rows, most_rows_of_grid))},
            .stream = stream,
            .name = name,
            .work = {bytes, operations}};
}

} // namespace patchforge::cuda
