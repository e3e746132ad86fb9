// The tangent of normalisation and its second derivative (kernels/operations/normalise_maps.h): sums over every
// plane, means over the sets, then a pass over the elements and one over the channels' planes. A tangent's sums
// are those of a gradient.
//
//                          reads    writes   an element
//     map_tangent          8 B      4 B
//     map_curvature_sums   12 B              40 B a plane: sums of dy, dy N, t, t N and dy t
//     map_curvature_means                    40 B a set: means of g, g N, t, t N and g T
//     map_curvature_scale  those of planes and sets; d_scale
//     map_curvature        16 B     4 B
#include "kernels/cuda/cuda_backend.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/epilogue.h"
#include "kernels/cuda/instructions.h"
#include "kernels/cuda/map_sums.h"

namespace patchforge::cuda {
namespace {

// totals as of a gradient without scale: the derivative is symmetric but for that, which comes last here.
template <bool vectors>
__global__ void __launch_bounds__(256)
    map_tangent_kernel(float* ty, const float* t, const float* x, const float* statistics,
                       const double* totals, const float* scale, MapSets sets, std::int64_t rows) {
    begin_kernel();
    const unsigned columns = sets.extent.size();
    const unsigned first = 4 * (blockIdx.x * blockDim.x + threadIdx.x);
    const std::int64_t count = sets.count(rows);
    const float share = 1.0f / static_cast<float>(sets.elements());
    for (std::int64_t row = blockIdx.y; row < rows; row += gridDim.y) {
        const std::int64_t e = row * columns + first;
        float tangent[4], input[4];
        load_quad<vectors>(tangent, t + e, std::int64_t{columns} - first);
        load_quad<vectors>(input, x + e, std::int64_t{columns} - first);
        for_quad_of_row(first, columns, sets.extent.plane(), [&](unsigned i, int c) {
            const std::int64_t set = sets.of(row, c);
            const float inverse = inverse_deviation(statistics[count + set]);
            const float normalised = (input[i] - statistics[set]) * inverse;
            const float through =
                tangent[i] - (static_cast<float>(totals[2 * set]) +
                              normalised * static_cast<float>(totals[2 * set + 1])) *
                                 share;
            tangent[i] = through * inverse * (scale == nullptr ? 1.0f : scale[c]);
        });
        store_quad<vectors>(ty + e, tangent, std::int64_t{columns} - first);
    }
}

template <unsigned warps>
__global__ void __launch_bounds__(reduction_block)
    map_curvature_sums_kernel(double* sums, const float* dy, const float* t, const float* x,
                              const float* statistics, MapSets sets, std::int64_t planes,
                              std::int64_t count) {
    begin_kernel();
    auto& storage = shared<BlockSumStorage<5>>();
    const int plane = static_cast<int>(sets.extent.plane());
    const auto terms = [&](std::int64_t p) {
        const PlaneOfSet at = plane_of_set(sets, statistics, count, p);
        return [=](int i, double(&value)[5]) {
            const double g = dy[at.first + i], tangent = t[at.first + i];
            const double normalised = (x[at.first + i] - at.mean) * at.inverse;
            value[0] += g;
            value[1] += g * normalised;
            value[2] += tangent;
            value[3] += tangent * normalised;
            value[4] += g * tangent;
        };
    };
    sum_over_planes<warps>(planes, plane, storage, terms, store_sums<5>(sums));
}

// A block owns 32 sets that lie side by side in a picture.
__global__ void __launch_bounds__(reduction_block)
    map_curvature_means_kernel(double* means, const double* sums, const float* statistics,
                               const float* scale, MapSets sets, std::int64_t rows) {
    begin_kernel();
    auto& storage = shared<ColumnSumStorage<5>>();
    const int across = sets.across();
    const std::int64_t blocks_of_part = (across + columns_per_block - 1) / columns_per_block;
    const std::int64_t part = blockIdx.x / blocks_of_part;
    const int s =
        static_cast<int>(blockIdx.x % blocks_of_part * columns_per_block + threadIdx.x % 32);
    double value[5];
    sum_over_members(
        value, sums, static_cast<int>(sets.rows) * sets.channels, s < across, storage,
        [&](int m) { return member_plane(sets, part, s, m); },
        [&](int m, int k) {
            return scale == nullptr || k == 2 || k == 3
                       ? 1.0
                       : scale[s * sets.channels + m % sets.channels];
        });
    if (s < across && threadIdx.x < 32) {
        const std::int64_t set = part * across + s;
        PATCHFORGE_UNROLL
        for (int k = 0; k < 5; ++k) {
            value[k] /= static_cast<double>(sets.elements());
        }
        value[4] = inverse_deviation(statistics[sets.count(rows) + set]) *
                   (value[4] - value[0] * value[2] - value[1] * value[3]);
        PATCHFORGE_UNROLL
        for (int k = 0; k < 5; ++k) {
            means[5 * set + k] = value[k];
        }
    }
}

// A block owns 32 channels.
__global__ void __launch_bounds__(reduction_block)
    map_curvature_scale_kernel(float* d_scale, const double* sums, const double* means,
                               const float* statistics, MapSets sets, std::int64_t rows) {
    begin_kernel();
    auto& storage = shared<ColumnSumStorage<1>>();
    const int channels = sets.extent.channels;
    const int c = static_cast<int>(blockIdx.x * columns_per_block + threadIdx.x % 32);
    double value[1] = {0.0};
    if (c < channels) {
        for (std::int64_t row = threadIdx.x / 32; row < rows; row += warps_per_block) {
            const std::int64_t set = sets.of(row, c);
            const double* of_plane = sums + 5 * (row * channels + c);
            value[0] +=
                inverse_deviation(statistics[sets.count(rows) + set]) *
                (of_plane[4] - means[5 * set + 2] * of_plane[0] - means[5 * set + 3] * of_plane[1]);
        }
    }
    sum_over_warps(value, storage);
    if (c < channels && threadIdx.x < 32) {
        d_scale[c] = static_cast<float>(d_scale[c] + value[0]);
    }
}

// Grid x over a row in quads, y over the rows.
template <bool vectors>
__global__ void __launch_bounds__(256)
    map_curvature_kernel(float* dx, const float* dy, const float* t, const float* x,
                         const float* statistics, const double* means, const float* scale,
                         MapSets sets, std::int64_t rows) {
    begin_kernel();
    const unsigned columns = sets.extent.size();
    const unsigned first = 4 * (blockIdx.x * blockDim.x + threadIdx.x);
    const std::int64_t count = sets.count(rows);
    const std::int64_t room = std::int64_t{columns} - first;
    for (std::int64_t row = blockIdx.y; row < rows; row += gridDim.y) {
        const std::int64_t e = row * columns + first;
        float result[4], gradient[4], tangent[4], input[4];
        load_quad<vectors>(result, dx + e, room);
        load_quad<vectors>(gradient, dy + e, room);
        load_quad<vectors>(tangent, t + e, room);
        load_quad<vectors>(input, x + e, room);
        for_quad_of_row(first, columns, sets.extent.plane(), [&](unsigned i, int c) {
            const std::int64_t set = sets.of(row, c);
            const double* mean = means + 5 * set;
            const float inverse = inverse_deviation(statistics[count + set]);
            const float normalised = (input[i] - statistics[set]) * inverse;
            const auto of_gn = static_cast<float>(mean[1]), of_tn = static_cast<float>(mean[3]);
            const float g = gradient[i] * (scale == nullptr ? 1.0f : scale[c]);
            const float through_t =
                (tangent[i] - static_cast<float>(mean[2]) - normalised * of_tn) * inverse;
            const float through_g =
                (g - static_cast<float>(mean[0]) - normalised * of_gn) * inverse;
            result[i] -=
                (normalised * static_cast<float>(mean[4]) + of_gn * through_t + of_tn * through_g) *
                inverse;
        });
        store_quad<vectors>(dx + e, result, room);
    }
}

} // namespace

void CudaBackend::normalise_maps_tangent(Matrix<float> ty, Vector<double> sums,
                                         Matrix<const float> t, Matrix<const float> x,
                                         Matrix<const float> statistics, const MapSets& sets,
                                         Vector<const float> scale) {
    sum_map_gradient(sums, {}, {}, t, x, statistics, sets, {}, false);
    const bool vectors = quad_access(x.columns, {ty.data, t.data, x.data});
    launch(vectors ? map_tangent_kernel<true> : map_tangent_kernel<false>,
           element_shape(x, stream_, "map_tangent",
                         12.0 * x.size() + 24.0 * sets.count(x.rows) + 4.0 * scale.size,
                         10.0 * x.size()),
           ty.data, t.data, x.data, statistics.data, sums.data + 2 * x.rows * sets.extent.channels,
           scale.data_or_null(), sets, x.rows);
}

void CudaBackend::normalise_maps_curvature(Matrix<float> dx, Vector<float> d_scale,
                                           Vector<double> sums, Matrix<const float> dy,
                                           Matrix<const float> t, Matrix<const float> x,
                                           Matrix<const float> statistics, const MapSets& sets,
                                           Vector<const float> scale) {
    const std::int64_t planes = x.rows * sets.extent.channels;
    const std::int64_t count = sets.count(x.rows);
    double* const means = sums.data + 5 * planes;
    launch(sets.extent.plane() >= plane_of_block ? map_curvature_sums_kernel<8>
                                                 : map_curvature_sums_kernel<1>,
           plane_shape<5>(planes, sets.extent.plane(), stream_, "map_curvature_sums",
                          12.0 * x.size() + 40.0 * planes + 8.0 * count, 10.0 * x.size()),
           sums.data, dy.data, t.data, x.data, statistics.data, sets, planes, count);
    launch(map_curvature_means_kernel,
           {.grid = blocks_for(sets.across(), columns_per_block) *
                    static_cast<unsigned>(x.rows / sets.rows),
            .block = reduction_block,
            .shared_bytes = sizeof(ColumnSumStorage<5>),
            .stream = stream_,
            .name = "map_curvature_means",
            .work = {40.0 * planes + 44.0 * count + 4.0 * scale.size, 10.0 * planes}},
           means, sums.data, statistics.data, scale.data_or_null(), sets, x.rows);
    if (!d_scale.empty()) {
        launch(map_curvature_scale_kernel,
               {.grid = blocks_for(sets.extent.channels, columns_per_block),
                .block = reduction_block,
                .shared_bytes = sizeof(ColumnSumStorage<1>),
                .stream = stream_,
                .name = "map_curvature_scale",
                .work = {24.0 * planes + 20.0 * count + 8.0 * d_scale.size, 6.0 * planes}},
               d_scale.data, sums.data, means, statistics.data, sets, x.rows);
    }
    const bool vectors = quad_access(x.columns, {dx.data, dy.data, t.data, x.data});
    launch(vectors ? map_curvature_kernel<true> : map_curvature_kernel<false>,
           element_shape(x, stream_, "map_curvature",
                         20.0 * x.size() + 48.0 * count + 4.0 * scale.size, 20.0 * x.size()),
           dx.data, dy.data, t.data, x.data, statistics.data, means, scale.data_or_null(), sets,
           x.rows);
}

} // namespace patchforge::cuda
