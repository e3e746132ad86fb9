// The order of an epoch as a function: a keyed bijection of [0, count), so that no permutation is
// stored, the device finds its rows by itself, and a resumed run continues at any position.
//
// A balanced Feistel network of eight rounds over the smallest even-bit power of two >= count, with
// a 32-bit mixing function (the finaliser of MurmurHash3) as round function, walked until it lands
// inside [0, count) (Black & Rogaway, "Ciphers with arbitrary finite domains", 2002). The domain is
// less than four times count, so a walk takes fewer than four steps on average.
#pragma once

#include "kernels/random.h"

namespace patchforge {

PATCHFORGE_HOST_DEVICE inline std::uint32_t mix_bits(std::uint32_t x) {
    x ^= x >> 16;
    x *= 0x85ebca6bu;
    x ^= x >> 13;
    x *= 0xc2b2ae35u;
    return x ^ (x >> 16);
}

// Row number of `position` in the order of `epoch`. count in [1, 2^31], position in [0, count).
PATCHFORGE_HOST_DEVICE inline std::uint32_t
shuffled_row(std::uint64_t seed, std::uint64_t epoch, std::uint32_t position, std::uint32_t count) {
    std::uint32_t half_bits = 1;
    while ((1ull << (2 * half_bits)) < count) {
        ++half_bits;
    }
    const std::uint32_t half_mask = (1u << half_bits) - 1;
    const std::uint32_t key =
        mix_bits(static_cast<std::uint32_t>(seed) ^
                 mix_bits(static_cast<std::uint32_t>(seed >> 32) + 0x9e3779b9u));
    const std::uint32_t epoch_key = mix_bits(key + static_cast<std::uint32_t>(epoch) * 0x9e3779b9u +
                                             static_cast<std::uint32_t>(epoch >> 32));
    std::uint32_t value = position;
    do {
        std::uint32_t left = value >> half_bits;
        std::uint32_t right = value & half_mask;
        for (std::uint32_t round = 0; round < 8; ++round) {
            const std::uint32_t next =
                left ^ (mix_bits(right + epoch_key + round * 0x7f4a7c15u) & half_mask);
            left = right;
            right = next;
        }
        value = left << half_bits | right;
    } while (value >= count);
    return value;
}

} // namespace patchforge
