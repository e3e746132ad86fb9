// The few float64 matrix operations that the measures need, over OpenBLAS and LAPACKE. All matrices
// are row-major and dense. OpenBLAS is held to one thread, because its results depend on how many
// it uses; callers split the work themselves (parallel.h).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace patchforge {

// out[m,n] = a[m,k] b[n,k]^T
void multiply_transposed(double* out, const double* a, const double* b, std::int64_t m,
                         std::int64_t n, std::int64_t k);

// out[n,n] = a[n,k] a[n,k]^T, its diagonal and what lies above; the rest is left alone.
void multiply_by_own_transpose(double* out, const double* a, std::int64_t n, std::int64_t k);

// out[m,n] = a[m,k] b[k,n]
void multiply(double* out, const double* a, const double* b, std::int64_t m, std::int64_t n,
              std::int64_t k);

// out[m,n] += a[k,m]^T b[k,n]
void accumulate_transposed_product(double* out, const double* a, const double* b, std::int64_t m,
                                   std::int64_t n, std::int64_t k);

// The same in float32, for networks and the products of many rows.
void multiply_transposed(float* out, const float* a, const float* b, std::int64_t m, std::int64_t n,
                         std::int64_t k);
void multiply_by_own_transpose(float* out, const float* a, std::int64_t n, std::int64_t k);
void multiply(float* out, const float* a, const float* b, std::int64_t m, std::int64_t n,
              std::int64_t k);

struct SymmetricEigen {
    std::vector<double> values;  // [size], ascending
    std::vector<double> vectors; // [size, size], row i belongs to values[i]
};

// Eigen-decomposition of a symmetric matrix[size, size] (LAPACK dsyevd). Throws
// std::runtime_error when it does not converge.
SymmetricEigen symmetric_eigen(std::vector<double> matrix, std::int64_t size);

// Sum of the singular values of matrix[rows, columns] (LAPACK dgesdd). Errors as above.
double nuclear_norm(std::vector<double> matrix, std::int64_t rows, std::int64_t columns);

// Replaces the rows of matrix[rows, columns], rows <= columns, by an orthonormal basis of the space
// they span (Householder QR).
void orthonormalise_rows(std::span<double> matrix, std::int64_t rows, std::int64_t columns);

} // namespace patchforge
