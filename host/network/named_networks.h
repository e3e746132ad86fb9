// Networks that --network knows by name; docs/classifiers.md and docs/gan.md draw them.
#pragma once

#include <string>
#include <vector>

#include "host/network/network_shape.h"
#include "kernels/extent.h"

namespace patchforge {

// The names, for help and refusals.
std::vector<std::string> named_classifiers();

// The text of a classifier by its name; any other text is returned as it is. `in`: its pictures,
// `outputs`: its logits. std::invalid_argument where the pictures are too small for it.
std::string classifier_text(const std::string& name_or_text, Extent in, std::int64_t outputs);

std::vector<std::string> named_gans();

struct GanTexts {
    std::string generator;
    std::string discriminator;
};
// The texts of both networks of a GAN by its name. std::invalid_argument for an unknown one and
// where the pictures do not fit. With classes G reads a number of each behind the codes, D a map of each
// behind the pictures, from the first layer on or, by `projection` (Miyato & Koyama 2018), in the product of
// its last features with an embedding of the class, which is added to its answer.
GanTexts gan_texts(const std::string& name, Extent pictures, std::int64_t latent_dim,
                   std::int64_t classes = 0, bool projection = false);

// Half of a side, rounded up: what a convolution of stride 2 leaves of it.
inline int half_up(int side) {
    return (side + 1) / 2;
}

// The network of a text that `option` gave. std::invalid_argument naming the option.
NetworkShape option_network(const std::string& option, const std::string& text);

// Both networks of a stage, 1 or 2, of a stacked GAN (Zhang et al. 2017) for `pictures` in the second one
// and half of their sides in the first. G reads latent_dim numbers, condition_dim for each stage so far, and
// one for each class; that of stage 2 begins with that of stage 1, fixed, under the same names of tensors.
GanTexts stack_texts(int stage, Extent pictures, std::int64_t latent_dim,
                     std::int64_t condition_dim, std::int64_t classes);

} // namespace patchforge
