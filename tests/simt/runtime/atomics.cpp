// Atomic operations. Threads take turns, so a plain read and write is one; the checked build learns
// that the access was atomic, and two atomic accesses are no race.
#include "tests/simt/runtime/checker.h"

#include <algorithm>

namespace {

template <class T, class Change>
[[gnu::always_inline]] inline T change(T* address, Change change_value) {
    if (simt::checker) {
        simt::checker->access(simt::Checker::Access::atomic, address, sizeof(T),
                              __builtin_return_address(0));
    }
    simt::check_aligned(address, sizeof(T), {"an atomic operation", 0});
    const T old = *address;
    *address = change_value(old);
    return old;
}

} // namespace

#define ATOMIC(name, type, result)                                                                 \
    type name(type* address, type value) {                                                         \
        return change(address, [=](type old) -> type { return result; });                          \
    }
#define INTEGER_ATOMIC(name, result) ATOMIC(name, int, result) ATOMIC(name, unsigned, result)

ATOMIC(atomicAdd, unsigned, old + value)
ATOMIC(atomicAdd, unsigned long long, old + value)
ATOMIC(atomicAdd, float, old + value)
ATOMIC(atomicAdd, double, old + value)
ATOMIC(atomicSub, unsigned, old - value)
// Signed sums wrap around on the GPU.
ATOMIC(atomicAdd, int, static_cast<int>(static_cast<unsigned>(old) + static_cast<unsigned>(value)))
ATOMIC(atomicSub, int, static_cast<int>(static_cast<unsigned>(old) - static_cast<unsigned>(value)))
INTEGER_ATOMIC(atomicMin, std::min(old, value))
INTEGER_ATOMIC(atomicMax, std::max(old, value))
INTEGER_ATOMIC(atomicAnd, old& value)
INTEGER_ATOMIC(atomicOr, old | value)
INTEGER_ATOMIC(atomicXor, old ^ value)
ATOMIC(atomicInc, unsigned, old >= value ? 0 : old + 1)
ATOMIC(atomicDec, unsigned, old == 0 || old > value ? value : old - 1)

#define EXCHANGE(type)                                                                             \
    type atomicExch(type* address, type value) {                                                   \
        return change(address, [=](type) { return value; });                                       \
    }
EXCHANGE(int)
EXCHANGE(unsigned)
EXCHANGE(unsigned long long)
EXCHANGE(float)

#define COMPARE_AND_SWAP(type)                                                                     \
    type atomicCAS(type* address, type expected, type desired) {                                   \
        return change(address, [=](type old) { return old == expected ? desired : old; });         \
    }
COMPARE_AND_SWAP(int)
COMPARE_AND_SWAP(unsigned)
COMPARE_AND_SWAP(unsigned long long)

namespace simt {

void note_fresh_read(const void* pointer, std::size_t bytes) {
    if (checker) {
        checker->access(Checker::Access::fresh_read, pointer, bytes, __builtin_return_address(0));
    }
}

void note_published_write(const void* pointer, std::size_t bytes) {
    if (checker) {
        checker->access(Checker::Access::published_write, pointer, bytes,
                        __builtin_return_address(0));
    }
}

} // namespace simt
