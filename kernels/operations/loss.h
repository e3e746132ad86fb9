// Losses on logits. Every operation gives the loss and the gradient of it by the logits at once.
// Stable binary cross-entropy on a logit l with target t: max(l, 0) - l t + log1p(exp(-|l|)), with
// gradient sigmoid(l) - t: finite for every finite l. The losses of GANs stand in
// kernels/gan_loss.h.
#pragma once

#include "kernels/gan_loss.h"
#include "kernels/views.h"

namespace patchforge {

// Where discriminator_loss and generator_loss put what they measured (float32 each).
struct DiscriminatorMetrics {
    enum { loss_real, loss_fake, probability_real, probability_fake, accuracy, count };
};
struct GeneratorMetrics {
    enum { loss, probability_fake, count };
};

struct LossOperations {
    virtual ~LossOperations() = default;

    // logit [R + F]: the first `real_count` = R rows are D's answers to real patches, the others to
    // fakes. d_logit likewise: gradient of (loss on real + loss on fake). R, F >= 1.
    // metrics [DiscriminatorMetrics::count]: both losses (the two terms of the table), mean D(x),
    // mean D(G(z)), share of all rows on their own side: real rows with l > 0, fakes with f <= 0.
    // real_label is r; only non_saturating and minimax know it.
    virtual void discriminator_loss(Vector<float> d_logit, Vector<float> metrics,
                                    Vector<const float> logit, std::int64_t real_count,
                                    GanLoss loss, float real_label) = 0;

    // logit [F]: D's answers to fakes. metrics [GeneratorMetrics::count].
    virtual void generator_loss(Vector<float> d_logit, Vector<float> metrics,
                                Vector<const float> logit, GanLoss loss) = 0;

    // Binary cross-entropy with a label a row: loss [B] each row's own, unweighted value; d_logit
    // [B] = scale * weight[label] * (sigmoid(l) - label), scale usually 1 / B. label in {0, 1};
    // class_weight [2] or empty (ones). d_logit or loss may be empty: not wanted.
    virtual void binary_cross_entropy(Vector<float> d_logit, Vector<float> loss,
                                      Vector<const float> logit, Vector<const std::int32_t> label,
                                      Vector<const float> class_weight, float scale) = 0;

    // Softmax cross-entropy over K >= 2 classes, by log-sum-exp: loss [B] = -log
    // softmax(logit)[label]; d_logit [B, K] = scale * weight[label] * (softmax - one-hot).
    // class_weight [K] or empty. d_logit or loss may be empty.
    virtual void softmax_cross_entropy(Matrix<float> d_logit, Vector<float> loss,
                                       Matrix<const float> logit, Vector<const std::int32_t> label,
                                       Vector<const float> class_weight, float scale) = 0;
};

} // namespace patchforge
