// Does the generator copy its training images? Every generated image's distance to its nearest
// training image is held against the same distance of real images that were kept out of training.
// Held-out images must come from other patients: neighbouring patches of one slide are near copies
// of each other and would hide copying.
#pragma once

#include "host/numerics/distances.h"

namespace patchforge {

// Linear interpolation between order statistics, 0 <= share <= 1 (numpy's default quantile).
double quantile(std::vector<double> values, double share);

struct MemorisationOptions {
    std::int64_t cells = 1;          // k-means cells of the training set; 1 is one test for all
    std::int64_t least_in_cell = 20; // cells with fewer generated or held-out images are left out
    std::uint64_t seed = 2020;       // of k-means
    int threads = 0;
};

struct Memorisation {
    // C_T of Meehan, Chaudhuri and Dasgupta (2020): the cells' z, weighted by their held-out
    // images. Well below 0 (-3, say) is copying, well above 0 is underfitting. NaN when every cell
    // is left out.
    double c_t = 0;
    std::int64_t cells_used = 0;
    // Ratio test: share of generated images nearer to training than the 5th percentile of held-out
    // images. About 0.05 is expected of fresh images.
    double ratio = 0;
    double ratio_distance = 0; // that percentile
    std::vector<Neighbour> generated_to_training;
    std::vector<Neighbour> generated_to_held_out;
    std::vector<Neighbour> held_out_to_training;
};

// All three sets in the same features (or raw pixels). Throws std::invalid_argument when one is
// empty or the dimensions differ.
Memorisation memorisation(const Features& training, const Features& generated,
                          const Features& held_out, const MemorisationOptions& options = {});

// One row of a contact sheet: generated | nearest training | nearest held-out.
struct CopyCandidate {
    std::int64_t generated = 0;
    Neighbour training, held_out;
};

// The generated images nearest to their training image, nearest first, at most `count`.
std::vector<CopyCandidate> copy_candidates(const Memorisation& result, std::int64_t count);

} // namespace patchforge
