// Named settings of a GAN that other options are laid over: what was measured to work on a data set,
// and the published runs.
#pragma once

#include <string>
#include <vector>

#include "host/gan/gan_options.h"

namespace patchforge {

const std::vector<Preset>& gan_presets();
// The defaults with a preset's settings. std::invalid_argument for an unknown name.
GanOptions gan_preset(const std::string& name);

} // namespace patchforge
