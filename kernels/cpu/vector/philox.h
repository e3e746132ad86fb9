// Philox4x32-10 on vectors (kernels/random.h says which word belongs to which element). A lane of
// 64 bits holds one 32-bit word of one counter in its low half; what gathers in the high half is
// never read, because the product takes low halves only.
#pragma once

#include "kernels/cpu/dispatch.h"
#include "kernels/cpu/vector/simd.h"

namespace patchforge::PATCHFORGE_ISA {

// Elements that one call draws: four a counter, lanes / 2 counters.
constexpr int drawn_words = 2 * lanes;

// The words of elements 4 * block ... 4 * block + drawn_words - 1, in two vectors.
static inline void draw_words(const PhiloxStream& random, std::uint64_t block, Words& first,
                              Words& second) {
    LongWords c0;
    for (int i = 0; i < lanes / 2; ++i) {
        c0[i] = block + static_cast<std::uint64_t>(i);
    }
    LongWords c1 = random.purpose - LongWords{};
    LongWords c2 = random.draw_low - LongWords{};
    LongWords c3 = random.draw_high - LongWords{};
    std::uint32_t key0 = random.key_low;
    std::uint32_t key1 = random.key_high;
    const LongWords multiplier0 = std::uint64_t{0xD2511F53} - LongWords{};
    const LongWords multiplier1 = std::uint64_t{0xCD9E8D57} - LongWords{};
    for (int round = 0; round < 10; ++round) {
        const LongWords product0 = multiply_low_words(c0, multiplier0);
        const LongWords product1 = multiply_low_words(c2, multiplier1);
        c0 = (product1 >> 32) ^ c1 ^ std::uint64_t{key0};
        c1 = product1;
        c2 = (product0 >> 32) ^ c3 ^ std::uint64_t{key1};
        c3 = product0;
        key0 += 0x9E3779B9;
        key1 += 0xBB67AE85;
    }
    const LongWords low_half = std::uint64_t{0xffffffff} - LongWords{};
    const LongWords words01 = (c0 & low_half) | c1 << 32;
    const LongWords words23 = (c2 & low_half) | c3 << 32;
    LongWords pair;
    for (int i = 0; i < lanes / 2; ++i) {
        pair[i] = static_cast<std::uint64_t>(i / 2 + (i % 2) * (lanes / 2));
    }
    first = reinterpret_cast<Words>(__builtin_shuffle(words01, words23, pair));
    second = reinterpret_cast<Words>(
        __builtin_shuffle(words01, words23, pair + static_cast<std::uint64_t>(lanes / 4)));
}

} // namespace patchforge::PATCHFORGE_ISA
