// Batch, instance and group normalisation of maps, forward and backward. Each way is three kernels:
// sums over every plane (a channel of a picture), sums of those over the sets, and a pass over the
// elements. Blocks of the first and the last do not care how sets are cut, so batch normalisation of
// few channels fills the device like instance normalisation of many.
//
//                        reads    writes   an element
//     map_moments        4 B               16 B a plane written: sums of x and x^2 about the set's
//                                          first element
//     map_statistics                       those read; means, variances, running ones
//     map_normalise      4 B      4 B      x comes out of L2 where a layer's maps fit (25 MB)
//     map_gradient_sums  8 B               16 B a plane: sums of dy and dy N
//     map_totals                           those by set, scaled, and d_scale, d_shift by channel
//     map_gradient       8 B      4 B
//
// A plane is summed by a block, or by a warp where it is short.
#include <algorithm>

#include "kernels/cuda/cuda_backend.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/epilogue.h"
#include "kernels/cuda/instructions.h"
#include "kernels/cuda/map_sums.h"

namespace patchforge::cuda {
namespace {

// Where the set's first element lies: its sums are about that one, so that none is small beside them.
__device__ std::int64_t first_of_set(const MapSets& sets, std::int64_t row, int channel) {
    return (row / sets.rows * sets.rows * sets.extent.channels +
            channel / sets.channels * sets.channels) *
           sets.extent.plane();
}

template <unsigned warps>
__global__ void __launch_bounds__(reduction_block)
    map_moments_kernel(double* sums, const float* x, MapSets sets, std::int64_t planes) {
    begin_kernel();
    auto& storage = shared<BlockSumStorage<2>>();
    const int plane = static_cast<int>(sets.extent.plane());
    const auto terms = [&](std::int64_t p) {
        const int channels = sets.extent.channels;
        const double origin = x[first_of_set(sets, p / channels, static_cast<int>(p % channels))];
        const float* of_plane = x + p * plane;
        return [=](int i, double(&value)[2]) {
            const double d = of_plane[i] - origin;
            value[0] += d;
            value[1] += d * d;
        };
    };
    sum_over_planes<warps>(planes, plane, storage, terms, store_sums<2>(sums));
}

template <unsigned warps>
__global__ void __launch_bounds__(reduction_block)
    map_gradient_sums_kernel(double* sums, const float* dy, const float* x, const float* statistics,
                             MapSets sets, std::int64_t planes, std::int64_t count) {
    begin_kernel();
    auto& storage = shared<BlockSumStorage<2>>();
    const int plane = static_cast<int>(sets.extent.plane());
    const auto terms = [&](std::int64_t p) {
        const PlaneOfSet at = plane_of_set(sets, statistics, count, p);
        return [=](int i, double(&value)[2]) {
            const double g = dy[at.first + i];
            value[0] += g;
            value[1] += g * ((x[at.first + i] - at.mean) * at.inverse);
        };
    };
    sum_over_planes<warps>(planes, plane, storage, terms, store_sums<2>(sums));
}

// A block owns 32 sets that lie side by side in a picture, and every gridDim.y-th part of the batch:
// all of them in their order where statistics run.
__global__ void __launch_bounds__(reduction_block)
    map_statistics_kernel(float* statistics, const double* sums, const float* x, MapSets sets,
                          std::int64_t parts, float* running, float momentum) {
    begin_kernel();
    auto& storage = shared<ColumnSumStorage<2>>();
    const int across = sets.across();
    const int s = static_cast<int>(blockIdx.x * columns_per_block + threadIdx.x % 32);
    const bool inside = s < across;
    const bool writes = inside && threadIdx.x < 32;
    const double elements = static_cast<double>(sets.elements());
    for (std::int64_t part = blockIdx.y; part < parts; part += gridDim.y) {
        const std::int64_t first_plane =
            part * sets.rows * sets.extent.channels + s * sets.channels;
        double value[2];
        sum_over_members(
            value, sums, static_cast<int>(sets.rows) * sets.channels, inside, storage,
            [&](int m) {
                return first_plane + m / sets.channels * sets.extent.channels + m % sets.channels;
            },
            [](int, int) { return 1.0; });
        if (writes) {
            const double distance = value[0] / elements; // of the mean from the origin
            const double squares = value[1] / elements - distance * distance;
            const auto mean = static_cast<float>(x[first_plane * sets.extent.plane()] + distance);
            const auto variance = static_cast<float>(squares > 0.0 ? squares : 0.0);
            statistics[part * across + s] = mean;
            statistics[(parts + part) * across + s] = variance;
            if (running != nullptr) {
                const double kept = 1.0 - momentum;
                running[s] = static_cast<float>(kept * running[s] + double{momentum} * mean);
                running[across + s] = static_cast<float>(
                    kept * running[across + s] +
                    double{momentum} * (variance * (elements / (elements - 1.0))));
            }
        }
    }
}

// totals [sets, 2] = the planes' sums over the set, each times its channel's scale: of g and of g N.
// The blocks after those for sets add the planes' sums over the batch: d_shift and d_scale.
__global__ void __launch_bounds__(reduction_block)
    map_totals_kernel(double* totals, float* d_scale, float* d_shift, const double* sums,
                      const float* scale, MapSets sets, std::int64_t rows, bool accumulate) {
    begin_kernel();
    auto& storage = shared<ColumnSumStorage<2>>();
    const int across = sets.across();
    const int channels = sets.extent.channels;
    const std::int64_t blocks_of_part = (across + columns_per_block - 1) / columns_per_block;
    const std::int64_t blocks_of_sets = rows / sets.rows * blocks_of_part;
    double value[2];
    if (blockIdx.x < blocks_of_sets) {
        const std::int64_t part = blockIdx.x / blocks_of_part;
        const int s =
            static_cast<int>(blockIdx.x % blocks_of_part * columns_per_block + threadIdx.x % 32);
        sum_over_members(
            value, sums, static_cast<int>(sets.rows) * sets.channels, s < across, storage,
            [&](int m) { return member_plane(sets, part, s, m); },
            [&](int m, int) {
                return scale == nullptr ? 1.0 : scale[s * sets.channels + m % sets.channels];
            });
        if (s < across && threadIdx.x < 32) {
            totals[2 * (part * across + s)] = value[0];
            totals[2 * (part * across + s) + 1] = value[1];
        }
    } else {
        const int c =
            static_cast<int>((blockIdx.x - blocks_of_sets) * columns_per_block + threadIdx.x % 32);
        sum_over_members(
            value, sums, static_cast<int>(rows), c < channels, storage,
            [&](int m) { return std::int64_t{m} * channels + c; }, [](int, int) { return 1.0; });
        if (c < channels && threadIdx.x < 32) {
            d_shift[c] = static_cast<float>((accumulate ? d_shift[c] : 0.0) + value[0]);
            d_scale[c] = static_cast<float>((accumulate ? d_scale[c] : 0.0) + value[1]);
        }
    }
}

// Grid x over a row in quads, y over the rows.
template <bool vectors>
__global__ void __launch_bounds__(256)
    map_normalise_kernel(float* y, const float* x, const float* statistics, const float* scale,
                         const float* shift, MapSets sets, std::int64_t rows,
                         Epilogue description) {
    begin_kernel();
    const ElementEpilogue epilogue(description);
    const unsigned columns = sets.extent.size();
    const unsigned first = 4 * (blockIdx.x * blockDim.x + threadIdx.x);
    const std::int64_t count = sets.count(rows);
    for (std::int64_t row = blockIdx.y; row < rows; row += gridDim.y) {
        const std::int64_t e = row * columns + first;
        float quad[4];
        load_quad<vectors>(quad, x + e, std::int64_t{columns} - first);
        for_quad_of_row(first, columns, sets.extent.plane(), [&](unsigned i, int c) {
            const std::int64_t set = sets.of(row, c);
            const float factor =
                inverse_deviation(statistics[count + set]) * (scale == nullptr ? 1.0f : scale[c]);
            quad[i] = (quad[i] - statistics[set]) * factor + (shift == nullptr ? 0.0f : shift[c]);
        });
        epilogue.apply_quad(quad, e);
        store_quad<vectors>(y + e, quad, std::int64_t{columns} - first);
    }
}

// totals null: the statistics are given, nothing goes through them and x is read for `previous` alone.
template <bool vectors>
__global__ void __launch_bounds__(256)
    map_gradient_kernel(float* dx, const float* dy, const float* x, const float* statistics,
                        const double* totals, const float* scale, MapSets sets, std::int64_t rows,
                        Epilogue description) {
    begin_kernel();
    const ElementEpilogue previous(description);
    const unsigned columns = sets.extent.size();
    const unsigned first = 4 * (blockIdx.x * blockDim.x + threadIdx.x);
    const std::int64_t count = sets.count(rows);
    const float share = 1.0f / static_cast<float>(sets.elements());
    for (std::int64_t row = blockIdx.y; row < rows; row += gridDim.y) {
        const std::int64_t e = row * columns + first;
        float gradient[4];
        float input[4] = {0.0f, 0.0f, 0.0f, 0.0f};
        load_quad<vectors>(gradient, dy + e, std::int64_t{columns} - first);
        if (totals != nullptr || !previous.is_identity()) {
            load_quad<vectors>(input, x + e, std::int64_t{columns} - first);
        }
        for_quad_of_row(first, columns, sets.extent.plane(), [&](unsigned i, int c) {
            const std::int64_t set = sets.of(row, c);
            const float inverse = inverse_deviation(statistics[count + set]);
            float g = gradient[i] * (scale == nullptr ? 1.0f : scale[c]);
            if (totals != nullptr) {
                const float normalised = (input[i] - statistics[set]) * inverse;
                g -= (static_cast<float>(totals[2 * set]) +
                      normalised * static_cast<float>(totals[2 * set + 1])) *
                     share;
            }
            gradient[i] = g * inverse;
        });
        if (!previous.is_identity()) {
            previous.multiply_by_derivative(gradient, input, e);
        }
        store_quad<vectors>(dx + e, gradient, std::int64_t{columns} - first);
    }
}

} // namespace

void CudaBackend::normalise_maps(Matrix<float> y, Matrix<float> statistics,
                                 const RunningStatistics& running, Vector<double> sums,
                                 Matrix<const float> x, const MapSets& sets,
                                 Vector<const float> scale, Vector<const float> shift,
                                 const Epilogue& epilogue) {
    sets.validate(x.rows);
    const std::int64_t planes = x.rows * sets.extent.channels;
    const std::int64_t count = sets.count(x.rows);
    const std::int64_t parts = x.rows / sets.rows;
    const bool runs = !running.values.empty();
    launch(sets.extent.plane() >= plane_of_block ? map_moments_kernel<8> : map_moments_kernel<1>,
           plane_shape<2>(planes, sets.extent.plane(), stream_, "map_moments",
                          4.0 * x.size() + 16.0 * planes, 4.0 * x.size()),
           sums.data, x.data, sets, planes);
    launch(
        map_statistics_kernel,
        {.grid = {blocks_for(sets.across(), columns_per_block),
                  runs ? 1u
                       : static_cast<unsigned>(std::min<std::int64_t>(parts, most_rows_of_grid))},
         .block = reduction_block,
         .shared_bytes = sizeof(ColumnSumStorage<2>),
         .stream = stream_,
         .name = "map_statistics",
         .work = {16.0 * planes + 12.0 * count + (runs ? 16.0 * sets.across() : 0.0),
                  4.0 * planes}},
        statistics.data, sums.data, x.data, sets, parts, running.values.data_or_null(),
        running.momentum);
    normalise_maps_by(y, x, statistics, sets, scale, shift, epilogue);
}

void CudaBackend::normalise_maps_by(Matrix<float> y, Matrix<const float> x,
                                    Matrix<const float> statistics, const MapSets& sets,
                                    Vector<const float> scale, Vector<const float> shift,
                                    const Epilogue& epilogue) {
    const bool vectors = quad_access(x.columns, {y.data, x.data});
    launch(
        vectors ? map_normalise_kernel<true> : map_normalise_kernel<false>,
        element_shape(x, stream_, "map_normalise",
                      8.0 * x.size() + 8.0 * sets.count(x.rows) + 4.0 * (scale.size + shift.size),
                      6.0 * x.size()),
        y.data, x.data, statistics.data, scale.data_or_null(), shift.data_or_null(), sets, x.rows,
        epilogue);
}

// sums = those of every plane, then those of every set; d_scale and d_shift, unless empty.
void CudaBackend::sum_map_gradient(Vector<double> sums, Vector<float> d_scale,
                                   Vector<float> d_shift, Matrix<const float> dy,
                                   Matrix<const float> x, Matrix<const float> statistics,
                                   const MapSets& sets, Vector<const float> scale,
                                   bool accumulate) {
    const std::int64_t planes = x.rows * sets.extent.channels;
    const std::int64_t count = sets.count(x.rows);
    double* const totals = sums.data + 2 * planes;
    launch(sets.extent.plane() >= plane_of_block ? map_gradient_sums_kernel<8>
                                                 : map_gradient_sums_kernel<1>,
           plane_shape<2>(planes, sets.extent.plane(), stream_, "map_gradient_sums",
                          8.0 * x.size() + 16.0 * planes + 8.0 * count, 5.0 * x.size()),
           sums.data, dy.data, x.data, statistics.data, sets, planes, count);
    launch(map_totals_kernel,
           {.grid = blocks_for(sets.across(), columns_per_block) *
                        static_cast<unsigned>(x.rows / sets.rows) +
                    blocks_for(d_scale.size, columns_per_block),
            .block = reduction_block,
            .shared_bytes = sizeof(ColumnSumStorage<2>),
            .stream = stream_,
            .name = "map_totals",
            .work = {16.0 * planes + 16.0 * count + 4.0 * scale.size +
                         (accumulate ? 16.0 : 8.0) * d_scale.size,
                     8.0 * planes}},
           totals, d_scale.data_or_null(), d_shift.data_or_null(), sums.data, scale.data_or_null(),
           sets, x.rows, accumulate);
}

void CudaBackend::normalise_maps_gradient(Matrix<float> dx, Vector<float> d_scale,
                                          Vector<float> d_shift, Vector<double> sums,
                                          Matrix<const float> dy, Matrix<const float> x,
                                          Matrix<const float> statistics, const MapSets& sets,
                                          Vector<const float> scale, const Epilogue& previous,
                                          bool accumulate) {
    sets.validate(x.rows);
    sum_map_gradient(sums, d_scale, d_shift, dy, x, statistics, sets, scale, accumulate);
    const std::int64_t count = sets.count(x.rows);
    const bool vectors = quad_access(x.columns, {dx.data, dy.data, x.data});
    launch(vectors ? map_gradient_kernel<true> : map_gradient_kernel<false>,
           element_shape(x, stream_, "map_gradient",
                         12.0 * x.size() + 24.0 * count + 4.0 * scale.size, 10.0 * x.size()),
           dx.data, dy.data, x.data, statistics.data, sums.data + 2 * x.rows * sets.extent.channels,
           scale.data_or_null(), sets, x.rows, previous);
}

void CudaBackend::normalise_maps_by_gradient(Matrix<float> dx, Matrix<const float> dy,
                                             Matrix<const float> x, Matrix<const float> statistics,
                                             const MapSets& sets, Vector<const float> scale,
                                             const Epilogue& previous) {
    const float* const input = previous.is_identity() ? nullptr : x.data;
    const bool vectors = quad_access(dy.columns, {dx.data, dy.data, input});
    launch(vectors ? map_gradient_kernel<true> : map_gradient_kernel<false>,
           element_shape(dy, stream_, "map_gradient",
                         (input ? 12.0 : 8.0) * dy.size() + 4.0 * sets.count(dy.rows) +
                             4.0 * scale.size,
                         4.0 * dy.size()),
           dx.data, dy.data, input, statistics.data, static_cast<const double*>(nullptr),
           scale.data_or_null(), sets, dy.rows, previous);
}

} // namespace patchforge::cuda
