#include "kernels/cpu/cpu_backend.h"

#include <algorithm>

namespace patchforge {
namespace {

constexpr std::int64_t piece = 65536;
constexpr std::int64_t column_piece = 64;

} // namespace

// Pieces in parallel, then their sums in order.
void CpuBackend::reduce(Vector<double> out, Vector<const float> x,
                        double (*reduction)(const float*, std::int64_t)) {
    std::vector<double> parts(static_cast<std::size_t>((x.size + piece - 1) / piece));
    for_pieces(x.size, piece, [&](std::int64_t first, std::int64_t count) {
        parts[static_cast<std::size_t>(first / piece)] = reduction(x.data + first, count);
    });
    double total = 0;
    for (const double part : parts) {
        total += part;
    }
    out.data[0] = total;
}

void CpuBackend::sum(Vector<double> out, Vector<const float> x) {
    reduce(out, x, vector_.sum);
}

void CpuBackend::sum_of_squares(Vector<double> out, Vector<const float> x) {
    reduce(out, x, vector_.sum_of_squares);
}

// float64 sums over the rows, in their order.
void CpuBackend::column_mean(Vector<float> out, Matrix<const float> x) {
    for_pieces(x.columns, column_piece, [&](std::int64_t first, std::int64_t count) {
        double total[column_piece] = {};
        for (std::int64_t r = 0; r < x.rows; ++r) {
            const float* const row = x.data + r * x.columns + first;
            for (std::int64_t c = 0; c < count; ++c) {
                total[c] += row[c];
            }
        }
        for (std::int64_t c = 0; c < count; ++c) {
            out.data[first + c] = static_cast<float>(total[c] / static_cast<double>(x.rows));
        }
    });
}

void CpuBackend::count_dead_columns(Vector<float> out, Matrix<const float> x) {
    std::vector<int> dead(static_cast<std::size_t>((x.columns + column_piece - 1) / column_piece));
    for_pieces(x.columns, column_piece, [&](std::int64_t first, std::int64_t count) {
        bool alive[column_piece] = {};
        for (std::int64_t r = 0; r < x.rows; ++r) {
            const float* const row = x.data + r * x.columns + first;
            for (std::int64_t c = 0; c < count; ++c) {
                alive[c] |= row[c] > 0;
            }
        }
        dead[static_cast<std::size_t>(first / column_piece)] =
            static_cast<int>(std::count(alive, alive + count, false));
    });
    std::int64_t total = 0;
    for (const int part : dead) {
        total += part;
    }
    out.data[0] = static_cast<float>(total);
}

void CpuBackend::finish_iteration(std::uint64_t* step, Matrix<float> history,
                                  Vector<const float> metrics) {
    const auto row = static_cast<std::int64_t>(*step % static_cast<std::uint64_t>(history.rows));
    std::copy_n(metrics.data, metrics.size, history.data + row * history.columns);
    ++*step;
}

} // namespace patchforge
