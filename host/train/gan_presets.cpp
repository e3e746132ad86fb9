#include "host/train/gan_presets.h"

#include <fmt/format.h>

#include <stdexcept>

namespace patchforge {

std::vector<std::string> gan_preset_names() { return {"default", "seed-b1", "seed-b10"}; }

GanOptions gan_preset(const std::string& name) {
    GanOptions options;
    if (name == "default") {
        return options;
    }
    if (name == "seed-b1" || name == "seed-b10") {
        options.batch_size = name == "seed-b1" ? 1 : 10;
        options.epochs = name == "seed-b1" ? 1 : 5;
        options.beta1 = 0.9;
        return options;
    }
    throw std::invalid_argument(fmt::format("--preset {}: no such preset; use one of {}", name,
                                            fmt::join(gan_preset_names(), ", ")));
}

} // namespace patchforge
