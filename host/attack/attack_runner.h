// An attack on a whole set of samples: batch after batch, rounding to 8 bits, checks, and what came
// out of every sample.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "host/attack/attack_batch.h"
#include "host/attack/attack_options.h"
#include "host/attack/victim.h"

namespace patchforge {

// The samples of an attack in host memory.
struct AttackSet {
    std::vector<std::uint8_t> levels; // [count, pixels], uint8 planes
    std::vector<std::int32_t> labels; // in [0, classes)
    std::vector<std::string> names;   // of the patches, e.g. paths; may be empty

    std::int64_t count() const { return static_cast<std::int64_t>(labels.size()); }
    std::span<const std::uint8_t> patch(std::int64_t i) const {
        const std::size_t pixels = levels.size() / labels.size();
        return {levels.data() + static_cast<std::size_t>(i) * pixels, pixels};
    }
};

struct SampleOutcome {
    std::int32_t clean = 0;        // what the victim calls the unchanged sample
    std::int32_t target = -1;      // -1: untargeted
    std::int32_t adversarial = 0;  // of the float32 pixels
    std::int32_t rounded = 0;      // of the 8-bit image
    bool clean_detected = false;   // a detector stops the unchanged sample: a false alarm;
    bool detected = false;         // ... the float32 pixels
    bool rounded_detected = false; // ... the 8-bit image
    float l2 = 0;                  // distance of the float32 pixels
    float linf = 0;
    float rounded_l2 = 0;
    float rounded_linf = 0;
    float clean_confidence = 0; // probability of the class named
    float rounded_confidence = 0;
    float rounded_last_class = 0; // probability of the last class, for ROC curves
    std::int64_t queries = 0;     // black boxes
    std::int64_t steps = -1;      // forge, cw: until the first success; -1: never
    // Right before the attack: called its label, and let through by a detector.
    bool right(std::int32_t label) const { return clean == label && !clean_detected; }
    // Broken: not the label any more, or the target; and not stopped by a detector.
    bool broken(std::int32_t label) const { return wrong(adversarial, label) && !detected; }
    bool rounded_broken(std::int32_t label) const {
        return wrong(rounded, label) && !rounded_detected;
    }

  private:
    bool wrong(std::int32_t answer, std::int32_t label) const {
        return target >= 0 ? answer == target : answer != label;
    }
};

// Pixels outside the ball or the box, and by how many units in the last place at most.
struct Violations {
    std::int64_t ball = 0;
    std::int64_t box = 0;
    double largest_ulps = 0;
    std::int64_t not_finite = 0;
};

struct AttackResult {
    double epsilon = 0;   // infinity for methods without a budget
    double lambda = 0;    // forge
    bool guarded = false; // a detector stood in front
    std::vector<SampleOutcome> samples;
    std::vector<std::uint8_t> levels; // [count, pixels], the 8-bit images
    Violations violations;
    double seconds = 0;
};

class AttackRunner {
  public:
    // All must outlive it; the detector may be null. With `worst`, what it says goes to `log`, line
    // by line.
    AttackRunner(std::vector<const ClassifierModel*> members, const ClassifierModel* detector,
                 const AttackSet& set, const AttackOptions& options,
                 std::function<void(const std::string&)> log = {});
    ~AttackRunner();

    const std::vector<std::int32_t>& clean() const { return clean_; }
    const AttackOptions& options() const { return options_; }

    // epsilon 0 returns the samples themselves. lambda is forge's. `progress` is told how many
    // samples are done.
    AttackResult run(double epsilon, double lambda = 0,
                     const std::function<void(std::int64_t)>& progress = {});

    // Mean over the samples of the L1 and L2 norm of the loss gradient by the pixels, and how far a
    // first order prediction of the loss along FGSM's direction at `epsilon` is off, relative to
    // it: both say how linear the model is around the data.
    struct Sensitivity {
        double gradient_l1 = 0;
        double gradient_l2 = 0;
        double nonlinearity = 0; // mean |L(x + d) - L(x) - g.d| / mean |g.d|
        std::int64_t zero_gradients = 0;
    };
    Sensitivity sensitivity(double epsilon);

  private:
    struct Methods; // the attacks, each made when first used

    void choose_targets(const std::vector<float>& clean_logits);
    void load(std::span<const std::int64_t> samples);
    // Samples in batches; `attack` leaves its images in batch_.x(), which are then rounded, judged
    // and written to `result`.
    void attack_samples(AttackResult& result, const std::vector<std::int64_t>& samples,
                        double epsilon, const std::function<void()>& attack,
                        const std::function<void(std::int64_t)>& progress);
    void collect(AttackResult& result, double epsilon);
    void round(double epsilon);
    void check(Violations& violations, double epsilon) const;
    std::vector<std::int64_t> clean_right() const;
    void run_worst(AttackResult& result, double epsilon,
                   const std::function<void(std::int64_t)>& progress);
    void start_forge();

    Backend& backend_;
    const AttackSet& set_;
    AttackOptions options_;
    std::function<void(const std::string&)> log_;
    WhiteBoxVictim judge_; // says what became of the samples; white-box methods attack it too
    AttackBatch batch_;
    std::unique_ptr<Methods> methods_;
    std::vector<std::int32_t> clean_;
    std::vector<std::uint8_t> clean_detected_;
    std::vector<float> clean_confidence_;
    std::vector<std::int32_t> targets_;
    DeviceArray<std::uint8_t> rounded_;
    DeviceArray<float> rounded_pixels_;
    RowNumbers threshold_;
    RowNumbers norms_;
};

// Largest |a - b| in levels of the ball with radius epsilon on the 8-bit grid.
int grid_radius(double epsilon);

} // namespace patchforge
