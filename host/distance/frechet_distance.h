// Fréchet distance between the Gaussians fitted to two sets of features (Dowson and Landau 1982;
// Heusel et al. 2017 for generated images):
//
//     FD = |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)),  S with 1 / (n - 1)
//
// The published figure called FID is this squared distance in the features of one Inception
// network. Any other extractor gives numbers that compare only with themselves: same extractor,
// same n.
#pragma once

#include "host/numerics/moments.h"

namespace patchforge {

// A Gaussian by its mean and a factor F[rows, dimension] of its covariance, S = F^T F. With it
//
//     tr (S1 S2)^(1/2) = sum of the singular values of F1 F2^T,
//
// which loses no digits where a covariance is singular (the eigenvalues of S1 S2 do: one of
// 1e-16 instead of 0 adds 1e-8 to the trace).
struct GaussianFit {
    std::int64_t count = 0;
    std::int64_t dimension = 0;
    std::int64_t rows = 0;
    std::vector<double> mean;
    std::vector<double> factor;
};

// F = centred features / sqrt(n - 1) when n <= dimension, else D^(1/2) V^T of the covariance's
// eigen-decomposition, where eigenvalues below dimension * 2.2e-16 of the largest are rounding and
// left out. Needs two rows.
GaussianFit fit_gaussian(const Features& features, int threads = 0);
GaussianFit fit_gaussian(const Moments& moments);

// Throws std::invalid_argument when the dimensions differ. Never below zero.
double frechet_distance(const GaussianFit& first, const GaussianFit& second);
double frechet_distance(const Features& first, const Features& second, int threads = 0);

// FD falls with n about as FD_infinity + slope / n (Chong and Forsyth 2020). The distance of
// random subsets of the generated set at `sizes` sizes from `smallest` to all, against the whole
// reference, and the straight line through them over 1 / n.
struct FrechetExtrapolation {
    double at_infinity = 0;
    double slope = 0;
    double r_squared = 0; // of the line; well below 1 the intercept means little
    std::vector<std::int64_t> counts;
    std::vector<double> distances;
};

// `smallest` 0 stands for min(5000, half of the generated set); below `dimension` the law does not
// hold. Throws std::invalid_argument when sizes < 2 or there are too few generated rows.
FrechetExtrapolation extrapolate_frechet_distance(const Features& reference,
                                                  const Features& generated, std::uint64_t seed,
                                                  std::int64_t smallest = 0, int sizes = 15,
                                                  int threads = 0);

} // namespace patchforge
