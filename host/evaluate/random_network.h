// Features of a convolutional network that nobody trained: its weights are drawn from a seed, so
// the extractor favours no data set and anybody can rebuild it.
//
//     conv 5x5 / 2, 32 - ReLU - conv 3x3 / 2, 64 - ReLU - conv 3x3 / 2, 128 - ReLU
//     -> mean and standard deviation of each of the 128 maps: 256 features
//
// Zero padding keeps ceil(size / 2) each time. Weights are N(0, 2 / inputs) (He et al. 2015), from
// Philox with the layer as its stream; there is no bias.
#pragma once

#include "host/numerics/features.h"
#include "kernels/extent.h"

#include <string>

namespace patchforge {

constexpr std::int64_t random_network_dimension = 256;

// `images`: one flattened channels x height x width image a row, in [-1, 1]. 12 Mflop an image of
// 3 x 50 x 50, in float32; each image is computed by itself, so the batch makes no difference.
// Throws std::invalid_argument when the rows do not have that size.
Features random_network_features(const Features& images, const Extent& shape,
                                 std::uint64_t seed = 2020, int threads = 0);

// Names architecture, shape and seed, which is all there is to know of it.
std::string random_network_hash(const Extent& shape, std::uint64_t seed);

} // namespace patchforge
