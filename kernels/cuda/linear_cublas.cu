// Linear layers with cuBLAS's products (--gemm cublas). What the engine's own kernels do in one is
// several here: the product, and a kernel for what follows it.
//
//     forward            y = x weight^T; then bias and epilogue in place: 8 B O bytes more
//     input gradient     dx = dz weight; then the derivative in place: 12 B I more
//     weight gradient    d_weight = dz^T x; column sums of dz
//     ... with Adam      d_weight to a buffer of the backend, in pieces of whole rows where it does
//                        not fit; then adam: 32 bytes a weight instead of 24
#include <algorithm>

#include "kernels/cuda/cublas.h"
#include "kernels/cuda/cuda_backend.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/epilogue.h"
#include "kernels/cuda/instructions.h"

namespace patchforge::cuda {
namespace {

template <bool vectors>
__global__ void __launch_bounds__(256)
    bias_epilogue_kernel(float* y, const float* bias, std::int64_t count, std::int64_t columns,
                         Epilogue description) {
    begin_kernel();
    const ElementEpilogue epilogue(description);
    const std::int64_t first = 4 * (std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x);
    float z[4];
    load_quad<vectors>(z, y + first, count - first);
    if (bias != nullptr) {
        PATCHFORGE_UNROLL
        for (int i = 0; i < 4; ++i) {
            if (first + i < count) {
                z[i] += bias[(first + i) % columns];
            }
        }
    }
    epilogue.apply_quad(z, first);
    store_quad<vectors>(y + first, z, count - first);
}

// A thread adds up a column, 32 neighbours a warp: sums run in the order of the rows.
__global__ void __launch_bounds__(256)
    column_sums_kernel(float* out, const float* x, std::int64_t rows, std::int64_t columns,
                       bool accumulate) {
    begin_kernel();
    const std::int64_t column = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
    if (column < columns) {
        float sum = 0.0f;
        for (std::int64_t row = 0; row < rows; ++row) {
            sum += x[row * columns + column];
        }
        out[column] = accumulate ? out[column] + sum : sum;
    }
}

} // namespace

void CudaBackend::sum_columns(float* out, Matrix<const float> x, bool accumulate) {
    launch(column_sums_kernel,
           {.grid = blocks_for(x.columns, 256),
            .stream = stream_,
            .name = "column_sums",
            .work = {4.0 * x.size() + (accumulate ? 8.0 : 4.0) * x.columns, 1.0 * x.size()}},
           out, x.data, x.rows, x.columns, accumulate);
}

void CudaBackend::cublas_forward(Matrix<float> y, Matrix<const float> x, Matrix<const float> weight,
                                 Vector<const float> bias, const Epilogue& epilogue) {
    cublas_->multiply(y, {x}, {weight, true});
    if (bias.empty() && epilogue.is_identity()) {
        return;
    }
    const bool vectors = quad_access(y.size(), {y.data});
    launch(vectors ? bias_epilogue_kernel<true> : bias_epilogue_kernel<false>,
           {.grid = blocks_for(y.size(), 4 * 256),
            .stream = stream_,
            .name = "bias_epilogue",
            .work = {8.0 * y.size() + 4.0 * bias.size, 2.0 * y.size()}},
           y.data, bias.data_or_null(), y.size(), y.columns, epilogue);
}

void CudaBackend::cublas_input_gradient(Matrix<float> dx, Matrix<const float> dz,
                                        Matrix<const float> weight, Matrix<const float> x,
                                        const Epilogue& previous) {
    cublas_->multiply(dx, {dz}, {weight});
    if (!previous.is_identity()) {
        activation_gradient(dx, dx, x, previous);
    }
}

void CudaBackend::cublas_weight_gradient(Matrix<float> d_weight, Vector<float> d_bias,
                                         Matrix<const float> dz, Matrix<const float> x,
                                         bool accumulate) {
    cublas_->multiply(d_weight, {dz, true}, {x}, accumulate);
    if (!d_bias.empty()) {
        sum_columns(d_bias.data, dz, accumulate);
    }
}

void CudaBackend::cublas_weight_gradient_adam(AdamTensor weight, AdamTensor bias,
                                              Matrix<const float> dz, Matrix<const float> x,
                                              const Adam& settings) {
    float* const gradient = cublas_->gradient();
    if (bias.value.size > 0) {
        sum_columns(gradient, dz, false);
        adam(bias, {gradient, bias.value.size}, settings);
    }
    const std::int64_t rows_at_once = Cublas::gradient_size / x.columns;
    if (rows_at_once == 0) {
        throw std::runtime_error(
            "--gemm cublas: a layer of " + std::to_string(x.columns) +
            " inputs is wider than the buffer for its gradient; use --gemm own");
    }
    for (std::int64_t first = 0; first < dz.columns; first += rows_at_once) {
        const std::int64_t rows = std::min(rows_at_once, dz.columns - first);
        const std::int64_t at = first * x.columns;
        const std::int64_t count = rows * x.columns;
        cublas_->multiply({gradient, rows, x.columns},
                          {{dz.data + first, dz.rows, rows}, true, dz.columns}, {x});
        adam({weight.value.part(at, count), weight.first_moment.part(at, count),
              weight.second_moment.part(at, count)},
             {gradient, count}, settings);
    }
}

} // namespace patchforge::cuda
