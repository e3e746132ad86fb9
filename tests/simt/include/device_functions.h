// What CUDA gives device code without an #include: built-in variables, barriers, warp functions,
// atomics, cache-hinted loads and stores, and arithmetic intrinsics.
//
// Everything that can wait is a macro, so that a report can name the file and line of the call.
#pragma once

#include <cuda_runtime.h>

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

// Rewritten by the executor whenever another thread takes its turn.
extern uint3 threadIdx;
extern uint3 blockIdx;
extern dim3 blockDim;
extern dim3 gridDim;
inline constexpr int warpSize = 32;

namespace simt {

struct Site {
    const char* file;
    int line;
};
#define SIMT_SITE (::simt::Site{__FILE__, __LINE__})

struct BarrierVotes {
    int count, all, any;
};
BarrierVotes sync_threads(bool predicate, const char* what, Site site);
// bar.sync id, threads: releases when `threads` threads of the block have arrived.
void named_barrier(int id, unsigned threads, Site site);
// Waits for all threads of a cooperative grid.
void grid_barrier(Site site);
// Lets others go first; the body of spin_until.
void yield(const char* file, int line);

// All lanes of `mask` meet. Each brings a pointer to its own data; when the last has come,
// `compute` sees all 32 pointers (null for lanes outside the mask) and may read and write what they
// point to; then everybody goes on. Every warp-wide instruction is built from this.
using WarpCompute = void (*)(void* const* lanes, std::uint32_t mask);
void warp_rendezvous(std::uint32_t mask, void* mine, WarpCompute compute, const char* what,
                     Site site);
void sync_warp(std::uint32_t mask, Site site);
std::uint32_t active_mask();

enum class Shuffle { index, up, down, exclusive_or };
std::uint64_t shuffle(std::uint32_t mask, std::uint64_t value, Shuffle kind, unsigned operand,
                      int width, const char* what, Site site);
enum class Vote { ballot, any, all };
std::uint32_t vote(std::uint32_t mask, bool predicate, Vote kind, const char* what, Site site);
enum class Reduction { add, minimum, maximum, bit_and, bit_or, bit_xor };
std::uint32_t reduce(std::uint32_t mask, std::uint32_t value, Reduction kind, bool is_signed,
                     const char* what, Site site);

template <class T>
T shuffle_value(std::uint32_t mask, T value, Shuffle kind, unsigned operand, int width,
                const char* what, Site site) {
    static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= 8);
    std::uint64_t bits = 0;
    std::memcpy(&bits, &value, sizeof(T));
    bits = shuffle(mask, bits, kind, operand, width, what, site);
    std::memcpy(&value, &bits, sizeof(T));
    return value;
}

// Throws a Failure unless pointer is a multiple of alignment.
void check_aligned(const void* pointer, std::size_t alignment, Site site);

inline constexpr std::uint32_t full_mask = 0xffffffffu;

} // namespace simt

#define __syncthreads() static_cast<void>(::simt::sync_threads(false, "__syncthreads", SIMT_SITE))
#define __syncthreads_count(predicate)                                                             \
    (::simt::sync_threads((predicate) != 0, "__syncthreads_count", SIMT_SITE).count)
#define __syncthreads_and(predicate)                                                               \
    (::simt::sync_threads((predicate) != 0, "__syncthreads_and", SIMT_SITE).all)
#define __syncthreads_or(predicate)                                                                \
    (::simt::sync_threads((predicate) != 0, "__syncthreads_or", SIMT_SITE).any)

#define SIMT_FIRST_OR_FULL(...) SIMT_FIRST(__VA_OPT__(__VA_ARGS__, )::simt::full_mask, )
#define SIMT_FIRST(first, ...) (first)
#define __syncwarp(...) ::simt::sync_warp(SIMT_FIRST_OR_FULL(__VA_ARGS__), SIMT_SITE)
#define __activemask() ::simt::active_mask()

// The optional last argument of the shuffles is the width.
#define SIMT_WIDTH(...) SIMT_FIRST(__VA_OPT__(__VA_ARGS__, ) 32, )
#define __shfl_sync(mask, value, lane, ...)                                                        \
    ::simt::shuffle_value(mask, value, ::simt::Shuffle::index, static_cast<unsigned>(lane),        \
                          SIMT_WIDTH(__VA_ARGS__), "__shfl_sync", SIMT_SITE)
#define __shfl_up_sync(mask, value, delta, ...)                                                    \
    ::simt::shuffle_value(mask, value, ::simt::Shuffle::up, static_cast<unsigned>(delta),          \
                          SIMT_WIDTH(__VA_ARGS__), "__shfl_up_sync", SIMT_SITE)
#define __shfl_down_sync(mask, value, delta, ...)                                                  \
    ::simt::shuffle_value(mask, value, ::simt::Shuffle::down, static_cast<unsigned>(delta),        \
                          SIMT_WIDTH(__VA_ARGS__), "__shfl_down_sync", SIMT_SITE)
#define __shfl_xor_sync(mask, value, lanes, ...)                                                   \
    ::simt::shuffle_value(mask, value, ::simt::Shuffle::exclusive_or,                              \
                          static_cast<unsigned>(lanes), SIMT_WIDTH(__VA_ARGS__),                   \
                          "__shfl_xor_sync", SIMT_SITE)

#define __ballot_sync(mask, predicate)                                                             \
    ::simt::vote(mask, (predicate) != 0, ::simt::Vote::ballot, "__ballot_sync", SIMT_SITE)
#define __any_sync(mask, predicate)                                                                \
    static_cast<int>(                                                                              \
        ::simt::vote(mask, (predicate) != 0, ::simt::Vote::any, "__any_sync", SIMT_SITE))
#define __all_sync(mask, predicate)                                                                \
    static_cast<int>(                                                                              \
        ::simt::vote(mask, (predicate) != 0, ::simt::Vote::all, "__all_sync", SIMT_SITE))

#define SIMT_REDUCE(mask, value, kind, what)                                                       \
    static_cast<std::decay_t<decltype(value)>>(                                                    \
        ::simt::reduce(mask, static_cast<std::uint32_t>(value), ::simt::Reduction::kind,           \
                       std::is_signed_v<std::decay_t<decltype(value)>>, what, SIMT_SITE))
#define __reduce_add_sync(mask, value) SIMT_REDUCE(mask, value, add, "__reduce_add_sync")
#define __reduce_min_sync(mask, value) SIMT_REDUCE(mask, value, minimum, "__reduce_min_sync")
#define __reduce_max_sync(mask, value) SIMT_REDUCE(mask, value, maximum, "__reduce_max_sync")
#define __reduce_and_sync(mask, value) SIMT_REDUCE(mask, value, bit_and, "__reduce_and_sync")
#define __reduce_or_sync(mask, value) SIMT_REDUCE(mask, value, bit_or, "__reduce_or_sync")
#define __reduce_xor_sync(mask, value) SIMT_REDUCE(mask, value, bit_xor, "__reduce_xor_sync")

// Threads take turns on one OS thread, so every write is visible at once: fences do nothing here.
inline void __threadfence() {}
inline void __threadfence_block() {}
inline void __threadfence_system() {}
inline void __nanosleep(unsigned) {}

// Atomics. Each returns the old value.
int atomicAdd(int* address, int value);
unsigned atomicAdd(unsigned* address, unsigned value);
unsigned long long atomicAdd(unsigned long long* address, unsigned long long value);
float atomicAdd(float* address, float value);
double atomicAdd(double* address, double value);
int atomicSub(int* address, int value);
unsigned atomicSub(unsigned* address, unsigned value);
int atomicMin(int* address, int value);
unsigned atomicMin(unsigned* address, unsigned value);
int atomicMax(int* address, int value);
unsigned atomicMax(unsigned* address, unsigned value);
unsigned atomicInc(unsigned* address, unsigned limit);
unsigned atomicDec(unsigned* address, unsigned limit);
int atomicAnd(int* address, int value);
unsigned atomicAnd(unsigned* address, unsigned value);
int atomicOr(int* address, int value);
unsigned atomicOr(unsigned* address, unsigned value);
int atomicXor(int* address, int value);
unsigned atomicXor(unsigned* address, unsigned value);
int atomicExch(int* address, int value);
unsigned atomicExch(unsigned* address, unsigned value);
unsigned long long atomicExch(unsigned long long* address, unsigned long long value);
float atomicExch(float* address, float value);
int atomicCAS(int* address, int expected, int desired);
unsigned atomicCAS(unsigned* address, unsigned expected, unsigned desired);
unsigned long long atomicCAS(unsigned long long* address, unsigned long long expected,
                             unsigned long long desired);

// Loads and stores with a cache hint: plain accesses here, except that the checked build is told of
// those that go past the first-level cache, by which blocks may talk to each other.
namespace simt {
void note_fresh_read(const void* pointer, std::size_t bytes);
void note_published_write(const void* pointer, std::size_t bytes);
} // namespace simt

#define SIMT_LOAD(name)                                                                            \
    template <class T>                                                                             \
    __forceinline__ T name(const T* address) {                                                     \
        return *address;                                                                           \
    }
#define SIMT_STORE(name)                                                                           \
    template <class T>                                                                             \
    __forceinline__ void name(T* address, std::type_identity_t<T> value) {                         \
        *address = value;                                                                          \
    }
#if defined(__SANITIZE_THREAD__)
#define SIMT_FRESH_LOAD(name)                                                                      \
    template <class T>                                                                             \
    __attribute__((no_sanitize("thread"))) T name(const T* address) {                              \
        ::simt::note_fresh_read(address, sizeof(T));                                               \
        return *address;                                                                           \
    }
#define SIMT_PUBLISHING_STORE(name)                                                                \
    template <class T>                                                                             \
    __attribute__((no_sanitize("thread"))) void name(T* address, std::type_identity_t<T> value) {  \
        ::simt::note_published_write(address, sizeof(T));                                          \
        *address = value;                                                                          \
    }
#else
#define SIMT_FRESH_LOAD SIMT_LOAD
#define SIMT_PUBLISHING_STORE SIMT_STORE
#endif
SIMT_LOAD(__ldg)
SIMT_LOAD(__ldca)
SIMT_LOAD(__ldcs)
SIMT_LOAD(__ldlu)
SIMT_FRESH_LOAD(__ldcg)
SIMT_FRESH_LOAD(__ldcv)
SIMT_STORE(__stwb)
SIMT_STORE(__stcs)
SIMT_PUBLISHING_STORE(__stcg)
SIMT_PUBLISHING_STORE(__stwt)
#undef SIMT_LOAD
#undef SIMT_STORE
#undef SIMT_FRESH_LOAD
#undef SIMT_PUBLISHING_STORE

// Arithmetic. The GPU's approximate functions differ from these by a few units in the last place.
inline float __expf(float x) {
    return std::exp(x);
}
inline float __exp2f(float x) {
    return std::exp2(x);
}
inline float __logf(float x) {
    return std::log(x);
}
inline float __log2f(float x) {
    return std::log2(x);
}
inline float __log10f(float x) {
    return std::log10(x);
}
inline float __sinf(float x) {
    return std::sin(x);
}
inline float __cosf(float x) {
    return std::cos(x);
}
inline float __tanf(float x) {
    return std::tan(x);
}
inline float __powf(float x, float y) {
    return std::pow(x, y);
}
inline void __sincosf(float x, float* sine, float* cosine) {
    *sine = std::sin(x);
    *cosine = std::cos(x);
}
inline float __fdividef(float x, float y) {
    return x / y;
}
inline float __fadd_rn(float x, float y) {
    return x + y;
}
inline float __fsub_rn(float x, float y) {
    return x - y;
}
inline float __fmul_rn(float x, float y) {
    return x * y;
}
inline float __fdiv_rn(float x, float y) {
    return x / y;
}
inline float __fsqrt_rn(float x) {
    return std::sqrt(x);
}
inline float __frcp_rn(float x) {
    return 1.0f / x;
}
inline float __fmaf_rn(float x, float y, float z) {
    return std::fma(x, y, z);
}
inline float __frsqrt_rn(float x) {
    return static_cast<float>(1.0 / std::sqrt(double{x}));
}
inline double __fma_rn(double x, double y, double z) {
    return std::fma(x, y, z);
}
inline float rsqrtf(float x) {
    return static_cast<float>(1.0 / std::sqrt(double{x}));
}
inline double rsqrt(double x) {
    return 1.0 / std::sqrt(x);
}
// NaN becomes 0, as on the GPU.
inline float __saturatef(float x) {
    return x > 0.0f ? (x < 1.0f ? x : 1.0f) : 0.0f;
}
inline float sinpif(float x) {
    return static_cast<float>(std::sin(M_PI * double{x}));
}
inline float cospif(float x) {
    return static_cast<float>(std::cos(M_PI * double{x}));
}
inline void sincospif(float x, float* sine, float* cosine) {
    *sine = sinpif(x);
    *cosine = cospif(x);
}

inline float __uint_as_float(unsigned x) {
    return std::bit_cast<float>(x);
}
inline float __int_as_float(int x) {
    return std::bit_cast<float>(x);
}
inline unsigned __float_as_uint(float x) {
    return std::bit_cast<unsigned>(x);
}
inline int __float_as_int(float x) {
    return std::bit_cast<int>(x);
}
inline float __uint2float_rn(unsigned x) {
    return static_cast<float>(x);
}
inline float __int2float_rn(int x) {
    return static_cast<float>(x);
}
inline int __float2int_rn(float x) {
    return static_cast<int>(std::nearbyint(x));
}
inline int __float2int_rz(float x) {
    return static_cast<int>(x);
}
inline int __float2int_rd(float x) {
    return static_cast<int>(std::floor(x));
}
inline unsigned __float2uint_rn(float x) {
    return static_cast<unsigned>(std::nearbyint(x));
}
inline unsigned __float2uint_rz(float x) {
    return static_cast<unsigned>(x);
}

inline int __popc(unsigned x) {
    return std::popcount(x);
}
inline int __popcll(unsigned long long x) {
    return std::popcount(x);
}
inline int __clz(int x) {
    return std::countl_zero(static_cast<unsigned>(x));
}
inline int __clzll(long long x) {
    return std::countl_zero(static_cast<unsigned long long>(x));
}
inline int __ffs(int x) {
    return __builtin_ffs(x);
}
inline int __ffsll(long long x) {
    return __builtin_ffsll(x);
}
inline unsigned __brev(unsigned x) {
    unsigned reversed = 0;
    for (int bit = 0; bit < 32; ++bit) {
        reversed |= ((x >> bit) & 1u) << (31 - bit);
    }
    return reversed;
}
inline unsigned __umulhi(unsigned x, unsigned y) {
    return static_cast<unsigned>((std::uint64_t{x} * y) >> 32);
}
inline int __mulhi(int x, int y) {
    return static_cast<int>((std::int64_t{x} * y) >> 32);
}
inline unsigned long long __umul64hi(unsigned long long x, unsigned long long y) {
    return static_cast<unsigned long long>((static_cast<unsigned __int128>(x) * y) >> 64);
}
inline unsigned __funnelshift_l(unsigned low, unsigned high, unsigned shift) {
    return static_cast<unsigned>((((std::uint64_t{high} << 32) | low) << (shift & 31)) >> 32);
}
inline unsigned __funnelshift_r(unsigned low, unsigned high, unsigned shift) {
    return static_cast<unsigned>(((std::uint64_t{high} << 32) | low) >> (shift & 31));
}
// Byte i of the result is byte (selector >> 4 i) & 7 of the eight bytes of (low, high).
inline unsigned __byte_perm(unsigned low, unsigned high, unsigned selector) {
    const std::uint64_t bytes = (std::uint64_t{high} << 32) | low;
    unsigned result = 0;
    for (int i = 0; i < 4; ++i) {
        const unsigned from = (selector >> (4 * i)) & 7u;
        result |= static_cast<unsigned>((bytes >> (8 * from)) & 0xff) << (8 * i);
    }
    return result;
}

#define SIMT_MIN_MAX(type)                                                                         \
    inline type min(type x, type y) {                                                              \
        return y < x ? y : x;                                                                      \
    }                                                                                              \
    inline type max(type x, type y) {                                                              \
        return x < y ? y : x;                                                                      \
    }
SIMT_MIN_MAX(int)
SIMT_MIN_MAX(unsigned)
SIMT_MIN_MAX(long)
SIMT_MIN_MAX(unsigned long)
SIMT_MIN_MAX(long long)
SIMT_MIN_MAX(unsigned long long)
#undef SIMT_MIN_MAX
inline float min(float x, float y) {
    return std::fmin(x, y);
}
inline float max(float x, float y) {
    return std::fmax(x, y);
}
inline double min(double x, double y) {
    return std::fmin(x, y);
}
inline double max(double x, double y) {
    return std::fmax(x, y);
}
inline unsigned umin(unsigned x, unsigned y) {
    return y < x ? y : x;
}
inline unsigned umax(unsigned x, unsigned y) {
    return x < y ? y : x;
}
