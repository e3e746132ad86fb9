// Membership inference: can somebody who holds a patch tell, from what was released, whether it was in
// the training set? An attack gives every patch a score, higher for "was in"; members are patches that
// the model was trained on, strangers those of patients that it never saw. What patients differ by
// shows in the intervals, which are over patients.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "host/evaluate/binary_scores.h"
#include "host/numerics/features.h"

namespace patchforge {

// Patches with a score, and the patient of each (one number a patch).
struct ScoredPatches {
    std::vector<float> scores;
    std::vector<std::int32_t> patients;
};

struct MembershipResult {
    std::string attack;
    double auc = 0; // 0.5: nothing is given away
    Interval auc_interval{};
    // Share of members found where at most 1 % of the strangers are taken for members (Carlini et al.
    // 2022: an average says little of the few who are found for certain).
    double found = 0;
    Interval found_interval{};
    std::int64_t members = 0, strangers = 0;

    // Whether chance and the patients drawn explain it: the interval holds 0.5 or less.
    bool gives_away() const { return auc_interval.low > 0.5; }
};

// Share of `members` above the score that a share `false_share` of `strangers` lies above.
double found_at(std::span<const float> members, std::span<const float> strangers,
                double false_share);

// 95 % intervals by bootstrap of whole patients of either side. Throws std::invalid_argument when a
// side is empty.
MembershipResult membership_result(const std::string& attack, const ScoredPatches& members,
                                   const ScoredPatches& strangers, std::uint64_t seed,
                                   int resamples = 500);

// Whether who was trained on is told at all, or the patients differ by chance: the shares of random
// divisions of all patients into as many on either side that tell the sides apart at least as well,
// this one counted too. Exact where the patients held out were drawn at random, however few they are
// and however alike the patches of one.
struct MembershipChance {
    double auc = 1, found = 1;
};
// Errors as membership_result. Patients of different sides are different ones.
MembershipChance chance_of(const ScoredPatches& members, const ScoredPatches& strangers,
                           std::uint64_t seed, int divisions = 9999);

// The least chance that so many patients on either side allow: one over the number of divisions.
double least_chance(std::int64_t members, std::int64_t strangers);

// Against released fakes: minus the distance of each patch to the nearest of them (Chen et al. 2020,
// GAN-Leaks).
std::vector<float> nearest_fake_scores(const Features& patches, const Features& fakes, int threads);

} // namespace patchforge
