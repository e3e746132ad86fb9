#pragma once

#include "data/pack.h"

#include <cstdint>
#include <filesystem>

namespace patchforge {

struct TissueOptions {
    int patients = 40;             ///< 1..9000
    int patches_per_patient = 100; ///< 1..100000
    int size = 50;                 ///< pixels a side, 8..1024
    std::uint64_t seed = 1;
    int threads = 0; ///< 0: one for each processor; the files do not depend on it
};

struct TissueReport {
    std::int64_t patches = 0;
    std::int64_t cancer = 0;
};

/// Writes a procedural stand-in for the IDC patches, in their layout:
/// `<patient>/<0|1>/<patient>_idx5_x<X>_y<Y>_class<0|1>.png`. Patients differ in stain, focus and
/// anatomy; the cancer patches (20 to 60 % of each patient) lie together, as a tumour does.
/// The same options give the same bytes. The picture is drawn by tissue_painter.h.
///
/// The folder must not exist or be empty; it appears complete or not at all. Throws
/// std::invalid_argument for options out of range, std::runtime_error when it cannot be written.
TissueReport write_tissue_folder(const std::filesystem::path& folder,
                                 const TissueOptions& options = {}, const Progress& progress = {});

} // namespace patchforge
