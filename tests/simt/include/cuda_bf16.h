// Stand-in for the toolkit's header of the same name: bfloat16, the upper half of a float32.
#pragma once

#include <cuda_runtime.h>

#include <bit>
#include <cstdint>

struct __nv_bfloat16_raw {
    unsigned short x;
};

struct alignas(2) __nv_bfloat16 {
    std::uint16_t bits;

    __nv_bfloat16() = default;
    __nv_bfloat16(__nv_bfloat16_raw raw) : bits(raw.x) {}
    // Round to nearest, ties to even; NaN becomes the canonical 0x7fff, as on the GPU.
    __nv_bfloat16(float value) {
        const auto word = std::bit_cast<std::uint32_t>(value);
        bits = value != value
                   ? 0x7fff
                   : static_cast<std::uint16_t>((word + 0x7fffu + ((word >> 16) & 1u)) >> 16);
    }
    operator float() const { return std::bit_cast<float>(std::uint32_t{bits} << 16); }
};

struct alignas(4) __nv_bfloat162 {
    __nv_bfloat16 x, y;
};

using nv_bfloat16 = __nv_bfloat16;
using nv_bfloat162 = __nv_bfloat162;

inline __nv_bfloat16 __float2bfloat16(float value) {
    return {value};
}
inline __nv_bfloat16 __float2bfloat16_rn(float value) {
    return {value};
}
inline __nv_bfloat16 __float2bfloat16_rz(float value) {
    const auto word = std::bit_cast<std::uint32_t>(value);
    return __nv_bfloat16_raw{static_cast<unsigned short>(value != value ? 0x7fff : word >> 16)};
}
inline float __bfloat162float(__nv_bfloat16 value) {
    return value;
}
inline __nv_bfloat162 __floats2bfloat162_rn(float low, float high) {
    return {{low}, {high}};
}
inline __nv_bfloat162 __float22bfloat162_rn(float2 pair) {
    return {{pair.x}, {pair.y}};
}
inline float2 __bfloat1622float2(__nv_bfloat162 pair) {
    return {float{pair.x}, float{pair.y}};
}
inline float __low2float(__nv_bfloat162 pair) {
    return pair.x;
}
inline float __high2float(__nv_bfloat162 pair) {
    return pair.y;
}
inline unsigned short __bfloat16_as_ushort(__nv_bfloat16 value) {
    return value.bits;
}
inline __nv_bfloat16 __ushort_as_bfloat16(unsigned short bits) {
    return __nv_bfloat16_raw{bits};
}
