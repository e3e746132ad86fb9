#pragma once

#include "data/packed_set.h"

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace patchforge {

struct SplitOptions {
    double test_fraction = 0.2;     ///< of the patients (or rows), more than 0 and less than 1
    std::int64_t test_patients = 0; ///< when above 0, this many patients instead of the fraction
    std::uint64_t seed = 1;
    std::vector<std::int32_t> among{}; ///< rows to part, ascending; empty: all
};

/// Rows are indices of patches, ascending; every row (of those to part) stands on exactly one side.
struct Split {
    std::vector<std::int32_t> train;
    std::vector<std::int32_t> test;
    std::vector<std::string> test_patients; // sorted; empty for split_by_row
};

/// No patient stands on both sides. Which patients are tested depends on their names, labels and
/// the seed alone, not on the order of the patches. Of 64 draws of patients the one is taken whose
/// shares of classes and of patches come nearest to those of the whole set; both sides hold every
/// class that the set holds.
///
/// Throws std::invalid_argument for options out of range and std::runtime_error when patients are
/// unknown, too few, or cannot be parted so that every class is on both sides.
Split split_by_patient(const PackedSet& set, const SplitOptions& options = {});

/// The patients that a file lists are tested, one name a line (blank lines and lines that begin with #
/// say nothing). Throws std::runtime_error when the file cannot be read, names a patient that the set
/// does not know, or leaves nobody on one side.
Split split_by_list(const PackedSet& set, const std::filesystem::path& list);

/// For sets without patients: each class is parted by itself, by a hash of the names, so that at
/// least one patch of it stands on either side. Not a substitute where patients are known: patches
/// of one patient look alike, and a test on them flatters.
Split split_by_row(const PackedSet& set, const SplitOptions& options = {});

} // namespace patchforge
