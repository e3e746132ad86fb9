// From resident bytes to a batch. One block row for every patch: its threads find the row number by
// themselves (kernels/shuffle.h), read 4 bytes and write 4 floats each.
//
//     gather_rows    reads 1 B, writes 4 B a pixel: 37.5 kB a patch of 3 x 50 x 50, so that 64
//                    patches take 0.8 us at 3.0 TB/s, predicted.
//     gather_labels  4 B read and written a row.
#include "kernels/cuda/batch_rows.h"
#include "kernels/cuda/cuda_backend.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/instructions.h"

namespace patchforge::cuda {
namespace {

// Grid: x over quads of pixels, y over rows of the batch (striding, for more than 65535 of them).
template <bool vectors>
__global__ void __launch_bounds__(256)
    gather_rows_kernel(float* x, std::int32_t* row, const std::uint8_t* pixels, std::int64_t rows,
                       std::int64_t width, float scale, float shift, BatchPlan plan) {
    begin_kernel();
    const std::int64_t first = 4 * (std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x);
    for (std::int64_t b = blockIdx.y; b < rows; b += gridDim.y) {
        const std::int64_t source = row_of_plan(plan, b);
        if (row != nullptr && first == 0) {
            row[b] = static_cast<std::int32_t>(source);
        }
        const std::uint8_t* from = pixels + source * width + first;
        uchar4 bytes = {0, 0, 0, 0};
        if constexpr (vectors) {
            if (first < width) {
                bytes = *reinterpret_cast<const uchar4*>(from);
            }
        } else {
            bytes.x = first < width ? from[0] : 0;
            bytes.y = first + 1 < width ? from[1] : 0;
            bytes.z = first + 2 < width ? from[2] : 0;
            bytes.w = first + 3 < width ? from[3] : 0;
        }
        const float value[4] = {
            fmaf(static_cast<float>(bytes.x), scale, shift),
            fmaf(static_cast<float>(bytes.y), scale, shift),
            fmaf(static_cast<float>(bytes.z), scale, shift),
            fmaf(static_cast<float>(bytes.w), scale, shift),
        };
        store_quad<vectors>(x + b * width + first, value, width - first);
    }
}

__global__ void __launch_bounds__(256)
    gather_labels_kernel(std::int32_t* out, const std::int32_t* values, const std::int32_t* row,
                         std::int64_t count) {
    begin_kernel();
    const std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
    if (i < count) {
        out[i] = values[row[i]];
    }
}

} // namespace

void CudaBackend::gather_rows(Matrix<float> x, Vector<std::int32_t> row,
                              Matrix<const std::uint8_t> pixels, PixelRange range,
                              const BatchPlan& plan) {
    const bool vectors =
        quad_access(x.columns, {x.data}) && reinterpret_cast<std::uintptr_t>(pixels.data) % 4 == 0;
    const bool is_signed = range == PixelRange::signed_unit;
    const unsigned rows = static_cast<unsigned>(x.rows < 65535 ? x.rows : 65535);
    launch(vectors ? gather_rows_kernel<true> : gather_rows_kernel<false>,
           {.grid = {blocks_for(x.columns, 4 * 256), rows},
            .stream = stream_,
            .name = "gather_rows",
            .work = {5.0 * x.size(), 2.0 * x.size()}},
           x.data, row.data_or_null(), pixels.data, x.rows, x.columns,
           (is_signed ? 2.0f : 1.0f) / 255.0f, is_signed ? -1.0f : 0.0f, plan);
}

void CudaBackend::gather_labels(Vector<std::int32_t> out, Vector<const std::int32_t> values,
                                Vector<const std::int32_t> row) {
    launch(gather_labels_kernel,
           {.grid = blocks_for(out.size, 256),
            .stream = stream_,
            .name = "gather_labels",
            .work = {12.0 * out.size, 0}},
           out.data, values.data, row.data, out.size);
}

} // namespace patchforge::cuda
