// Checks that expose an evaluation which only looks strong (Athalye et al., "Obfuscated gradients
// give a false sense of security", ICML 2018; Carlini et al., "On evaluating adversarial
// robustness", 2019).
#pragma once

#include <string>
#include <vector>

#include "host/attack/attack_runner.h"
#include "host/model/classifier_model.h"

namespace patchforge {

struct SanityCheck {
    std::string name;
    std::string found; // the numbers
    bool good = true;
};

// On at most `count` of the samples, evenly spaced:
//   gradients        not all zero
//   unbounded        PGD with eps = 1, 100 steps of 1/50, leaves accuracy at chance (1/K) or below
//   more steps       PGD at `epsilon` with 4 times the steps does not help the defender
//   black box        square (500 queries) does not break more than PGD
// Within noise of two samples or 2 %.
std::vector<SanityCheck> sanity_checks(const std::vector<const ClassifierModel*>& members,
                                       const AttackSet& set, double epsilon, std::int64_t count);

// `count` samples of a set, evenly spaced; the set itself when it has no more.
AttackSet evenly_spaced(const AttackSet& set, std::int64_t count);

} // namespace patchforge
