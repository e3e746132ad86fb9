// Losses in float64 arithmetic, row after row: a few hundred numbers an iteration, so accuracy
// costs nothing. Softmax, with up to thousands of rows of K numbers, is shared among the threads.
#include "kernels/cpu/cpu_backend.h"

#include <algorithm>
#include <cmath>

namespace patchforge {
namespace {

double weight_of(Vector<const float> class_weight, std::int32_t label) {
    return class_weight.empty() ? 1.0 : static_cast<double>(class_weight.data[label]);
}

} // namespace

void CpuBackend::discriminator_loss(Vector<float> d_logit, Vector<float> metrics,
                                    Vector<const float> logit, std::int64_t real_count,
                                    GanLoss loss, float real_label) {
    double total[2] = {};
    double probability[2] = {};
    std::int64_t right = 0;
    const std::int64_t rows[2] = {logit.size - real_count, real_count};
    for (std::int64_t i = 0; i < logit.size; ++i) {
        const bool real = i < real_count;
        const double l = logit.data[i];
        const auto term = gan_loss::discriminator_term<double>(loss, l, real, real_label);
        total[real] += term.loss;
        probability[real] += gan_loss::sigmoid(l);
        right += (l > 0) == real;
        d_logit.data[i] = static_cast<float>(term.slope / static_cast<double>(rows[real]));
    }
    const auto mean = [&](const double sums[2], bool real) {
        return static_cast<float>(sums[real] / static_cast<double>(rows[real]));
    };
    metrics.data[DiscriminatorMetrics::loss_real] = mean(total, true);
    metrics.data[DiscriminatorMetrics::loss_fake] = mean(total, false);
    metrics.data[DiscriminatorMetrics::probability_real] = mean(probability, true);
    metrics.data[DiscriminatorMetrics::probability_fake] = mean(probability, false);
    metrics.data[DiscriminatorMetrics::accuracy] =
        static_cast<float>(static_cast<double>(right) / static_cast<double>(logit.size));
}

void CpuBackend::generator_loss(Vector<float> d_logit, Vector<float> metrics,
                                Vector<const float> logit, GanLoss loss) {
    double total = 0;
    double probability = 0;
    const auto rows = static_cast<double>(logit.size);
    for (std::int64_t i = 0; i < logit.size; ++i) {
        const double l = logit.data[i];
        const auto term = gan_loss::generator_term(loss, l);
        total += term.loss;
        probability += gan_loss::sigmoid(l);
        d_logit.data[i] = static_cast<float>(term.slope / rows);
    }
    metrics.data[GeneratorMetrics::loss] = static_cast<float>(total / rows);
    metrics.data[GeneratorMetrics::probability_fake] = static_cast<float>(probability / rows);
}

void CpuBackend::binary_cross_entropy(Vector<float> d_logit, Vector<float> loss,
                                      Vector<const float> logit, Vector<const std::int32_t> label,
                                      Vector<const float> class_weight, float scale) {
    for (std::int64_t i = 0; i < logit.size; ++i) {
        const auto term = gan_loss::cross_entropy<double>(logit.data[i], label.data[i]);
        if (!loss.empty()) {
            loss.data[i] = static_cast<float>(term.loss);
        }
        if (!d_logit.empty()) {
            d_logit.data[i] =
                static_cast<float>(scale * weight_of(class_weight, label.data[i]) * term.slope);
        }
    }
}

void CpuBackend::softmax_cross_entropy(Matrix<float> d_logit, Vector<float> loss,
                                       Matrix<const float> logit, Vector<const std::int32_t> label,
                                       Vector<const float> class_weight, float scale) {
    const std::int64_t classes = logit.columns;
    for_pieces(logit.rows, 64, [&](std::int64_t first, std::int64_t count) {
        for (std::int64_t i = first; i < first + count; ++i) {
            const float* const row = logit.data + i * classes;
            const double largest = *std::max_element(row, row + classes);
            double total = 0;
            for (std::int64_t k = 0; k < classes; ++k) {
                total += std::exp(row[k] - largest);
            }
            const std::int32_t own = label.data[i];
            if (!loss.empty()) {
                loss.data[i] = static_cast<float>(std::log(total) + largest - row[own]);
            }
            if (!d_logit.empty()) {
                const double factor = scale * weight_of(class_weight, own);
                for (std::int64_t k = 0; k < classes; ++k) {
                    const double softmax = std::exp(row[k] - largest) / total;
                    d_logit.data[i * classes + k] =
                        static_cast<float>(factor * (softmax - (k == own)));
                }
            }
        }
    });
}

} // namespace patchforge
