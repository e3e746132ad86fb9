// What an attack made of a batch: its images rounded to 8 bits, asked about and measured.
#pragma once

#include <optional>

#include "host/attack/attack_batch.h"
#include "host/attack/attack_options.h"
#include "host/attack/attack_result.h"
#include "host/attack/victim.h"

namespace patchforge {

// Largest |a - b| in levels of the ball with radius epsilon on the 8-bit grid.
int grid_radius(double epsilon);

class BatchJudge {
  public:
    // What the set's samples are called, and after which changes, is asked of `victim`.
    BatchJudge(WhiteBoxVictim& victim, const AttackBatch& batch, const AttackSet& set,
               const AttackOptions& options);

    // Puts what batch.x() holds into `result`. epsilon: the budget that it had, or no_budget.
    void collect(AttackResult& result, double epsilon);

  private:
    void round(double epsilon);
    void check(Violations& violations, double epsilon) const;
    void judge_changed(AttackResult& result);

    Backend& backend_;
    WhiteBoxVictim& victim_;
    const AttackBatch& batch_;
    const AttackSet& set_;
    Norm norm_;
    std::uint64_t seed_;
    std::optional<Camera> camera_;
    DeviceArray<std::uint8_t> rounded_;
    DeviceArray<float> rounded_pixels_;
    RowNumbers threshold_;
    RowNumbers norms_;
};

} // namespace patchforge
