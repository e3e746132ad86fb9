// Single words of a stream, where a whole run of them (vector/noise.cpp) would be too many.
#pragma once

#include <cstdint>

#include "kernels/cpu/dispatch.h"

namespace patchforge {

inline std::uint32_t word(const PhiloxStream& random, std::uint64_t element) {
    std::uint32_t c[4] = {static_cast<std::uint32_t>(element / 4), random.purpose, random.draw_low,
                          random.draw_high};
    std::uint32_t key[2] = {random.key_low, random.key_high};
    for (int round = 0; round < 10; ++round) {
        const std::uint64_t product0 = std::uint64_t{0xD2511F53} * c[0];
        const std::uint64_t product1 = std::uint64_t{0xCD9E8D57} * c[2];
        c[0] = static_cast<std::uint32_t>(product1 >> 32) ^ c[1] ^ key[0];
        c[1] = static_cast<std::uint32_t>(product1);
        c[2] = static_cast<std::uint32_t>(product0 >> 32) ^ c[3] ^ key[1];
        c[3] = static_cast<std::uint32_t>(product0);
        key[0] += 0x9E3779B9;
        key[1] += 0xBB67AE85;
    }
    return c[element % 4];
}

} // namespace patchforge
