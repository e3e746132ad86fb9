// The networks of `train translate`, as texts for pictures of any size that they take
// (docs/formats.md has the grammar, docs/translate.md draws them). Weights fit every size: a network
// trained on patches translates larger pictures.
#pragma once

#include "host/network/network.h"
#include "host/translate/translate_options.h"

namespace patchforge {

// `in`: what it reads, `out_channels`: of what it makes, as large as that (edsr: twice as large).
// std::invalid_argument where it cannot read such pictures.
NetworkShape translation_generator(const TranslateOptions& options, Extent in, int out_channels);
// A PatchGAN: one answer for each place of `in`, its receptive field around it.
NetworkShape patch_discriminator(const TranslateOptions& options, Extent in);

// Weights as the field begins: of edsr and of --mode refine PyTorch's standard (of the refiner's last layer
// 0: it begins as the identity), of all others N(0, 0.02) with biases 0 (a small beginning keeps a cycle
// from inverting colours). Fixed layers take their values.
void initialise_translation(Network& network, const TranslateOptions& options,
                            std::uint32_t number);

} // namespace patchforge
