// Attacks that follow the sign or the direction of the loss gradient:
//   fgsm    x0 + eps sign(g)                                       Goodfellow et al. 2015
//   pgd     x <- project(x + alpha sign(g)), from a random start    Madry et al. 2018
//           without random start: BIM                               Kurakin et al. 2017
//   mifgsm  m <- decay m + g / ||g||_1, x <- project(x + alpha sign(m))   Dong et al. 2018
// In L2 and L1 the direction is g / ||g||. Towards a target the steps descend.
#pragma once

#include <cstdint>
#include <memory>

#include "host/attack/attack_batch.h"
#include "host/attack/victim.h"

namespace patchforge {

// One step (forward, gradient, update) is recorded once and replayed for every step, budget and
// batch; budget and step size lie on the device.
class GradientAttack {
  public:
    // All must outlive it; options.method is fgsm, pgd or mifgsm.
    GradientAttack(WhiteBoxVictim& victim, AttackBatch& batch, const AttackOptions& options);

    // Leaves the adversarial examples in batch.x(). With restarts a sample keeps its first success,
    // or the last try.
    void run(double epsilon);

  private:
    void try_once(double epsilon, std::uint32_t number);
    // 1 where the victim already answers as wanted.
    std::vector<std::uint8_t> successes();

    WhiteBoxVictim& victim_;
    AttackBatch& batch_;
    AttackOptions options_;
    RowNumbers epsilon_;
    RowNumbers alpha_;
    DeviceArray<float> gradient_;
    DeviceArray<float> momentum_; // mifgsm
    DeviceArray<float> kept_;     // with restarts
    DeviceArray<std::int32_t> index_;
    std::unique_ptr<Recording> step_;
};

// Whether an answer is what the attack wants: not the label (untargeted), or the target.
inline bool is_success(std::int32_t answer, std::int32_t label, bool targeted) {
    return targeted ? answer == label : answer != label;
}

} // namespace patchforge
