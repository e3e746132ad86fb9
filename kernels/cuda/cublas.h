// cuBLAS, behind a table of the functions that are called. The program does not link with it:
// load_cublas looks for it when somebody asks for --gemm cublas. Tests put functions of their own
// into the table.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>

#include "kernels/cuda/device.h"
#include "kernels/precision.h"
#include "kernels/views.h"

namespace patchforge::cuda {

// Named as in cublas_api.h, whose types are numbers here: no header of cuBLAS is needed to build.
// Every function returns 0 or an error.
struct CublasFunctions {
    int (*create)(void** handle);
    int (*destroy)(void* handle);
    int (*set_stream)(void* handle, cudaStream_t stream);
    int (*set_workspace)(void* handle, void* memory, std::size_t bytes);
    // Column-major: c [m, n] = alpha op(a) op(b) + beta c with k terms; op transposes where the
    // number is 1. Types are cudaDataType, `compute` is cublasComputeType_t.
    int (*gemm_ex)(void* handle, int transpose_a, int transpose_b, int m, int n, int k,
                   const void* alpha, const void* a, int type_a, int lda, const void* b, int type_b,
                   int ldb, const void* beta, void* c, int type_c, int ldc, int compute,
                   int algorithm);
};

// The values of cudaDataType and cublasComputeType_t that are used. The last two let cuBLAS round
// float32 operands for its tensor cores.
constexpr int cublas_float32 = 0;
constexpr int cublas_compute_float32 = 68;
constexpr int cublas_compute_bf16 = 75;
constexpr int cublas_compute_tf32 = 77;

// Of libcublas.so. std::runtime_error about --gemm cublas when there is none.
CublasFunctions load_cublas();
// What load_cublas gives from now on; null: the library again.
void replace_cublas(const CublasFunctions* functions);

class Cublas {
  public:
    // Products run on `stream`, and in its captures; `precision` is that of all of them.
    Cublas(const Stream& stream, Precision precision);
    ~Cublas();
    Cublas(const Cublas&) = delete;
    Cublas& operator=(const Cublas&) = delete;

    struct Operand {
        Matrix<const float> matrix;
        bool transposed = false;
        std::int64_t stride = 0; // from row to row, where that is not the number of columns
    };
    // c [m, n] = a [m, k] b [k, n], row-major as everywhere here; added to c when `accumulate`.
    void multiply(Matrix<float> c, Operand a, Operand b, bool accumulate = false) const;

    // The gradient of a weight on its way to Adam.
    float* gradient() const { return gradient_; }
    static constexpr std::int64_t gradient_size = std::int64_t{1} << 22;

  private:
    void release() noexcept;

    CublasFunctions functions_;
    const Stream& stream_;
    int compute_;
    void* handle_ = nullptr;
    void* workspace_ = nullptr; // cuBLAS's own; with it, captured products keep to one buffer
    float* gradient_ = nullptr;
};

} // namespace patchforge::cuda
