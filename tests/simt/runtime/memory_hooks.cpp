// The checked build compiles kernels with -fsanitize=thread,alignment and links them with this file
// in place of the sanitizers' libraries: the compiler then calls one of these functions before
// every access to memory. Linking any such object pulls this file in, which is what makes a binary
// `checked()`. The names and signatures are the compilers' interface to the sanitizers.
#include "tests/simt/runtime/shadow.h"

#include <fmt/format.h>

#include <cstdint>

namespace simt {

namespace {

Shadow shadow;
[[maybe_unused]] const bool installed = (checker = &shadow, true);

[[gnu::always_inline]] inline void seen(Checker::Access kind, const void* pointer,
                                        std::size_t bytes) {
    if (executor.running()) {
        checker->access(kind, pointer, bytes, __builtin_return_address(0));
    }
}

void check_alignment(const void* pointer, std::size_t alignment, const void* pc) {
    if (executor.running() && reinterpret_cast<std::uintptr_t>(pointer) % alignment != 0) {
        executor.fail_access(
            Finding::misaligned, pc,
            fmt::format("an access to {}, which is not a multiple of {}; read the ragged "
                        "part one element at a time",
                        pointer, alignment));
    }
}

} // namespace

} // namespace simt

#pragma GCC diagnostic ignored "-Wmissing-declarations"

extern "C" {

#define ACCESS(bytes)                                                                              \
    void __tsan_read##bytes(void* pointer) {                                                       \
        simt::seen(simt::Checker::Access::read, pointer, bytes);                                   \
    }                                                                                              \
    void __tsan_write##bytes(void* pointer) {                                                      \
        simt::seen(simt::Checker::Access::write, pointer, bytes);                                  \
    }                                                                                              \
    void __tsan_unaligned_read##bytes(void* pointer) {                                             \
        simt::seen(simt::Checker::Access::read, pointer, bytes);                                   \
    }                                                                                              \
    void __tsan_unaligned_write##bytes(void* pointer) {                                            \
        simt::seen(simt::Checker::Access::write, pointer, bytes);                                  \
    }
ACCESS(1)
ACCESS(2)
ACCESS(4)
ACCESS(8)
ACCESS(16)

void __tsan_read_range(void* pointer, unsigned long bytes) {
    simt::seen(simt::Checker::Access::read, pointer, bytes);
}
void __tsan_write_range(void* pointer, unsigned long bytes) {
    simt::seen(simt::Checker::Access::write, pointer, bytes);
}

void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_update(void**, void*) {}
void __tsan_vptr_read(void**) {}

// Launchers count references of shared pointers and guard static variables with these.
#define ATOMIC(bits)                                                                               \
    std::uint##bits##_t __tsan_atomic##bits##_load(const std::uint##bits##_t* pointer, int) {      \
        return __atomic_load_n(pointer, __ATOMIC_SEQ_CST);                                         \
    }                                                                                              \
    void __tsan_atomic##bits##_store(std::uint##bits##_t* pointer, std::uint##bits##_t value,      \
                                     int) {                                                        \
        __atomic_store_n(pointer, value, __ATOMIC_SEQ_CST);                                        \
    }                                                                                              \
    std::uint##bits##_t __tsan_atomic##bits##_fetch_add(std::uint##bits##_t* pointer,              \
                                                        std::uint##bits##_t value, int) {          \
        return __atomic_fetch_add(pointer, value, __ATOMIC_SEQ_CST);                               \
    }                                                                                              \
    std::uint##bits##_t __tsan_atomic##bits##_fetch_sub(std::uint##bits##_t* pointer,              \
                                                        std::uint##bits##_t value, int) {          \
        return __atomic_fetch_sub(pointer, value, __ATOMIC_SEQ_CST);                               \
    }                                                                                              \
    std::uint##bits##_t __tsan_atomic##bits##_exchange(std::uint##bits##_t* pointer,               \
                                                       std::uint##bits##_t value, int) {           \
        return __atomic_exchange_n(pointer, value, __ATOMIC_SEQ_CST);                              \
    }
ATOMIC(8)
ATOMIC(32)
ATOMIC(64)

// What UndefinedBehaviorSanitizer passes when a pointer is null, misaligned or to too small an
// object; only its alignment check is switched on.
struct TypeMismatch {
    const char* file;
    std::uint32_t line, column;
    const void* type;
    std::uint8_t log_alignment;
    std::uint8_t check_kind;
};
void __ubsan_handle_type_mismatch_v1(TypeMismatch* mismatch, std::uintptr_t pointer) {
    simt::check_alignment(reinterpret_cast<const void*>(pointer),
                          std::size_t{1} << mismatch->log_alignment, __builtin_return_address(0));
}
}
