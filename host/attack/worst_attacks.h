// The white-box members of `worst`, the ensemble that takes the worst case of every sample.
// AutoAttack (Croce & Hein 2020) is its model; its DLR loss needs three classes, so the logit
// margin stands in.
//   apgd     PGD whose step, 2 eps at first, is halved for a sample that oscillates or does not
//   gain;
//            it then goes on from its best point. Constants: momentum 0.75, rho 0.75, checkpoints
//            at 22 % of the steps, then 3 % less each, at least 6 %.
//   minimal  the nearest example in L-infinity (FMN, Pintor et al. 2021): the ball shrinks while
//            the sample is fooled and grows while it is not
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "host/attack/attack_batch.h"
#include "host/attack/victim.h"

namespace patchforge {

class WorstAttacks {
  public:
    WorstAttacks(WhiteBoxVictim& victim, AttackBatch& batch, const AttackOptions& options);

    // Both leave a sample's success in batch.x(), or its best try. `minimal` leaves the origin
    // where nothing within epsilon was found.
    void apgd(double epsilon, VictimLoss loss);
    void minimal(double epsilon);

  private:
    Matrix<float> matrix(const DeviceArray<float>& array) const {
        return array.matrix(batch_.capacity(), batch_.pixels());
    }
    // Runs `gradient`; 1 where a sample is fooled now.
    std::vector<std::uint8_t> look(Recording& gradient);
    // Copies the chosen rows.
    void keep(Matrix<float> kept, Matrix<const float> from,
              const std::vector<std::uint8_t>& chosen);

    WhiteBoxVictim& victim_;
    AttackBatch& batch_;
    AttackOptions options_;
    RowNumbers epsilon_, alpha_, loss_, norm_;
    DeviceArray<float> x_, previous_, stepped_, gradient_, best_, best_gradient_;
    DeviceArray<std::int32_t> index_;
    std::unique_ptr<Recording> gradient_of_[2]; // by cross-entropy, by margin
    std::unique_ptr<Recording> apgd_step_[2];   // the first step, the others
};

} // namespace patchforge
