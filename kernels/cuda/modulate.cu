// FiLM, noise and the deviation of a batch as a channel, forward and backward.
//
//     modulate              8 B an element. A thread owns four pixels of a plane, one call of Philox; every
//                           channel draws the picture's noise anew: 25 instructions a pixel instead of 4 B
//     modulate_sums         4 B, with FiLM 8 B: sums of dy x, dy and dy n over every plane
//     modulate_strength     those of dy n over the pictures
//     modulate_gradient     8 B, with an epilogue before 12 B
//     append_deviation      a block a group: 4 B read twice, 4 B written
//     append_deviation_gradient   8 B read, 4 B written
#include <algorithm>

#include "kernels/cuda/column_sum.h"
#include "kernels/cuda/cuda_backend.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/epilogue.h"
#include "kernels/cuda/instructions.h"
#include "kernels/cuda/plane_sum.h"

namespace patchforge::cuda {
namespace {

// Modulation as kernels take it; null where a part is missing.
struct ModulationPointers {
    const float* film;
    const float* strength;
    RandomStream noise;

    explicit ModulationPointers(const Modulation& modulation)
        : film(modulation.film.data_or_null()), strength(modulation.strength.data_or_null()),
          noise(modulation.noise) {}
};

// The noise of four pixels from 4 * quad on.
__device__ void noise_quad(float (&noise)[4], RandomStream stream, std::int64_t row, int quad) {
    const std::uint64_t picture = stream.draw.value() + static_cast<std::uint64_t>(row);
    const PhiloxDraw draw(stream, picture);
    std::uint32_t word[4];
    draw.words(word, static_cast<std::uint32_t>(quad));
    standard_normals(noise, word);
}

// Grid x over the quads of a picture's planes, y over the pictures.
template <bool vectors>
__global__ void __launch_bounds__(256)
    modulate_kernel(float* y, const float* x, Extent extent, ModulationPointers modulation,
                    std::int64_t rows, Epilogue description) {
    begin_kernel();
    const ElementEpilogue epilogue(description);
    const int plane = extent.plane(), channels = extent.channels;
    const int quads = (plane + 3) / 4;
    const int q = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    for (std::int64_t row = blockIdx.y; row < rows && q < channels * quads; row += gridDim.y) {
        const int c = q / quads, pixel = q % quads * 4;
        const std::int64_t first = (row * channels + c) * plane + pixel;
        float value[4];
        load_quad<vectors>(value, x + first, plane - pixel);
        if (modulation.film != nullptr) {
            const float* film = modulation.film + row * 2 * channels + c;
            PATCHFORGE_UNROLL
            for (int i = 0; i < 4; ++i) {
                value[i] = fmaf(value[i], 1.0f + film[0], film[channels]);
            }
        }
        if (modulation.strength != nullptr) {
            float noise[4];
            noise_quad(noise, modulation.noise, row, q % quads);
            PATCHFORGE_UNROLL
            for (int i = 0; i < 4; ++i) {
                value[i] = fmaf(modulation.strength[c], noise[i], value[i]);
            }
        }
        epilogue.apply_quad(value, first);
        store_quad<vectors>(y + first, value, plane - pixel);
    }
}

template <bool vectors>
__global__ void __launch_bounds__(256)
    modulate_gradient_kernel(float* dx, const float* dy, const float* x, Extent extent,
                             const float* film, std::int64_t rows, Epilogue description) {
    begin_kernel();
    const ElementEpilogue previous(description);
    const int plane = extent.plane(), channels = extent.channels;
    const int quads = (plane + 3) / 4;
    const int q = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    for (std::int64_t row = blockIdx.y; row < rows && q < channels * quads; row += gridDim.y) {
        const int c = q / quads, pixel = q % quads * 4;
        const std::int64_t first = (row * channels + c) * plane + pixel;
        const float factor = film == nullptr ? 1.0f : 1.0f + film[row * 2 * channels + c];
        float gradient[4];
        load_quad<vectors>(gradient, dy + first, plane - pixel);
        PATCHFORGE_UNROLL
        for (int i = 0; i < 4; ++i) {
            gradient[i] *= factor;
        }
        if (!previous.is_identity()) {
            float output[4];
            load_quad<vectors>(output, x + first, plane - pixel);
            previous.multiply_by_derivative(gradient, output, first);
        }
        store_quad<vectors>(dx + first, gradient, plane - pixel);
    }
}

// d_film and sums may be null: of the part that is missing.
template <unsigned warps>
__global__ void __launch_bounds__(reduction_block)
    modulate_sums_kernel(float* d_film, double* sums, const float* dy, const float* x,
                         Extent extent, RandomStream noise, std::int64_t planes) {
    begin_kernel();
    auto& storage = shared<BlockSumStorage<3>>();
    const int plane = extent.plane(), channels = extent.channels;
    sum_over_planes<warps>(
        planes, (plane + 3) / 4, storage,
        [&](std::int64_t p) {
            return [=](int quad, double(&value)[3]) {
                float normal[4] = {0.0f, 0.0f, 0.0f, 0.0f};
                if (sums != nullptr) {
                    noise_quad(normal, noise, p / channels, quad);
                }
                for (int i = 0; i < 4 && 4 * quad + i < plane; ++i) {
                    const std::int64_t e = p * plane + 4 * quad + i;
                    const double gradient = dy[e];
                    if (d_film != nullptr) {
                        value[0] += gradient * x[e];
                        value[1] += gradient;
                    }
                    value[2] += gradient * normal[i];
                }
            };
        },
        [&](std::int64_t p, const double(&value)[3]) {
            if (d_film != nullptr) {
                float* of_row = d_film + p / channels * 2 * channels + p % channels;
                of_row[0] = static_cast<float>(value[0]);
                of_row[channels] = static_cast<float>(value[1]);
            }
            if (sums != nullptr) {
                sums[p] = value[2];
            }
        });
}

__global__ void __launch_bounds__(reduction_block)
    modulate_strength_kernel(float* d_strength, const double* sums, std::int64_t rows, int channels,
                             bool accumulate) {
    begin_kernel();
    auto& storage = shared<ColumnSumStorage<1>>();
    const int c = static_cast<int>(blockIdx.x * columns_per_block + threadIdx.x % 32);
    double sum[1] = {0.0};
    if (c < channels) {
        for (std::int64_t r = threadIdx.x / 32; r < rows; r += warps_per_block) {
            sum[0] += sums[r * channels + c];
        }
    }
    sum_over_warps(sum, storage);
    if (c < channels && threadIdx.x < 32) {
        d_strength[c] = static_cast<float>((accumulate ? d_strength[c] : 0.0) + sum[0]);
    }
}

// Of element e of the rows of a group.
struct Deviation {
    double mean = 0.0, deviation = 0.0;

    __device__ Deviation(const float* x, std::int64_t rows, std::int64_t stride) {
        for (std::int64_t r = 0; r < rows; ++r) {
            mean += x[r * stride];
        }
        mean /= static_cast<double>(rows);
        double squares = 0.0;
        for (std::int64_t r = 0; r < rows; ++r) {
            const double d = x[r * stride] - mean;
            squares += d * d;
        }
        deviation = sqrt(squares / static_cast<double>(rows) + 1e-8);
    }
};

__global__ void __launch_bounds__(reduction_block)
    append_deviation_kernel(float* y, const float* x, std::int64_t batch, std::int64_t group,
                            int columns, int plane) {
    begin_kernel();
    auto& storage = shared<SharedSums<1>>();
    const std::int64_t first = blockIdx.x * group;
    const std::int64_t rows = batch - first < group ? batch - first : group;
    const float* from = x + first * columns;
    double sum[1] = {0.0};
    for (int e = static_cast<int>(threadIdx.x); e < columns; e += reduction_block) {
        sum[0] += Deviation(from + e, rows, columns).deviation;
    }
    share_sums(sum, storage);
    const auto mean = static_cast<float>(sum[0] / columns);
    for (std::int64_t r = 0; r < rows; ++r) {
        float* to = y + (first + r) * (columns + plane);
        for (int e = static_cast<int>(threadIdx.x); e < columns + plane; e += reduction_block) {
            to[e] = e < columns ? from[r * columns + e] : mean;
        }
    }
}

__global__ void __launch_bounds__(reduction_block)
    append_deviation_gradient_kernel(float* dx, const float* dy, const float* x, std::int64_t batch,
                                     std::int64_t group, int columns, int plane) {
    begin_kernel();
    auto& storage = shared<SharedSums<1>>();
    const std::int64_t first = blockIdx.x * group;
    const std::int64_t rows = batch - first < group ? batch - first : group;
    const float* from = x + first * columns;
    const float* gradient = dy + first * (columns + plane);
    double of_deviation[1] = {0.0};
    for (std::int64_t r = 0; r < rows; ++r) {
        const float* of_channel = gradient + r * (columns + plane) + columns;
        for (int e = static_cast<int>(threadIdx.x); e < plane; e += reduction_block) {
            of_deviation[0] += of_channel[e];
        }
    }
    share_sums(of_deviation, storage);
    const double share = of_deviation[0] / (static_cast<double>(columns) * rows);
    for (int e = static_cast<int>(threadIdx.x); e < columns; e += reduction_block) {
        const Deviation element(from + e, rows, columns);
        for (std::int64_t r = 0; r < rows; ++r) {
            dx[(first + r) * columns + e] = static_cast<float>(
                gradient[r * (columns + plane) + e] +
                share * (from[r * columns + e] - element.mean) / element.deviation);
        }
    }
}

LaunchShape quad_shape(Matrix<const float> x, Extent extent, Stream stream, const char* name,
                       double bytes, double operations) {
    return {.grid = {blocks_for(extent.channels * ((extent.plane() + 3) / 4), 256),
                     static_cast<unsigned>(std::min<std::int64_t>(x.rows, 65535))},
            .stream = stream,
            .name = name,
            .work = {bytes, operations}};
}

} // namespace

void CudaBackend::modulate(Matrix<float> y, Matrix<const float> x, Extent extent,
                           const Modulation& modulation, const Epilogue& epilogue) {
    const bool vectors = quad_access(extent.plane(), {y.data, x.data});
    launch(
        vectors ? modulate_kernel<true> : modulate_kernel<false>,
        quad_shape(x, extent, stream_, "modulate",
                   8.0 * x.size() + 4.0 * modulation.film.size() + 4.0 * modulation.strength.size,
                   30.0 * x.size()),
        y.data, x.data, extent, ModulationPointers(modulation), x.rows, epilogue);
}

void CudaBackend::modulate_gradient(Matrix<float> dx, Matrix<float> d_film,
                                    Vector<float> d_strength, Vector<double> sums,
                                    Matrix<const float> dy, Matrix<const float> x, Extent extent,
                                    const Modulation& modulation, const Epilogue& previous,
                                    bool accumulate) {
    const std::int64_t planes = dy.rows * extent.channels;
    const bool films = !d_film.empty(), noisy = !d_strength.empty();
    if (films || noisy) {
        const std::int64_t quads = (extent.plane() + 3) / 4;
        launch(quads >= plane_of_block ? modulate_sums_kernel<8> : modulate_sums_kernel<1>,
               {.grid = blocks_for_planes(planes, quads),
                .block = reduction_block,
                .shared_bytes = sizeof(BlockSumStorage<3>),
                .stream = stream_,
                .name = "modulate_sums",
                .work = {(films ? 8.0 : 4.0) * dy.size() + (films ? 8.0 : 0.0) * planes +
                             (noisy ? 8.0 : 0.0) * planes,
                         30.0 * dy.size()}},
               d_film.data_or_null(), noisy ? sums.data : nullptr, dy.data, x.data, extent,
               modulation.noise, planes);
    }
    if (noisy) {
        launch(modulate_strength_kernel,
               {.grid = blocks_for(extent.channels, columns_per_block),
                .block = reduction_block,
                .shared_bytes = sizeof(ColumnSumStorage<1>),
                .stream = stream_,
                .name = "modulate_strength",
                .work = {8.0 * planes + (accumulate ? 8.0 : 4.0) * d_strength.size, 1.0 * planes}},
               d_strength.data, sums.data, dy.rows, extent.channels, accumulate);
    }
    const float* const output = previous.is_identity() ? nullptr : x.data;
    const bool vectors = quad_access(extent.plane(), {dx.data, dy.data, output});
    launch(vectors ? modulate_gradient_kernel<true> : modulate_gradient_kernel<false>,
           quad_shape(dy, extent, stream_, "modulate_gradient",
                      (output ? 12.0 : 8.0) * dy.size() + (films ? 4.0 : 0.0) * planes,
                      3.0 * dy.size()),
           dx.data, dy.data, output, extent, modulation.film.data_or_null(), dy.rows, previous);
}

void CudaBackend::append_deviation(Matrix<float> y, Matrix<const float> x, Extent extent,
                                   std::int64_t group) {
    launch(append_deviation_kernel,
           {.grid = blocks_for(x.rows, group),
            .block = reduction_block,
            .shared_bytes = sizeof(SharedSums<1>),
            .stream = stream_,
            .name = "append_deviation",
            .work = {4.0 * x.size() + 4.0 * y.size(), 6.0 * x.size()}},
           y.data, x.data, x.rows, group, static_cast<int>(x.columns), extent.plane());
}

void CudaBackend::append_deviation_gradient(Matrix<float> dx, Matrix<const float> dy,
                                            Matrix<const float> x, Extent extent,
                                            std::int64_t group) {
    launch(append_deviation_gradient_kernel,
           {.grid = blocks_for(x.rows, group),
            .block = reduction_block,
            .shared_bytes = sizeof(SharedSums<1>),
            .stream = stream_,
            .name = "append_deviation_gradient",
            .work = {8.0 * x.size() + 4.0 * dy.size(), 9.0 * x.size()}},
           dx.data, dy.data, x.data, x.rows, group, static_cast<int>(x.columns), extent.plane());
}

} // namespace patchforge::cuda
