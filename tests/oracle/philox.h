// Philox4x32-10, written from the paper (Salmon et al., SC 2011, section 3.3), and the numbers that
// kernels/random.h builds on it. Shares no code with either backend.
#pragma once

#include <array>
#include <cstdint>

#include "kernels/random.h"

namespace patchforge::oracle {

inline std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> counter,
                                           std::array<std::uint32_t, 2> key) {
    for (int round = 0; round < 10; ++round) {
        const std::uint64_t left = std::uint64_t{0xD2511F53} * counter[0];
        const std::uint64_t right = std::uint64_t{0xCD9E8D57} * counter[2];
        counter = {static_cast<std::uint32_t>(right >> 32) ^ counter[1] ^ key[0],
                   static_cast<std::uint32_t>(right),
                   static_cast<std::uint32_t>(left >> 32) ^ counter[3] ^ key[1],
                   static_cast<std::uint32_t>(left)};
        key[0] += 0x9E3779B9;
        key[1] += 0xBB67AE85;
    }
    return counter;
}

// A RandomStream whose draw is a plain number: on a GPU the step lies where the oracle cannot read.
struct Stream {
    std::uint64_t seed = 0;
    std::uint32_t purpose = 0;
    std::uint64_t draw = 0;

    std::uint32_t word(std::uint64_t element) const {
        const auto low = [](std::uint64_t x) { return static_cast<std::uint32_t>(x); };
        const auto high = [](std::uint64_t x) { return static_cast<std::uint32_t>(x >> 32); };
        return philox({low(element / 4), purpose, low(draw), high(draw)},
                      {low(seed), high(seed)})[element % 4];
    }
};

} // namespace patchforge::oracle
