// Networks that --network knows by name; docs/classifiers.md and docs/gan.md draw them.
#pragma once

#include <string>
#include <vector>

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
// behind the pictures.
GanTexts gan_texts(const std::string& name, Extent pictures, std::int64_t latent_dim,
                   std::int64_t classes = 0);

} // namespace patchforge
