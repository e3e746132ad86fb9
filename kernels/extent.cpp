#include "kernels/extent.h"

namespace patchforge {

std::string Extent::text() const {
    return std::to_string(channels) + "x" + std::to_string(height) + "x" + std::to_string(width);
}

} // namespace patchforge
