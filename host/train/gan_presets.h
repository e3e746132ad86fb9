// Named settings of `train gan`; docs/gan.md says why they are what they are.
#pragma once

#include <string>
#include <vector>

#include "host/train/gan_options.h"

namespace patchforge {

//   default    GanOptions as declared: batch 64, beta1 0.5
//   mnist      28 x 28 digits: wgan-gp through 100 principal components, hidden layers of 512,
//   6,000
//              iterations
//   cifar10    32 x 32 pictures: through 192, hidden layers of 256, 4,000 iterations
//   idc        50 x 50 patches of tissue: the same, 2,500 iterations
//   seed-b1    batch 1, 1 epoch, Adam (0.9, 0.999): the smaller published run
//   seed-b10   batch 10, 5 epochs, Adam (0.9, 0.999): the larger one
std::vector<std::string> gan_preset_names();

// Throws std::invalid_argument for an unknown name.
GanOptions gan_preset(const std::string& name);

} // namespace patchforge
