// The two networks of a GAN: their shapes, and the principal components that both may see patches
// through.
#pragma once

#include <vector>

#include "host/gan/gan_options.h"
#include "host/network/network.h"
#include "host/train/batches.h"

namespace patchforge {

// D: [fixed projection], hidden layers with dropout, one logit. Input: pixels, then one-hot columns
// of `classes`. G: latent code and one-hot columns in, hidden layers, [components], pixels by tanh.
// reference_rows: of a virtual batch.
NetworkShape discriminator_shape(const GanOptions& options, std::int64_t pixels,
                                 std::int64_t classes = 0, std::int64_t reference_rows = 0);
NetworkShape generator_shape(const GanOptions& options, std::int64_t pixels,
                             std::int64_t classes = 0, std::int64_t reference_rows = 0);

// Both for pictures of this size: the networks that the options name, or multilayer perceptrons.
// std::invalid_argument where a network does not fit the pictures.
struct GanShapes {
    NetworkShape generator;
    NetworkShape discriminator;
};
GanShapes gan_shapes(const GanOptions& options, Extent pictures, std::int64_t classes,
                     std::int64_t reference_rows_g, std::int64_t reference_rows_d);

// The layer that says around which means and with which variances a generator draws its last codes (augment);
// -1: it draws none.
std::int64_t condition_layer(const NetworkShape& generator);

// Mean, leading directions v_k and deviations s_k of patches in [-1, 1].
struct PatchComponents {
    std::vector<double> mean;       // [pixels]
    std::vector<double> directions; // [components, pixels], orthonormal rows
    std::vector<double> deviations; // [components]
};

// From at most 2,000 rows, evenly spaced. Throws std::invalid_argument naming --components when
// there are too few.
PatchComponents fit_patch_components(const PatchRows& patches, std::int64_t components);

// Fills D's fixed first layer: a patch's coordinates (x - mean) v_k / s_k, each of variance 1;
// class columns pass through, times the root of the number of components.
void set_projection(Network& discriminator, const PatchComponents& components);
// Fills G's fixed last layer, the reverse: coordinates c become tanh(atanh(mean) + sum of
// c_k s_k v_k / (1 - mean^2)), which is mean + sum of c_k s_k v_k to first order and stays in (-1,
// 1).
void set_reconstruction(Network& generator, const PatchComponents& components);

} // namespace patchforge
