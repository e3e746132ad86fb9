#include <cmath>

#include "kernels/cpu/cpu_backend.h"

namespace patchforge {
namespace {

constexpr std::int64_t column_piece = 32; // columns of one task: rows are read in 128-byte pieces

// Of one row of one column: how d = z - mean becomes a d / sqrt(epsilon + a (v + w d^2)).
struct Row {
    double share;  // w
    double others; // a = 1 - w
    double inverse_deviation;

    Row(double d, double variance, double own_share)
        : share(own_share), others(1 - own_share),
          inverse_deviation(
              1 / std::sqrt(normalisation_epsilon + others * (variance + own_share * d * d))) {}
    double normalised(double d) const { return others * d * inverse_deviation; }
};

} // namespace

void CpuBackend::normalise(Matrix<float> y, Matrix<float> statistics, Matrix<const float> z,
                           std::int64_t reference_rows, Vector<const float> scale,
                           Vector<const float> shift) {
    const double share = 1.0 / static_cast<double>(reference_rows + 1);
    for_pieces(z.columns, column_piece, [&](std::int64_t first, std::int64_t count) {
        for (std::int64_t c = first; c < first + count; ++c) {
            const auto at = [&](std::int64_t row) { return double{z.data[row * z.columns + c]}; };
            double mean = 0;
            for (std::int64_t r = 0; r < reference_rows; ++r) {
                mean += at(r);
            }
            mean /= static_cast<double>(reference_rows);
            double variance = 0;
            for (std::int64_t r = 0; r < reference_rows; ++r) {
                variance += (at(r) - mean) * (at(r) - mean);
            }
            variance /= static_cast<double>(reference_rows);
            statistics.data[c] = static_cast<float>(mean);
            statistics.data[z.columns + c] = static_cast<float>(variance);
            for (std::int64_t r = 0; r < z.rows; ++r) {
                const double d = at(r) - mean;
                const Row row(d, variance, r < reference_rows ? 0 : share);
                y.data[r * z.columns + c] =
                    static_cast<float>(scale.data[c] * row.normalised(d) + shift.data[c]);
            }
        }
    });
}

void CpuBackend::normalise_by(Matrix<float> y, Matrix<const float> z,
                              Matrix<const float> statistics, float share,
                              Vector<const float> scale, Vector<const float> shift) {
    const float* const mean = statistics.data;
    const float* const variance = statistics.data + z.columns;
    pool_.parallel_for(z.rows, [&](std::int64_t r) {
        for (std::int64_t c = 0; c < z.columns; ++c) {
            const double d = double{z.data[r * z.columns + c]} - mean[c];
            y.data[r * z.columns + c] = static_cast<float>(
                scale.data[c] * Row(d, variance[c], share).normalised(d) + shift.data[c]);
        }
    });
}

void CpuBackend::normalise_gradient(Matrix<float> dz, Vector<float> d_scale, Vector<float> d_shift,
                                    Matrix<const float> dy, Matrix<const float> z,
                                    Matrix<const float> statistics, std::int64_t reference_rows,
                                    Vector<const float> scale, bool accumulate) {
    const double share = 1.0 / static_cast<double>(reference_rows + 1);
    const double references = static_cast<double>(reference_rows);
    for_pieces(z.columns, column_piece, [&](std::int64_t first, std::int64_t count) {
        for (std::int64_t c = first; c < first + count; ++c) {
            const double mean = statistics.data[c];
            const double variance = statistics.data[z.columns + c];
            double of_scale = 0, of_shift = 0, by_distance = 0, by_variance = 0;
            for (std::int64_t r = 0; r < z.rows; ++r) {
                const std::int64_t e = r * z.columns + c;
                const double d = z.data[e] - mean, g = dy.data[e];
                const Row row(d, variance, r < reference_rows ? 0 : share);
                const double i = row.inverse_deviation, a = row.others;
                of_scale += g * row.normalised(d);
                of_shift += g;
                by_distance += g * a * i * (1 - a * row.share * d * d * i * i);
                by_variance -= g * 0.5 * a * a * d * i * i * i;
            }
            for (std::int64_t r = 0; r < z.rows; ++r) {
                const std::int64_t e = r * z.columns + c;
                const double d = z.data[e] - mean;
                const Row row(d, variance, r < reference_rows ? 0 : share);
                const double i = row.inverse_deviation, a = row.others;
                double gradient = dy.data[e] * a * i * (1 - a * row.share * d * d * i * i);
                if (r < reference_rows) {
                    gradient += (2 * by_variance * d - by_distance) / references;
                }
                dz.data[e] = static_cast<float>(scale.data[c] * gradient);
            }
            d_scale.data[c] = static_cast<float>((accumulate ? d_scale.data[c] : 0.0) + of_scale);
            d_shift.data[c] = static_cast<float>((accumulate ? d_shift.data[c] : 0.0) + of_shift);
        }
    });
}

} // namespace patchforge
