#include "host/numerics/linear_algebra.h"

#include <fmt/format.h>

#include <cblas.h>
#include <lapacke.h>

#include <algorithm>
#include <numeric>
#include <stdexcept>

namespace patchforge {
namespace {

void hold_to_one_thread() {
    static const bool done = (openblas_set_num_threads(1), true);
    static_cast<void>(done);
}

void require(lapack_int status, const char* routine) {
    if (status != 0) {
        throw std::runtime_error(
            fmt::format("{}: LAPACK ended with status {}; look for features that are all the same "
                        "or beyond 1e150",
                        routine, status));
    }
}

} // namespace

void multiply_transposed(double* out, const double* a, const double* b, std::int64_t m,
                         std::int64_t n, std::int64_t k) {
    hold_to_one_thread();
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, m, n, k, 1.0, a, k, b, k, 0.0, out, n);
}

void multiply_by_own_transpose(double* out, const double* a, std::int64_t n, std::int64_t k) {
    hold_to_one_thread();
    cblas_dsyrk(CblasRowMajor, CblasUpper, CblasNoTrans, n, k, 1.0, a, k, 0.0, out, n);
}

void multiply(double* out, const double* a, const double* b, std::int64_t m, std::int64_t n,
              std::int64_t k) {
    hold_to_one_thread();
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, m, n, k, 1.0, a, k, b, n, 0.0, out, n);
}

void accumulate_transposed_product(double* out, const double* a, const double* b, std::int64_t m,
                                   std::int64_t n, std::int64_t k) {
    hold_to_one_thread();
    cblas_dgemm(CblasRowMajor, CblasTrans, CblasNoTrans, m, n, k, 1.0, a, m, b, n, 1.0, out, n);
}

void multiply_transposed(float* out, const float* a, const float* b, std::int64_t m, std::int64_t n,
                         std::int64_t k) {
    hold_to_one_thread();
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, m, n, k, 1.0f, a, k, b, k, 0.0f, out, n);
}

void multiply_by_own_transpose(float* out, const float* a, std::int64_t n, std::int64_t k) {
    hold_to_one_thread();
    cblas_ssyrk(CblasRowMajor, CblasUpper, CblasNoTrans, n, k, 1.0f, a, k, 0.0f, out, n);
}

void multiply(float* out, const float* a, const float* b, std::int64_t m, std::int64_t n,
              std::int64_t k) {
    hold_to_one_thread();
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, m, n, k, 1.0f, a, k, b, n, 0.0f, out, n);
}

SymmetricEigen symmetric_eigen(std::vector<double> matrix, std::int64_t size) {
    hold_to_one_thread();
    SymmetricEigen result{std::vector<double>(size), std::move(matrix)};
    // A symmetric matrix reads the same in column-major order, and columns then come out as rows.
    require(LAPACKE_dsyevd(LAPACK_COL_MAJOR, 'V', 'L', size, result.vectors.data(), size,
                           result.values.data()),
            "dsyevd");
    return result;
}

double nuclear_norm(std::vector<double> matrix, std::int64_t rows, std::int64_t columns) {
    hold_to_one_thread();
    // The transpose has the same singular values, so no copy into column-major order is needed.
    std::vector<double> values(std::min(rows, columns));
    require(LAPACKE_dgesdd(LAPACK_COL_MAJOR, 'N', columns, rows, matrix.data(), columns,
                           values.data(), nullptr, 1, nullptr, 1),
            "dgesdd");
    return std::accumulate(values.rbegin(), values.rend(), 0.0); // small ones first
}

void orthonormalise_rows(std::span<double> matrix, std::int64_t rows, std::int64_t columns) {
    hold_to_one_thread();
    std::vector<double> scales(rows);
    // Rows of the row-major matrix are the columns of a column-major one.
    require(LAPACKE_dgeqrf(LAPACK_COL_MAJOR, columns, rows, matrix.data(), columns, scales.data()),
            "dgeqrf");
    require(LAPACKE_dorgqr(LAPACK_COL_MAJOR, columns, rows, rows, matrix.data(), columns,
                           scales.data()),
            "dorgqr");
}

} // namespace patchforge
