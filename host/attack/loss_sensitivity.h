// How linear a victim's loss is around its data.
#pragma once

#include <cstdint>
#include <vector>

#include "host/attack/attack_batch.h"
#include "host/attack/victim.h"

namespace patchforge {

// Means over the samples.
struct LossSensitivity {
    double gradient_l1 = 0; // norms of the loss gradient by the pixels
    double gradient_l2 = 0;
    // How far a first order prediction of the loss along FGSM's direction is off, relative to it:
    // mean |L(x + d) - L(x) - g.d| / mean |g.d|.
    double nonlinearity = 0;
    std::int64_t zero_gradients = 0; // samples
};

// labels: whose loss, of each sample. Overwrites the batch.
LossSensitivity loss_sensitivity(WhiteBoxVictim& victim, AttackBatch& batch, const AttackSet& set,
                                 const std::vector<std::int32_t>& labels, double epsilon);

} // namespace patchforge
