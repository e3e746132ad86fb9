// Named settings of `train gan`.
#pragma once

#include <string>
#include <vector>

#include "host/train/gan_options.h"

namespace patchforge {

//   default    GanOptions as declared: batch 64, beta1 0.5
//   seed-b1    batch 1, 1 epoch, Adam (0.9, 0.999): the smaller published run
//   seed-b10   batch 10, 5 epochs, Adam (0.9, 0.999): the larger one
std::vector<std::string> gan_preset_names();

// Throws std::invalid_argument for an unknown name.
GanOptions gan_preset(const std::string& name);

} // namespace patchforge
