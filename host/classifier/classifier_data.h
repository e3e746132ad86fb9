// The rows that a classifier is trained and tested on.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/packed_set.h"
#include "host/model/classifier_model.h"
#include "host/options/options.h"
#include "host/train/batches.h"

namespace patchforge {

// Softmax over the set's classes.
ClassifierFormat format_of(const PackedSet& set);
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

// How a set is parted. Below 1 a share, otherwise a number of patients.
struct DataSplit {
    double test_patients = 0.2;
    double validation_patients = 0; // of those that are left; 0: no validation
    std::uint64_t seed = 1;
    std::string test_list{}; // a file that lists the test patients, instead of a number
    bool whole_set = false;  // nobody was held out for testing: another set was tested on
};

// "20", "0.2" or the name of a file that lists patients.
struct PatientChoice {
    double number = 0.2;
    std::string list{};
};
PatientChoice patient_choice(const std::string& text);
// --test-patients, into `number` or, where a file is named, `list`. `what`: the beginning of its help.
void describe_test_patients(Options& options, double& number, std::string& list,
                            const std::string& what);

struct ClassifierData {
    PatchRows train;
    PatchRows test;
    std::string how; // the test patches were chosen, in words
    // What chooses the best epoch; without it the test patches do.
    std::optional<PatchRows> validation{};
    // What train, test and validation look at, unless a set.
    std::vector<std::shared_ptr<const OwnedPatches>> owned{};
};

// By patient where patients are known, else by row (said in `how`); the test rows are the whole of
// `test` when it is given. Throws std::invalid_argument when `test` is of another kind, or when
// patients are counted and there are none; what split_by_patient throws, too.
ClassifierData classifier_data(const PackedSet& set, const PackedSet* test, const DataSplit& split);

// Adds all of `extra` (say, a saved set of adversarial examples) to the training rows, which then
// lie in memory. Each of its classes must be one of the set's, by name or by number
// (match_classes).
void add_training_patches(ClassifierData& data, const PackedSet& set, const PackedSet& extra);

// How a run, as its params.json says, parted this set; nothing when it was trained on other data.
// A folder of ensemble members answers for all of them.
std::optional<DataSplit> split_of_run(const std::filesystem::path& run, const PackedSet& set);

// What is wrong with measuring in the features of a classifier: that it was trained (or its epoch chosen)
// on some of the patients of `compared`, patches of `set`, or that nobody can say. Empty: it saw none
// of them. A run of another set tells its patients where that set still lies where it lay.
std::string patients_seen(const std::filesystem::path& run, const PackedSet& set,
                          const PatchRows& compared);

} // namespace patchforge
