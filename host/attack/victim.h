// Who is attacked, and what an attacker may see of him. A white box gives the gradient of its loss
// by the pixels; a black box gives scores, counts every question, and has no gradient to give.
//
// A victim is one classifier, or an ensemble that answers with the mean of its members' class
// logits; a detector may stand in front. Pixels are in [0, 1]; each model scales them by itself.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "host/model/classifier_model.h"
#include "kernels/backend.h"

namespace patchforge {

// Forward passes of the members on up to `capacity` rows. Models must outlive it.
class MeanLogits {
  public:
    // Throws std::invalid_argument when there is no member, or two differ in size or classes.
    MeanLogits(std::vector<const ClassifierModel*> members, std::int64_t capacity, bool backward);

    Backend& backend() const { return members_.front()->backend(); }
    const ClassifierFormat& format() const { return members_.front()->format(); }
    std::int64_t capacity() const { return capacity_; }
    std::int64_t pixels() const { return format().pixels(); }
    std::int64_t class_count() const { return format().class_count(); }

    // Enqueues the answers [B, classes] to x [B, pixels]. Valid until the next call.
    Matrix<float> forward(Matrix<const float> x);
    // Where the gradient by the last answers goes before backward().
    Matrix<float> logit_gradient() const;
    // d_x [B, pixels] = gradient by the pixels of the last forward().
    void backward(Matrix<float> d_x);

  private:
    bool is_plain() const { return members_.size() == 1 && !format().binary_head; }

    std::vector<const ClassifierModel*> members_;
    std::int64_t capacity_;
    mutable std::vector<Trace> passes_;
    DeviceArray<float> scaled_;   // [B, pixels]
    DeviceArray<float> logits_;   // [B, classes], unless a single softmax network's output will do
    DeviceArray<float> d_logits_; // [B, classes]
    DeviceArray<float> d_member_; // [B, pixels], of one member of several
    std::int64_t rows_ = 0;
};

// What an attack climbs (or, towards a target, descends).
enum class VictimLoss {
    cross_entropy,
    margin,         // best other logit minus the label's (Carlini & Wagner)
    probability_l1, // distance of the probabilities to the label's one-hot vector
    probability_l2, // its square
};

class Victim {
  public:
    Backend& backend() const { return members_.backend(); }
    const ClassifierFormat& format() const { return members_.format(); }
    std::int64_t capacity() const { return members_.capacity(); }
    std::int64_t pixels() const { return members_.pixels(); }
    std::int64_t class_count() const { return members_.class_count(); }
    bool has_detector() const { return !detector_.empty(); }

  protected:
    Victim(std::vector<const ClassifierModel*> members, std::int64_t capacity,
           const ClassifierModel* detector, bool backward);

    MeanLogits members_;
    std::vector<MeanLogits> detector_; // none or one
};

class WhiteBoxVictim : public Victim {
  public:
    // `detector`: a two-class model in front (class 1: adversarial), which the gradient then fools
    // together with the members. May be null.
    WhiteBoxVictim(std::vector<const ClassifierModel*> members, std::int64_t capacity,
                   const ClassifierModel* detector = nullptr);

    Matrix<float> logits(Matrix<const float> x) { return members_.forward(x); }

    // Enqueues d_x [B, pixels] = gradient of each row's own loss (the margin's times `scale`, and 0
    // outside (low, high)) and loss [B] (or empty: not wanted).
    // With a detector d_x is the sum of both gradients, each divided by its row's L1 norm, so that
    // neither outweighs the other, and loss the sum of both losses; `targeted` says whether d_x
    // will be descended.
    struct Goal {
        VictimLoss loss = VictimLoss::cross_entropy;
        bool targeted = false;
        RowValue scale = {1.0f};
        float low = -std::numeric_limits<float>::infinity();
        float high = std::numeric_limits<float>::infinity();
    };
    void gradient(Matrix<float> d_x, Vector<float> loss, Matrix<const float> x,
                  Vector<const std::int32_t> label, const Goal& goal);

    // Waits. What the victim calls the first `rows` rows of x; detected: 1 where the detector
    // stops.
    std::vector<std::int32_t> predictions(Matrix<const float> x, std::int64_t rows);
    std::vector<float> host_logits(Matrix<const float> x, std::int64_t rows);
    std::vector<std::uint8_t> detected(Matrix<const float> x, std::int64_t rows);

  private:
    void member_gradient(Matrix<float> d_x, Vector<float> loss, Matrix<const float> x,
                         Vector<const std::int32_t> label, const Goal& goal);
    void gradient_together(Matrix<float> d_x, Vector<float> loss, Matrix<const float> x,
                           Vector<const std::int32_t> label, const Goal& goal);

    std::int64_t together_;           // rows that go there and back together
    DeviceArray<float> own_gradient_; // before both are weighed; only with a detector
    DeviceArray<float> detector_loss_;
    DeviceArray<std::int32_t> detector_label_[2];
};

class BlackBoxVictim : public Victim {
  public:
    // `samples`: how many different patches will be asked about, for their counters. `detector`:
    // as a white box has it, or null.
    BlackBoxVictim(std::vector<const ClassifierModel*> members, std::int64_t capacity,
                   std::int64_t samples, const ClassifierModel* detector = nullptr);

    // Scores [B, classes] of x [B, pixels], enqueued; valid until the next call. Row r is one query
    // of sample[r]. Without a detector these are the class logits. With one there is a class more,
    // "stopped", whose score is the largest class logit plus the detector's lead for "adversarial":
    // it wins exactly where the detector stops, and neither model is seen apart from the other
    // (Carlini & Wagner, "Adversarial examples are not easily detected", 2017, section 3.3).
    Matrix<const float> scores(Matrix<const float> x, std::span<const std::int64_t> sample);
    // Queries of each sample since the beginning or the last forget_queries().
    const std::vector<std::int64_t>& queries() const { return queries_; }
    void forget_queries() { queries_.assign(queries_.size(), 0); }

  private:
    DeviceArray<float> joint_; // [capacity, classes + 1]; only with a detector
    std::vector<std::int64_t> queries_;
};

} // namespace patchforge
