// What became of the samples of an attack.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

namespace patchforge {

inline constexpr double no_budget = std::numeric_limits<double>::infinity();

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
    std::int64_t steps = -1;      // of a search, until its first success; -1: never
    float changed_right = 0;  // share of the physical changes under which the unchanged sample is
    float changed_broken = 0; // right, and the 8-bit image broken
    // Right before the attack: called its label, and let through by a detector.
    bool right(std::int32_t label) const { return clean == label && !clean_detected; }
    // Broken: not the label any more, or the target; and not stopped by a detector.
    bool broken(std::int32_t label) const { return wrong(adversarial, label) && !detected; }
    bool rounded_broken(std::int32_t label) const {
        return wrong(rounded, label) && !rounded_detected;
    }

    // One of several changes, each a `share` of them: what the victim said of the forged image or of the
    // unchanged sample.
    void take_change(bool first, bool forged, std::int32_t answer, bool stopped, std::int32_t label,
                     float share) {
        float& sum = forged ? changed_broken : changed_right;
        sum = first ? 0 : sum;
        sum += !stopped && (forged ? wrong(answer, label) : answer == label) ? share : 0;
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
    double epsilon = 0;   // no_budget for methods without one
    double lambda = 0;    // weight of the distance, where there is one
    bool guarded = false; // a detector stood in front
    bool changed = false; // judged after physical changes too
    std::vector<SampleOutcome> samples;
    std::vector<std::uint8_t> levels; // [count, pixels], the 8-bit images
    Violations violations;
    double seconds = 0;
};

} // namespace patchforge
