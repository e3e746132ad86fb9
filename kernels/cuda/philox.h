// A RandomStream on the device: kernels/random.h's counters through cuRAND's Philox4x32-10.
// Ten rounds of two 32 x 32 -> 64 bit products: about 60 integer instructions for four words.
#pragma once

#include <curand_philox4x32_x.h>

#include "kernels/cuda/device.h"
#include "kernels/random.h"

namespace patchforge::cuda {

// The stream at one draw. Built once a thread: it reads the step count from memory.
class PhiloxDraw {
  public:
    __device__ explicit PhiloxDraw(const RandomStream& stream)
        : PhiloxDraw(stream, stream.draw.value()) {}
    // ... at another draw than its own.
    __device__ PhiloxDraw(const RandomStream& stream, std::uint64_t draw)
        : key_{static_cast<unsigned>(stream.seed), static_cast<unsigned>(stream.seed >> 32)},
          purpose_(stream.purpose), draw_low_(static_cast<unsigned>(draw)),
          draw_high_(static_cast<unsigned>(draw >> 32)) {}

    // Words of elements 4 * group ... 4 * group + 3.
    __device__ void words(std::uint32_t (&word)[4], std::uint32_t group) const {
        const uint4 drawn =
            curand_Philox4x32_10(uint4{group, purpose_, draw_low_, draw_high_}, key_);
        word[0] = drawn.x;
        word[1] = drawn.y;
        word[2] = drawn.z;
        word[3] = drawn.w;
    }

    __device__ std::uint32_t word(std::int64_t element) const {
        std::uint32_t four[4];
        words(four, static_cast<std::uint32_t>(element / 4));
        const std::uint32_t low = element & 1 ? four[1] : four[0];
        const std::uint32_t high = element & 1 ? four[3] : four[2];
        return element & 2 ? high : low;
    }

  private:
    uint2 key_;
    unsigned purpose_;
    unsigned draw_low_;
    unsigned draw_high_;
};

// Box-Muller (kernels/operations/noise.h).
__device__ inline void standard_normals(float (&value)[4], const std::uint32_t (&word)[4]) {
    PATCHFORGE_UNROLL
    for (int pair = 0; pair < 4; pair += 2) {
        // u1 may round to exactly 1: the radius is then 0, which is in the distribution.
        const float radius = sqrtf(-2.0f * logf(uniform_from_word(word[pair])));
        const float half_turns = 2.0f * uniform_from_word(word[pair + 1]);
        float sine;
        float cosine;
        sincospif(half_turns, &sine, &cosine);
        value[pair] = radius * sine;
        value[pair + 1] = radius * cosine;
    }
}

} // namespace patchforge::cuda
