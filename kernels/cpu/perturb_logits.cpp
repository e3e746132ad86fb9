// Logits of attacks: a few numbers a row, in float64, one row after the other.
#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/cpu/cpu_backend.h"

namespace patchforge {
namespace {

void softmax(double* probability, const float* logit, std::int64_t classes) {
    const double largest = *std::max_element(logit, logit + classes);
    double total = 0;
    for (std::int64_t c = 0; c < classes; ++c) {
        probability[c] = std::exp(logit[c] - largest);
        total += probability[c];
    }
    for (std::int64_t c = 0; c < classes; ++c) {
        probability[c] /= total;
    }
}

} // namespace

void CpuBackend::margin_loss(Matrix<float> d_logit, Vector<float> loss, Matrix<const float> logit,
                             Vector<const std::int32_t> label, RowValue scale, float low,
                             float high) {
    for (std::int64_t r = 0; r < logit.rows; ++r) {
        const float* row = logit.data + r * logit.columns;
        const std::int64_t own = label.data[r];
        std::int64_t rival = own == 0 ? 1 : 0;
        for (std::int64_t c = rival + 1; c < logit.columns; ++c) {
            rival = c != own && row[c] > row[rival] ? c : rival;
        }
        const float margin = row[rival] - row[own];
        if (!loss.empty()) {
            loss.data[r] = margin;
        }
        if (!d_logit.empty()) {
            float* gradient = d_logit.data + r * d_logit.columns;
            std::fill_n(gradient, d_logit.columns, 0.0f);
            if (!(margin <= low || margin >= high)) {
                gradient[rival] = scale.at(r);
                gradient[own] = -scale.at(r);
            }
        }
    }
}

void CpuBackend::probability_distance(Matrix<float> d_logit, Vector<float> loss,
                                      Matrix<const float> logit, Vector<const std::int32_t> label,
                                      int power, float scale) {
    const std::int64_t classes = logit.columns;
    std::vector<double> p(static_cast<std::size_t>(classes));
    std::vector<double> slope(p.size());
    for (std::int64_t r = 0; r < logit.rows; ++r) {
        softmax(p.data(), logit.data + r * classes, classes);
        double total = 0;
        double mean_slope = 0;
        for (std::int64_t c = 0; c < classes; ++c) {
            const auto i = static_cast<std::size_t>(c);
            const double d = p[i] - (c == label.data[r] ? 1 : 0);
            total += power == 1 ? std::fabs(d) : d * d;
            slope[i] = power == 1 ? static_cast<double>((d > 0) - (d < 0)) : 2 * d;
            mean_slope += p[i] * slope[i];
        }
        if (!loss.empty()) {
            loss.data[r] = static_cast<float>(total);
        }
        for (std::int64_t c = 0; c < d_logit.columns; ++c) {
            const auto i = static_cast<std::size_t>(c);
            d_logit.data[r * classes + c] =
                static_cast<float>(scale * p[i] * (slope[i] - mean_slope));
        }
    }
}

void CpuBackend::combine_logits(Matrix<float> total, Matrix<const float> member, float weight,
                                bool accumulate) {
    for (std::int64_t r = 0; r < total.rows; ++r) {
        for (std::int64_t c = 0; c < total.columns; ++c) {
            const float logit = member.columns == total.columns
                                    ? member.data[r * member.columns + c]
                                : c == 1 ? member.data[r]
                                         : 0.0f;
            float& sum = total.data[r * total.columns + c];
            sum = (accumulate ? sum : 0.0f) + weight * logit;
        }
    }
}

void CpuBackend::split_logit_gradient(Matrix<float> d_member, Matrix<const float> d_total,
                                      float weight) {
    const bool binary = d_member.columns != d_total.columns;
    for (std::int64_t r = 0; r < d_member.rows; ++r) {
        for (std::int64_t c = 0; c < d_member.columns; ++c) {
            d_member.data[r * d_member.columns + c] =
                weight * d_total.data[r * d_total.columns + (binary ? 1 : c)];
        }
    }
}

void CpuBackend::softmax_rows(Matrix<float> probability, Matrix<const float> logit) {
    std::vector<double> p(static_cast<std::size_t>(logit.columns));
    for (std::int64_t r = 0; r < logit.rows; ++r) {
        softmax(p.data(), logit.data + r * logit.columns, logit.columns);
        std::copy(p.begin(), p.end(), probability.data + r * logit.columns);
    }
}

void CpuBackend::argmax_rows(Vector<std::int32_t> out, Matrix<const float> values) {
    for (std::int64_t r = 0; r < values.rows; ++r) {
        const float* row = values.data + r * values.columns;
        out.data[r] = static_cast<std::int32_t>(std::max_element(row, row + values.columns) - row);
    }
}

} // namespace patchforge
