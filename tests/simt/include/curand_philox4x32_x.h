// Stand-in for cuRAND's header of the same name: Philox4x32-10, Salmon et al., "Parallel random
// numbers: as easy as 1, 2, 3", SC 2011. tests/simt compares it with Random123.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

inline uint4 curand_Philox4x32_10(uint4 counter, uint2 key) {
    for (int round = 0; round < 10; ++round) {
        const std::uint64_t product0 = std::uint64_t{0xD2511F53u} * counter.x;
        const std::uint64_t product1 = std::uint64_t{0xCD9E8D57u} * counter.z;
        counter = {static_cast<unsigned>(product1 >> 32) ^ counter.y ^ key.x,
                   static_cast<unsigned>(product1),
                   static_cast<unsigned>(product0 >> 32) ^ counter.w ^ key.y,
                   static_cast<unsigned>(product0)};
        key.x += 0x9E3779B9u;
        key.y += 0xBB67AE85u;
    }
    return counter;
}
