#include "tests/kernels/cublas_stand_in.h"

#include "kernels/cuda/cublas.h"
#include "kernels/cuda/device.h"
#include "tests/oracle/rounding.h"

namespace patchforge::testing {

namespace {

__device__ double as_computed(float value, int compute) {
    return oracle::rounded(value, compute == cuda::cublas_compute_tf32   ? Precision::tf32
                                  : compute == cuda::cublas_compute_bf16 ? Precision::bf16
                                                                         : Precision::float32);
}

__global__ void gemm_kernel(ColumnMajorProduct g) {
    const int column = static_cast<int>(blockIdx.x);
    for (int row = static_cast<int>(threadIdx.x); row < g.m; row += 32) {
        double sum = 0;
        for (int i = 0; i < g.k; ++i) {
            const float a = g.transpose_a ? g.a[i + row * g.lda] : g.a[row + i * g.lda];
            const float b = g.transpose_b ? g.b[column + i * g.ldb] : g.b[i + column * g.ldb];
            sum += as_computed(a, g.compute) * as_computed(b, g.compute);
        }
        float& c = g.c[row + column * g.ldc];
        c = static_cast<float>(g.beta == 0 ? sum : sum + double{g.beta} * double{c});
    }
}

} // namespace

void launch_product(const ColumnMajorProduct& product, cudaStream_t stream) {
    cuda::launch(gemm_kernel,
                 {.grid = dim3(static_cast<unsigned>(product.n)),
                  .block = 32,
                  .stream = stream,
                  .name = "gemm"},
                 product);
}

} // namespace patchforge::testing
