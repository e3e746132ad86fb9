#include <cmath>

#include "kernels/cpu/cpu_backend.h"
#include "kernels/cpu/philox_word.h"

namespace patchforge {

void CpuBackend::augment_condition(Matrix<float> y, Matrix<const float> noise,
                                   Matrix<const float> statistics) {
    for (std::int64_t b = 0; b < y.rows; ++b) {
        const float* const mean = statistics.data + b * statistics.columns;
        const float* const log_variance = mean + y.columns;
        for (std::int64_t c = 0; c < y.columns; ++c) {
            const std::int64_t e = b * y.columns + c;
            y.data[e] = mean[c] + std::exp(0.5f * log_variance[c]) * noise.data[e];
        }
    }
}

void CpuBackend::augment_condition_gradient(Matrix<float> d_noise, Matrix<float> d_statistics,
                                            Matrix<const float> dy, Matrix<const float> noise,
                                            Matrix<const float> statistics) {
    for (std::int64_t b = 0; b < dy.rows; ++b) {
        const float* const log_variance = statistics.data + b * statistics.columns + dy.columns;
        float* const d_mean = d_statistics.data + b * statistics.columns;
        for (std::int64_t c = 0; c < dy.columns; ++c) {
            const std::int64_t e = b * dy.columns + c;
            const float gradient = dy.data[e];
            const float through = gradient * std::exp(0.5f * log_variance[c]);
            d_mean[c] = gradient;
            d_mean[dy.columns + c] = 0.5f * through * noise.data[e];
            if (!d_noise.empty()) {
                d_noise.data[e] = through;
            }
        }
    }
}

void CpuBackend::gaussian_divergence(Matrix<float> d_statistics, Vector<float> divergence,
                                     Matrix<const float> statistics, float scale) {
    const std::int64_t half = statistics.columns / 2;
    const double count = static_cast<double>(statistics.rows * half);
    const auto share = static_cast<float>(scale / count);
    double sum = 0;
    for (std::int64_t b = 0; b < statistics.rows; ++b) {
        for (std::int64_t c = 0; c < half; ++c) {
            const std::int64_t e = b * statistics.columns + c;
            const float mean = statistics.data[e], log_variance = statistics.data[e + half];
            const float excess = std::expm1(log_variance);
            sum += 0.5 * (double{mean} * mean + excess - log_variance);
            d_statistics.data[e] = share * mean;
            d_statistics.data[e + half] = 0.5f * share * excess;
        }
    }
    divergence.data[0] = static_cast<float>(sum / count);
}

void CpuBackend::row_dot(Vector<float> y, Matrix<const float> p, Matrix<const float> q) {
    for (std::int64_t b = 0; b < p.rows; ++b) {
        double sum = 0;
        for (std::int64_t e = b * p.columns; e < (b + 1) * p.columns; ++e) {
            sum += double{p.data[e]} * q.data[e];
        }
        y.data[b] = static_cast<float>(sum);
    }
}

void CpuBackend::row_dot_gradient(Matrix<float> dp, Matrix<float> dq, Vector<const float> dy,
                                  Matrix<const float> p, Matrix<const float> q) {
    for (std::int64_t b = 0; b < p.rows; ++b) {
        for (std::int64_t e = b * p.columns; e < (b + 1) * p.columns; ++e) {
            if (!dp.empty()) {
                dp.data[e] = dy.data[b] * q.data[e];
            }
            dq.data[e] = dy.data[b] * p.data[e];
        }
    }
}

void CpuBackend::other_labels(Vector<std::int32_t> out, Vector<const std::int32_t> label,
                              std::int64_t classes, const RandomStream& random) {
    const PhiloxStream stream = philox_stream(random);
    for (std::int64_t b = 0; b < out.size; ++b) {
        const auto others = static_cast<std::uint64_t>(classes - 1);
        const std::uint64_t k = word(stream, static_cast<std::uint64_t>(b)) * others >> 32;
        out.data[b] = static_cast<std::int32_t>(
            (static_cast<std::uint64_t>(label.data[b]) + 1 + k) % (others + 1));
    }
}

} // namespace patchforge
