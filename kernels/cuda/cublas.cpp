#include "kernels/cuda/cublas.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <optional>

#include "kernels/cuda/device.h"

namespace patchforge::cuda {
namespace {

// What NVIDIA recommends for compute capability 9.0; older devices need 4 MiB.
constexpr std::size_t workspace_bytes_of_cublas = std::size_t{32} << 20;

std::optional<CublasFunctions> replacement;

void check(int status, const char* function) {
    if (status != 0) {
        throw std::runtime_error(fmt::format(
            "--gemm cublas: {} answers {}; see cublasStatus_t in cublas_api.h, or use --gemm own",
            function, status));
    }
}

} // namespace

CublasFunctions load_cublas() {
    if (replacement) {
        return *replacement;
    }
    // Kept open for the life of the process.
    static void* const library = [] {
        for (const char* name : {"libcublas.so.13", "libcublas.so.12", "libcublas.so.11"}) {
            if (void* found = dlopen(name, RTLD_NOW | RTLD_LOCAL)) {
                return found;
            }
        }
        throw std::runtime_error(
            "--gemm cublas: the loader finds no libcublas.so.13, .12 or .11; install cuBLAS "
            "(package "
            "libcublas-13-0 of NVIDIA's repository), add its folder to LD_LIBRARY_PATH, or use "
            "--gemm own");
    }();
    CublasFunctions functions = {};
    const auto find = [&](auto& function, const char* name) {
        function =
            reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(library, name));
        if (!function) {
            throw std::runtime_error(
                fmt::format("--gemm cublas: the installed libcublas has no {}; "
                            "install version 11.2 or later, or use --gemm own",
                            name));
        }
    };
    find(functions.create, "cublasCreate_v2");
    find(functions.destroy, "cublasDestroy_v2");
    find(functions.set_stream, "cublasSetStream_v2");
    find(functions.set_workspace, "cublasSetWorkspace_v2");
    find(functions.gemm_ex, "cublasGemmEx");
    return functions;
}

void replace_cublas(const CublasFunctions* functions) {
    replacement = functions ? std::optional(*functions) : std::nullopt;
}

Cublas::Cublas(const Stream& stream, Precision precision)
    : functions_(load_cublas()), stream_(stream),
      compute_(precision == Precision::tf32   ? cublas_compute_tf32
               : precision == Precision::bf16 ? cublas_compute_bf16
                                              : cublas_compute_float32) {
    try {
        check(functions_.create(&handle_), "cublasCreate");
        check(functions_.set_stream(handle_, stream_.handle), "cublasSetStream");
        PATCHFORGE_CUDA_CHECK(cudaMalloc(&workspace_, workspace_bytes_of_cublas));
        // After the stream, which resets it.
        check(functions_.set_workspace(handle_, workspace_, workspace_bytes_of_cublas),
              "cublasSetWorkspace");
        PATCHFORGE_CUDA_CHECK(cudaMalloc(&gradient_, gradient_size * sizeof(float)));
    } catch (...) {
        release();
        throw;
    }
}

Cublas::~Cublas() {
    release();
}

void Cublas::release() noexcept {
    if (handle_) {
        functions_.destroy(handle_);
    }
    cudaFree(workspace_);
    cudaFree(gradient_);
}

// Memory that holds a row-major [r, c] holds its transpose column-major. So cuBLAS is asked for
// c^T [n, m] = op(b)^T op(a)^T: the operands change places, and each is transposed for cuBLAS where
// it is transposed here.
void Cublas::multiply(Matrix<float> c, Operand a, Operand b, bool accumulate) const {
    const std::int64_t depth = a.transposed ? a.matrix.rows : a.matrix.columns;
    const float one = 1;
    const float beta = accumulate ? 1 : 0;
    const LaunchShape shape = {
        .block = 0,
        .stream = stream_,
        .name = "cublasGemmEx",
        .work = {4.0 * static_cast<double>(a.matrix.size() + b.matrix.size() +
                                           (accumulate ? 2 : 1) * c.size()),
                 2.0 * static_cast<double>(c.size()) * static_cast<double>(depth)}};
    if (!prepare_launch(nullptr, shape)) {
        return; // cuBLAS loads its own kernels
    }
    const auto number = [](std::int64_t value) { return static_cast<int>(value); };
    const auto stride = [](const Operand& operand) {
        return static_cast<int>(operand.stride > 0 ? operand.stride : operand.matrix.columns);
    };
    check(functions_.gemm_ex(handle_, b.transposed, a.transposed, number(c.columns), number(c.rows),
                             number(depth), &one, b.matrix.data, cublas_float32, stride(b),
                             a.matrix.data, cublas_float32, stride(a), &beta, c.data,
                             cublas_float32, number(c.columns), compute_, -1),
          "cublasGemmEx");
    check_launch(cudaSuccess, shape);
}

} // namespace patchforge::cuda
