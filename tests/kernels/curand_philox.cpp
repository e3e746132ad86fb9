#include "tests/kernels/curand_philox.h"

// CURAND_PHILOX names the toolkit's header; the executor has a stand-in of the same name. Its block
// function is plain C++ but for the types and the qualifiers given here.
#if defined(CURAND_PHILOX)
#if __has_include(CURAND_PHILOX) && __has_include(<nv/target>)
#define HAS_CURAND 1
#include <nv/target>
namespace {
struct uint2 {
    unsigned int x, y;
};
struct uint4 {
    unsigned int x, y, z, w;
};
#define QUALIFIERS [[maybe_unused]] static
#include CURAND_PHILOX
} // namespace
#endif
#endif

namespace patchforge::testing {

std::optional<std::array<std::uint32_t, 4>>
curand_philox([[maybe_unused]] std::array<std::uint32_t, 4> counter,
              [[maybe_unused]] std::array<std::uint32_t, 2> key) {
#if defined(HAS_CURAND)
    const uint4 words =
        curand_Philox4x32_10({counter[0], counter[1], counter[2], counter[3]}, {key[0], key[1]});
    return std::array<std::uint32_t, 4>{words.x, words.y, words.z, words.w};
#else
    return std::nullopt;
#endif
}

} // namespace patchforge::testing
