#include <algorithm>
#include <cmath>

#include "kernels/cpu/cpu_backend.h"

namespace patchforge {
namespace {

constexpr std::int64_t piece = 16384; // a multiple of 64, as fill_normal asks

float level_now(const NoiseLevel& level) {
    const std::uint64_t step = level.iteration.value();
    if (level.end == 0) {
        return level.start;
    }
    return step >= level.end
               ? 0.0f
               : static_cast<float>(level.start * static_cast<double>(level.end - step) /
                                    static_cast<double>(level.end));
}

} // namespace

void CpuBackend::add_noise(Vector<float> x, const NoiseLevel& level, const RandomStream& random) {
    const float deviation = level_now(level);
    if (deviation == 0) {
        return;
    }
    const PhiloxStream stream = philox_stream(random);
    for_pieces(x.size, piece, [&](std::int64_t first, std::int64_t count) {
        float* const noise = thread_scratch(piece);
        vector_.fill_normal(noise, count, static_cast<std::uint64_t>(first), 0, deviation, stream);
        for (std::int64_t e = 0; e < count; ++e) {
            x.data[first + e] += noise[e];
        }
    });
}

void CpuBackend::interpolate_rows(Matrix<float> y, Matrix<const float> a, Matrix<const float> b,
                                  const RandomStream& random) {
    std::vector<float> alpha(static_cast<std::size_t>(y.rows));
    vector_.fill_uniform(alpha.data(), y.rows, 0, 0, 1, philox_stream(random));
    pool_.parallel_for(y.rows, [&](std::int64_t row) {
        const float share = alpha[static_cast<std::size_t>(row)];
        for (std::int64_t e = row * y.columns; e < (row + 1) * y.columns; ++e) {
            y.data[e] = a.data[e] + share * (b.data[e] - a.data[e]);
        }
    });
}

void CpuBackend::penalise_slope(Matrix<float> u, Vector<float> penalty, Matrix<const float> g,
                                float weight) {
    pool_.parallel_for(g.rows, [&](std::int64_t row) {
        const std::int64_t first = row * g.columns;
        const double slope = std::sqrt(1e-4 + vector_.sum_of_squares(g.data + first, g.columns));
        penalty.data[row] = static_cast<float>(weight * (slope - 1) * (slope - 1));
        const auto factor =
            static_cast<float>(weight * 2 * (slope - 1) / (slope * static_cast<double>(g.rows)));
        for (std::int64_t e = first; e < first + g.columns; ++e) {
            u.data[e] = factor * g.data[e];
        }
    });
}

void CpuBackend::add_l1_gradient(Vector<float> d, Vector<const float> y, Vector<const float> target,
                                 float weight) {
    for_pieces(d.size, piece, [&](std::int64_t first, std::int64_t count) {
        for (std::int64_t e = first; e < first + count; ++e) {
            const float difference = y.data[e] - target.data[e];
            d.data[e] += difference > 0 ? weight : difference < 0 ? -weight : 0.0f;
        }
    });
}

void CpuBackend::running_mean(Vector<float> mean, Vector<const float> value,
                              const StepCount& count) {
    const auto share = static_cast<float>(1.0 / (static_cast<double>(count.value()) + 1));
    for_pieces(mean.size, piece, [&](std::int64_t first, std::int64_t size) {
        for (std::int64_t e = first; e < first + size; ++e) {
            mean.data[e] += share * (value.data[e] - mean.data[e]);
        }
    });
}

} // namespace patchforge
