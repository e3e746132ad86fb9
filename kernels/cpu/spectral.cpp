// Weights are some hundred kilobytes, read two or three times an iteration; sums are in float64.
#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/cpu/cpu_backend.h"

namespace patchforge {
namespace {

constexpr std::int64_t piece = 256; // columns of a task

// to = from / its length.
void store_unit(Vector<float> to, const std::vector<double>& from) {
    double squares = 0;
    for (const double value : from) {
        squares += value * value;
    }
    const double length = std::max(std::sqrt(squares), 1e-12);
    for (std::size_t e = 0; e < from.size(); ++e) {
        to.data[e] = static_cast<float>(from[e] / length);
    }
}

} // namespace

void CpuBackend::spectral_normalise(Vector<float> y, Vector<float> sigma, Vector<float> u,
                                    Vector<float> v, Vector<const float> weight,
                                    const SpectralMatrix& matrix, int iterations) {
    const auto [outer, rows, inner] = matrix;
    std::vector<double> by_columns(static_cast<std::size_t>(matrix.columns())); // W^T u
    std::vector<double> by_rows(static_cast<std::size_t>(rows));                // W v
    const auto multiply_by_v = [&] {
        pool_.parallel_for(rows, [&](std::int64_t r) {
            double sum = 0;
            for (std::int64_t o = 0; o < outer; ++o) {
                const float* const from = weight.data + (o * rows + r) * inner;
                for (std::int64_t t = 0; t < inner; ++t) {
                    sum += double{from[t]} * v.data[o * inner + t];
                }
            }
            by_rows[static_cast<std::size_t>(r)] = sum;
        });
    };
    for (int i = 0; i < iterations; ++i) {
        const std::int64_t pieces = (inner + piece - 1) / piece;
        pool_.parallel_for(outer * pieces, [&](std::int64_t task) {
            const std::int64_t o = task / pieces, first = task % pieces * piece;
            const std::int64_t count = std::min(piece, inner - first);
            double* const sums = by_columns.data() + o * inner + first;
            std::fill_n(sums, count, 0.0);
            for (std::int64_t r = 0; r < rows; ++r) {
                const float* const from = weight.data + (o * rows + r) * inner + first;
                for (std::int64_t t = 0; t < count; ++t) {
                    sums[t] += double{from[t]} * u.data[r];
                }
            }
        });
        store_unit(v, by_columns);
        multiply_by_v();
        store_unit(u, by_rows);
    }
    if (iterations == 0) {
        multiply_by_v();
    }
    double value = 0;
    for (std::int64_t r = 0; r < rows; ++r) {
        value += u.data[r] * by_rows[static_cast<std::size_t>(r)];
    }
    sigma.data[0] = static_cast<float>(value);
    for_pieces(weight.size, 64 * piece, [&](std::int64_t first, std::int64_t count) {
        for (std::int64_t e = first; e < first + count; ++e) {
            y.data[e] = weight.data[e] / sigma.data[0];
        }
    });
}

void CpuBackend::spectral_gradient(Vector<float> d_weight, Vector<const float> dy,
                                   Vector<const float> y, Vector<const float> sigma,
                                   Vector<const float> u, Vector<const float> v,
                                   const SpectralMatrix& matrix, bool accumulate) {
    const auto [outer, rows, inner] = matrix;
    std::vector<double> products(static_cast<std::size_t>(outer * rows));
    pool_.parallel_for(outer * rows, [&](std::int64_t task) {
        double sum = 0;
        for (std::int64_t e = task * inner; e < (task + 1) * inner; ++e) {
            sum += double{dy.data[e]} * y.data[e];
        }
        products[static_cast<std::size_t>(task)] = sum;
    });
    double total = 0;
    for (const double product : products) {
        total += product;
    }
    pool_.parallel_for(outer * rows, [&](std::int64_t task) {
        const double of_row = total * u.data[task % rows];
        const float* const of_columns = v.data + task / rows * inner;
        for (std::int64_t t = 0; t < inner; ++t) {
            const std::int64_t e = task * inner + t;
            const double gradient = (dy.data[e] - of_row * of_columns[t]) / sigma.data[0];
            d_weight.data[e] = static_cast<float>((accumulate ? d_weight.data[e] : 0.0) + gradient);
        }
    });
}

} // namespace patchforge
