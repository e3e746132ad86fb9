// The product that takes cuBLAS's place on the executor (cublas_test.cpp).
#pragma once

#include <cuda_runtime.h>

namespace patchforge::testing {

// c [m, n] = op(a) op(b) + beta c, all column-major: element (row, column) at [row + column * ld].
struct ColumnMajorProduct {
    bool transpose_a, transpose_b;
    int m, n, k;
    const float* a;
    int lda;
    const float* b;
    int ldb;
    float beta;
    float* c;
    int ldc;
    int compute;
};

void launch_product(const ColumnMajorProduct& product, cudaStream_t stream);

} // namespace patchforge::testing
