#include "kernels/map_sets.h"

#include <stdexcept>

namespace patchforge {

void MapSets::validate(std::int64_t batch) const {
    const std::string pictures = std::to_string(batch) + " pictures of " + extent.text();
    if (rows < 1 || batch % rows != 0) {
        throw std::invalid_argument("normalisation: " + pictures + " cannot be cut into parts of " +
                                    std::to_string(rows) + "; use a batch that can");
    }
    if (channels < 1 || extent.channels % channels != 0) {
        throw std::invalid_argument("normalisation: the channels of " + extent.text() +
                                    " cannot be cut into groups of " + std::to_string(channels) +
                                    "; use a divisor of " + std::to_string(extent.channels));
    }
    if (elements() < 2) {
        throw std::invalid_argument("normalisation: of " + pictures +
                                    " every mean has a single number, which has no variance; use "
                                    "more pictures a batch, or group normalisation");
    }
}

} // namespace patchforge
