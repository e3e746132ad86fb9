// All measures that compare two sets of features, as lines ready to be written.
#pragma once

#include "host/evaluate/metric_lines.h"
#include "host/numerics/features.h"

namespace patchforge {

struct EvaluateOptions {
    Extractor extractor;
    std::uint64_t seed = 2020;
    int threads = 0;
    int kernel_subsets = 100;
    std::int64_t kernel_subset_size = 1000;
    std::int64_t precision_neighbours = 3;
    std::int64_t density_neighbours = 5;
    int directions = 1000;
    bool extrapolate = true; // the Fréchet distance to infinite n: 15 more fits
};

// Lines `frechet_distance`, `kernel_distance`, `precision_recall`, `density_coverage` and
// `sliced_distance`, each timed. A measure that needs more rows than there are (neighbours,
// extrapolation) is left out. The result depends on the options but never on `threads`.
// Throws std::invalid_argument when a set has fewer than two rows or the dimensions differ.
std::vector<MetricResult> evaluate_features(const Features& reference, const Features& generated,
                                            const EvaluateOptions& options);

struct Halves {
    Features first, second;
};

// Two random halves of equal size without a common row: the distance between them is the floor
// that no generator can be asked to beat at that n. Needs two rows.
Halves split_in_halves(const Features& features, std::uint64_t seed);

// `count` images of independent uniform noise in [-1, 1]: the distance to them is a ceiling.
Features noise_images(std::int64_t count, std::int64_t dimension, std::uint64_t seed);

} // namespace patchforge
