// Where the lanes of a warp access memory: addresses are made, and judged before anything is touched.
#pragma once

#include "tests/ptx/machine.h"

namespace ptx {

using Addresses = std::array<std::uint64_t, lanes>;

// What an address operand names, for all lanes; those that do not run get any.
inline void address_lanes(const Warp& warp, Place base, std::int64_t offset, bool wide,
                          Addresses& address) {
    const auto add = static_cast<std::uint64_t>(offset);
    if (wide) {
        const std::uint64_t* a = warp.at<std::uint64_t>(base);
        for (unsigned l = 0; l < lanes; ++l) {
            address[l] = a[l] + add;
        }
    } else {
        const std::uint32_t* a = warp.at<std::uint32_t>(base);
        for (unsigned l = 0; l < lanes; ++l) {
            address[l] = a[l] + add;
        }
    }
}

// Each fails unless the accesses of all lanes that run are multiples of `bytes`, or of `alignment`
// where that is given, and lie within one buffer of the device, or within the block's shared memory.
void check_device(Warp& warp, const Instruction& instruction, const Addresses& address,
                  std::uint64_t bytes, std::uint64_t alignment = 0);
void check_shared(Warp& warp, const Instruction& instruction, const Addresses& address,
                  std::uint64_t bytes);

inline std::byte* in_shared(const Warp& warp, std::uint64_t address) {
    return warp.block->shared + (address - shared_window);
}
inline std::byte* in_device(std::uint64_t address) {
    return reinterpret_cast<std::byte*>(address);
}

} // namespace ptx
