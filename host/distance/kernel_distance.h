// Kernel distance: squared maximum mean discrepancy with the kernel k(x, y) = (x.y / d + 1)^3, the
// estimator behind KID (Binkowski et al. 2018). Unlike the Fréchet distance its expectation does
// not depend on n, and it may come out a little below zero when the sets agree.
#pragma once

#include "host/numerics/features.h"

namespace patchforge {

struct KernelDiscrepancy {
    double unbiased = 0; // the diagonals k(x_i, x_i) left out
    double biased = 0;   // with them (V-statistic), never negative but for rounding
};

// Of two whole sets, each with its own size, in float64. Needs two rows of each.
KernelDiscrepancy kernel_discrepancy(const Features& first, const Features& second);

struct KernelDistanceOptions {
    int subsets = 100;
    std::int64_t subset_size = 1000; // no more than the smaller set is used
    std::uint64_t seed = 2020;
    int threads = 0;
};

struct KernelDistance {
    double mean = 0;      // of the unbiased estimate over the subsets
    double deviation = 0; // population standard deviation over the subsets
    int subsets = 0;
    std::int64_t subset_size = 0; // as used
};

// Each subset draws its rows without replacement, from both sets. Products of rows are in float32, as the features are,
// which takes half the time; the rest is in float64. Their rounding is no bias and the mean is over a million of them, so
// it stays far below the deviation over subsets. Throws std::invalid_argument when
// subsets < 1 or subset_size < 2.
KernelDistance kernel_distance(const Features& reference, const Features& generated,
                               const KernelDistanceOptions& options = {});

} // namespace patchforge
