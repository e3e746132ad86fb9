// Parts of rows: copies of 8 B an element, a thread each; one-hot columns of 4 B an element.
#include "kernels/cuda/cuda_backend.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/instructions.h"

namespace patchforge::cuda {
namespace {

__global__ void __launch_bounds__(256)
    copy_columns_kernel(float* to, std::int64_t to_columns, const float* from,
                        std::int64_t from_columns, std::int64_t rows, std::int64_t count) {
    begin_kernel();
    const std::int64_t e = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
    if (e < rows * count) {
        const std::int64_t row = e / count;
        const std::int64_t c = e % count;
        to[row * to_columns + c] = from[row * from_columns + c];
    }
}

__global__ void __launch_bounds__(256)
    one_hot_kernel(float* to, std::int64_t columns, std::int64_t classes, const std::int32_t* label,
                   std::int64_t rows) {
    begin_kernel();
    const std::int64_t e = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
    if (e < rows * classes) {
        const std::int64_t row = e / classes;
        const std::int64_t c = e % classes;
        to[row * columns + c] = label[row] == c ? 1.0f : 0.0f;
    }
}

} // namespace

void CudaBackend::copy_columns(Matrix<float> to, std::int64_t to_first, Matrix<const float> from,
                               std::int64_t from_first, std::int64_t count) {
    launch(copy_columns_kernel,
           {.grid = blocks_for(to.rows * count, 256),
            .stream = stream_,
            .name = "copy_columns",
            .work = {8.0 * to.rows * count, 0}},
           to.data + to_first, to.columns, from.data + from_first, from.columns, to.rows, count);
}

void CudaBackend::one_hot(Matrix<float> to, std::int64_t first, std::int64_t classes,
                          Vector<const std::int32_t> label) {
    launch(one_hot_kernel,
           {.grid = blocks_for(to.rows * classes, 256),
            .stream = stream_,
            .name = "one_hot",
            .work = {4.0 * to.rows * (classes + 1), 0}},
           to.data + first, to.columns, classes, label.data, to.rows);
}

} // namespace patchforge::cuda
