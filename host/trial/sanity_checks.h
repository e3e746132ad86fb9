// Checks that expose an evaluation which only looks strong (Athalye et al., "Obfuscated gradients
// give a false sense of security", ICML 2018; Carlini et al., "On evaluating adversarial
// robustness", 2019).
#pragma once

#include <cstdint>
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

// What was evaluated.
struct Evaluation {
    std::vector<const ClassifierModel*> members;
    const ClassifierModel* detector = nullptr; // in front, or none
    double epsilon = 0;                        // the largest budget: L-infinity, above 0, below 1
    // For each sample of the set whether the attacks that ran, taken together, broke it at
    // `epsilon`; empty: they are not compared.
    std::vector<std::uint8_t> fallen;
};

// On at most `count` of the samples, evenly spaced:
//   gradients        not all zero, of the members and of the detector
//   unbounded        PGD with eps = 1, 100 steps of 1/50, leaves accuracy at chance (1/K) or below
//   more steps       PGD with 4 times the steps does not help the defender
//   black box        square (500 queries) does not break more than PGD
//   own attack       PGD, the better of 20 and 80 steps, does not break more than what ran
// Within noise of two samples or 2 %. Every attack knows the detector.
std::vector<SanityCheck> sanity_checks(const Evaluation& evaluation, const AttackSet& set,
                                       std::int64_t count);

} // namespace patchforge
