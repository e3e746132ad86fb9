// Which patches of a set are attacked.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/packed_set.h"
#include "host/attack/attack_runner.h"
#include "host/numerics/evenly_spaced.h"
#include "host/session/loaded_models.h"

namespace patchforge {

// Some patches of a set, and in words which these are.
struct ChosenRows {
    AttackSet set;
    std::string how;
    bool labelled = true;             // all of them; false: none, labels are -1
    std::vector<std::int32_t> rows{}; // of the set
};

// `models`: the paths of all that will see the patches, a detector among them. `rows`:
//   test        held out in the training of every one of them
//   validation  by which every one of them chose its best epoch
//   train       which every one of them was trained on
//   all
//   auto        test, as far as runs say what they held out of this set; all where none says so
// `count`: at most so many, evenly spaced; 0: all. Patches without a label are left out, unless none of
// the set has one. Throws std::invalid_argument when a model does
// not say what was asked for, or no patch is left, as where models were trained on splits without a
// patient in common.
ChosenRows choose_rows(const PackedSet& set, const std::vector<std::string>& models,
                       const std::string& rows, std::int64_t count);

// Makes the labels those of the victims' classes. Patches without labels get the victims' own answer; only
// those that all answer alike stay, and what that means is returned in words, which are else empty.
// Throws std::invalid_argument as model_classes does, where victims number the classes differently,
// and where they agree on no patch.
std::string settle_labels(ChosenRows& chosen, const PackedSet& set,
                          const std::vector<LoadedVictim>& victims);

// The samples of these numbers.
AttackSet part_of(const AttackSet& set, const std::vector<std::int64_t>& samples);

} // namespace patchforge
