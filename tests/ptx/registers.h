// Which registers may share a place. PTX names thousands; few hold something at the same time, and
// a warp's registers should fit into a first-level cache.
#pragma once

#include "tests/ptx/control.h"

#include <cstddef>
#include <span>
#include <vector>

namespace ptx {

struct Access {
    std::vector<int> reads, writes; // registers
};

struct Places {
    std::vector<Place> of; // each register
    std::size_t bytes = 0;
};

constexpr std::size_t bytes_of(Width width) {
    return width == Width::bits64   ? lanes * 8
           : width == Width::bits32 ? lanes * 4
           : width == Width::bits16 ? lanes * 2
                                    : sizeof(Mask);
}

// A register that may be read before it was written keeps its place to itself, and so the poison
// that it starts with.
Places assign_places(std::span<const BasicBlock> blocks, std::span<const Access> items,
                     std::span<const Width> widths);

} // namespace ptx
