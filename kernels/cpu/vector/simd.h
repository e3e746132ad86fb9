// The widest vectors of the instruction set that this file is compiled for, in GCC's vector
// extension. Every file of this folder is compiled three times (PATCHFORGE_ISA = baseline, avx2,
// avx512), so everything here lives in a namespace of that name and is static: an inline function
// shared between the three could be linked in its AVX-512 form into a program on an older machine.
// For the same reason these files include nothing that defines functions.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace patchforge::PATCHFORGE_ISA {

#if defined(__AVX512F__)
// Full masks below, because the unmasked intrinsics of GCC 12 warn of a variable of their own that
// they leave uninitialised.
constexpr int lanes = 16;
#elif defined(__AVX2__)
constexpr int lanes = 8;
#else
constexpr int lanes = 4;
#endif

typedef float Floats __attribute__((vector_size(4 * lanes)));
typedef double Doubles __attribute__((vector_size(4 * lanes)));
typedef std::int32_t Ints __attribute__((vector_size(4 * lanes)));
typedef std::uint32_t Words __attribute__((vector_size(4 * lanes)));
typedef std::uint64_t LongWords __attribute__((vector_size(4 * lanes)));
typedef float HalfFloats __attribute__((vector_size(2 * lanes)));
typedef float Quad __attribute__((vector_size(16)));

static inline Floats load(const float* from) {
    Floats v;
    __builtin_memcpy(&v, from, sizeof v);
    return v;
}

static inline void store(float* to, Floats v) {
    __builtin_memcpy(to, &v, sizeof v);
}

static inline Floats broadcast(float x) {
    return x - Floats{}; // subtracting zero changes no bit, so this is one broadcast
}

#if defined(__AVX2__) && !defined(__AVX512F__)
static inline __m256i first_lanes(std::int64_t n) {
    const Ints lane = {0, 1, 2, 3, 4, 5, 6, 7};
    return reinterpret_cast<__m256i>(lane < static_cast<std::int32_t>(n) - Ints{});
}
#endif

// The first n < lanes elements; the others are 0, or left alone in memory.
static inline Floats load_part(const float* from, std::int64_t n) {
#if defined(__AVX512F__)
    return reinterpret_cast<Floats>(
        _mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << n) - 1), from));
#elif defined(__AVX2__)
    return reinterpret_cast<Floats>(_mm256_maskload_ps(from, first_lanes(n)));
#else
    Floats v = {};
    for (std::int64_t i = 0; i < n; ++i) {
        v[i] = from[i];
    }
    return v;
#endif
}

static inline void store_part(float* to, Floats v, std::int64_t n) {
#if defined(__AVX512F__)
    _mm512_mask_storeu_ps(to, static_cast<__mmask16>((1u << n) - 1), reinterpret_cast<__m512>(v));
#elif defined(__AVX2__)
    _mm256_maskstore_ps(to, first_lanes(n), reinterpret_cast<__m256>(v));
#else
    for (std::int64_t i = 0; i < n; ++i) {
        to[i] = v[i];
    }
#endif
}

static inline std::int64_t smaller(std::int64_t a, std::int64_t b) {
    return a < b ? a : b;
}

// n elements, whole vector or part of one.
static inline Floats load_up_to(const float* from, std::int64_t n) {
    return n >= lanes ? load(from) : load_part(from, n);
}

// The first n numbers; zeros from there on, for any n.
static inline Floats load_or_zero(const float* from, std::int64_t n) {
    return n >= lanes ? load(from) : n > 0 ? load_part(from, n) : Floats{};
}

static inline void store_up_to(float* to, Floats v, std::int64_t n) {
    if (n >= lanes) {
        store(to, v);
    } else {
        store_part(to, v, n);
    }
}

static inline Floats square_root(Floats v) {
#if defined(__AVX512F__)
    return reinterpret_cast<Floats>(_mm512_maskz_sqrt_ps(0xffff, reinterpret_cast<__m512>(v)));
#elif defined(__AVX2__)
    return reinterpret_cast<Floats>(_mm256_sqrt_ps(reinterpret_cast<__m256>(v)));
#else
    return reinterpret_cast<Floats>(_mm_sqrt_ps(reinterpret_cast<__m128>(v)));
#endif
}

static inline Floats minimum(Floats a, Floats b) {
    return a < b ? a : b;
}

static inline Floats maximum(Floats a, Floats b) {
    return a > b ? a : b;
}

// Products of the low halves of 64-bit lanes. (The plain product of 64-bit lanes is three times
// as slow.)
static inline LongWords multiply_low_words(LongWords a, LongWords b) {
#if defined(__AVX512F__)
    return reinterpret_cast<LongWords>(
        _mm512_maskz_mul_epu32(0xff, reinterpret_cast<__m512i>(a), reinterpret_cast<__m512i>(b)));
#elif defined(__AVX2__)
    return reinterpret_cast<LongWords>(
        _mm256_mul_epu32(reinterpret_cast<__m256i>(a), reinterpret_cast<__m256i>(b)));
#else
    return reinterpret_cast<LongWords>(
        _mm_mul_epu32(reinterpret_cast<__m128i>(a), reinterpret_cast<__m128i>(b)));
#endif
}

// Sum of the vector's quarters (its halves, itself): four partial sums.
static inline Quad fold(Floats v) {
#if defined(__AVX512F__)
    const auto half = __builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7) +
                      __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15);
    return __builtin_shufflevector(half, half, 0, 1, 2, 3) +
           __builtin_shufflevector(half, half, 4, 5, 6, 7);
#elif defined(__AVX2__)
    return __builtin_shufflevector(v, v, 0, 1, 2, 3) + __builtin_shufflevector(v, v, 4, 5, 6, 7);
#else
    return v;
#endif
}

// The sums of four vectors, side by side.
static inline Quad sums(Floats a, Floats b, Floats c, Floats d) {
    const Quad qa = fold(a), qb = fold(b), qc = fold(c), qd = fold(d);
    const Quad ab =
        __builtin_shufflevector(qa, qb, 0, 4, 1, 5) + __builtin_shufflevector(qa, qb, 2, 6, 3, 7);
    const Quad cd =
        __builtin_shufflevector(qc, qd, 0, 4, 1, 5) + __builtin_shufflevector(qc, qd, 2, 6, 3, 7);
    return __builtin_shufflevector(ab, cd, 0, 1, 4, 5) +
           __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
}

// a0 b0 a1 b1 ... of the first halves, and of the second halves.
static inline Words lane_numbers() {
    Words n;
    for (int i = 0; i < lanes; ++i) {
        n[i] = static_cast<std::uint32_t>(i);
    }
    return n;
}

// v with zeros from lane n on.
static inline Floats zeros_from(Floats v, std::int64_t n) {
    const Ints lane = reinterpret_cast<Ints>(lane_numbers());
    const Ints limit = static_cast<std::int32_t>(n < lanes ? (n > 0 ? n : 0) : lanes) - Ints{};
    return lane < limit ? v : Floats{};
}

static inline Floats interleave_first(Floats a, Floats b) {
    const Words lane = lane_numbers();
    return __builtin_shuffle(a, b, reinterpret_cast<Ints>(lane / 2 + (lane & 1) * lanes));
}

static inline Floats interleave_second(Floats a, Floats b) {
    const Words lane = lane_numbers();
    return __builtin_shuffle(a, b,
                             reinterpret_cast<Ints>(lane / 2 + (lane & 1) * lanes + lanes / 2));
}

// Of each four lanes of four vectors: the first ones, the second ones, ...
static inline void transpose_fours(Floats& a, Floats& b, Floats& c, Floats& d) {
    Ints single, pair;
    for (int lane = 0; lane < lanes; ++lane) {
        const int first = lane / 4 * 4, at = lane % 4;
        single[lane] = first + at / 2 + at % 2 * lanes;
        pair[lane] = first + at % 2 + at / 2 * lanes;
    }
    const Floats ab = __builtin_shuffle(a, b, single),
                 ab_second = __builtin_shuffle(a, b, single + 2);
    const Floats cd = __builtin_shuffle(c, d, single),
                 cd_second = __builtin_shuffle(c, d, single + 2);
    a = __builtin_shuffle(ab, cd, pair);
    b = __builtin_shuffle(ab, cd, pair + 2);
    c = __builtin_shuffle(ab_second, cd_second, pair);
    d = __builtin_shuffle(ab_second, cd_second, pair + 2);
}

// Squares of four by four first, which stay where they are in the vectors; then these change places, in
// rounds that part fours with even numbers from those with odd ones.
static inline void transpose(Floats (&square)[lanes]) {
#pragma GCC unroll 4
    for (int i = 0; i < lanes; i += 4) {
        transpose_fours(square[i], square[i + 1], square[i + 2], square[i + 3]);
    }
    if constexpr (lanes > 4) {
        Ints even;
        for (int lane = 0; lane < lanes; ++lane) {
            even[lane] = lane / 4 % (lanes / 8) * 8 + lane % 4 + lane / (lanes / 2) * lanes;
        }
#pragma GCC unroll 2
        for (int round = 4; round < lanes; round *= 2) {
            Floats next[lanes];
#pragma GCC unroll 8
            for (int i = 0; i < lanes / 2; ++i) {
                const Floats first = square[i / 4 * 8 + i % 4],
                             second = square[i / 4 * 8 + 4 + i % 4];
                next[i] = __builtin_shuffle(first, second, even);
                next[i + lanes / 2] = __builtin_shuffle(first, second, even + 4);
            }
#pragma GCC unroll 16
            for (int i = 0; i < lanes; ++i) {
                square[i] = next[i];
            }
        }
    }
}

// Four numbers from each of some places, `stride` apart.
static inline Floats load_fours(const float* from, std::int64_t stride) {
#if defined(__AVX512F__)
    __m512 v = _mm512_maskz_broadcast_f32x4(0xffff, _mm_loadu_ps(from));
    v = _mm512_mask_broadcast_f32x4(v, 0x00f0, _mm_loadu_ps(from + stride));
    v = _mm512_mask_broadcast_f32x4(v, 0x0f00, _mm_loadu_ps(from + 2 * stride));
    v = _mm512_mask_broadcast_f32x4(v, 0xf000, _mm_loadu_ps(from + 3 * stride));
    return reinterpret_cast<Floats>(v);
#elif defined(__AVX2__)
    const __m256 first = _mm256_castps128_ps256(_mm_loadu_ps(from));
    return reinterpret_cast<Floats>(_mm256_insertf128_ps(first, _mm_loadu_ps(from + stride), 1));
#else
    return load(from + 0 * stride);
#endif
}

// The transpose of a square of whole vectors, `stride` apart: fours go to their places as they are loaded,
// which saves half of the shuffles.
static inline void load_transposed(Floats (&square)[lanes], const float* from,
                                   std::int64_t stride) {
#pragma GCC unroll 4
    for (int i = 0; i < lanes; i += 4) {
#pragma GCC unroll 4
        for (int j = 0; j < 4; ++j) {
            square[i + j] = load_fours(from + i + j * stride, 4 * stride);
        }
        transpose_fours(square[i], square[i + 1], square[i + 2], square[i + 3]);
    }
}

} // namespace patchforge::PATCHFORGE_ISA
