// The rows that a classifier is trained and tested on.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/packed_set.h"
#include "host/train/batches.h"

namespace patchforge {

PatchRows rows_of(const PackedSet& set);
// The used rows' bytes [used, pixels] one after the other, and their labels.
std::vector<std::uint8_t> bytes_of(const PatchRows& patches);
std::vector<std::int32_t> labels_of(const PatchRows& patches);

// Patches that lie in no file, for PatchRows to look at.
struct OwnedPatches {
    std::vector<std::uint8_t> bytes;
    std::vector<std::int32_t> labels;

    void append(const PatchRows& patches);
    // channels, height and width as those of `like`. Must not outlive this.
    PatchRows rows(const PatchRows& like) const;
};

struct ClassifierData {
    PatchRows train;
    PatchRows test;
    std::string how;                                 // the test patches were chosen, in words
    std::shared_ptr<const OwnedPatches> owned_train; // what train looks at, unless a set
    std::shared_ptr<const OwnedPatches> owned_test;
};

// Training and test rows: by patient where patients are known, else by row (said in `how`); the
// whole of `test` when it is given. Throws std::invalid_argument when `test` is of another kind, or
// when patients are counted and there are none.
ClassifierData classifier_data(const PackedSet& set, const PackedSet* test, double test_patients,
                               std::uint64_t split_seed);

// Adds all of `extra` (say, a saved set of adversarial examples) to the training rows, which then
// lie in memory. Each of its classes must be one of the set's, by name or by number
// (match_classes).
void add_training_patches(ClassifierData& data, const PackedSet& set, const PackedSet& extra);

// How a run, as its params.json says, parted this set by itself; nothing when it was trained on
// other data or tested on a set of its own. A folder of ensemble members answers for all of them.
struct TestSplit {
    double test_patients = 0;
    std::uint64_t split_seed = 0;
};
std::optional<TestSplit> split_of_run(const std::filesystem::path& run, const PackedSet& set);

} // namespace patchforge
