#include "tests/simt/runtime/context.h"

#include <cstdint>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

#if defined(__x86_64__)
// Callee-saved registers go on the old stack, its pointer to *saved; the other way round for the
// new one. The floating-point control words are the same everywhere and stay.
asm(R"(
.text
.globl simt_switch_stacks
.type simt_switch_stacks, @function
simt_switch_stacks:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
.size simt_switch_stacks, .-simt_switch_stacks
)");
extern "C" void simt_switch_stacks(void** saved, void* stack_pointer);
#endif

namespace simt {

namespace {
#if defined(__SANITIZE_ADDRESS__)
// AddressSanitizer wants to know the bounds of the stack switched to. The host's are learnt when
// the first context that it enters reports where it came from.
Context* left = nullptr;
#endif
} // namespace

void Context::prepare(std::byte* stack, std::size_t bytes, void (*entry)()) {
    stack_ = stack;
    bytes_ = bytes;
#if defined(__SANITIZE_ADDRESS__)
    __asan_unpoison_memory_region(stack, bytes);
#endif
#if defined(__x86_64__)
    // Six registers, the address to return to, and one word so that `entry` finds the stack as
    // after a call: 16-byte aligned, less 8.
    auto top = reinterpret_cast<std::uintptr_t>(stack + bytes) & ~std::uintptr_t{15};
    auto* words = reinterpret_cast<void**>(top) - 8;
    for (int i = 0; i < 8; ++i) {
        words[i] = nullptr;
    }
    words[6] = reinterpret_cast<void*>(entry);
    stack_pointer_ = words;
#else
    getcontext(&state_);
    state_.uc_stack.ss_sp = stack;
    state_.uc_stack.ss_size = bytes;
    state_.uc_link = nullptr;
    makecontext(&state_, entry, 0);
#endif
}

void Context::switch_to(Context& to) {
#if defined(__SANITIZE_ADDRESS__)
    void* fake_stack = nullptr;
    left = this;
    __sanitizer_start_switch_fiber(&fake_stack, to.stack_, to.bytes_);
#endif
#if defined(__x86_64__)
    simt_switch_stacks(&stack_pointer_, to.stack_pointer_);
#else
    swapcontext(&state_, &to.state_);
#endif
#if defined(__SANITIZE_ADDRESS__)
    after_switch(fake_stack);
#endif
}

#if defined(__SANITIZE_ADDRESS__)
void Context::after_switch(void* fake_stack) {
    const void* bottom = nullptr;
    std::size_t bytes = 0;
    __sanitizer_finish_switch_fiber(fake_stack, &bottom, &bytes);
    if (left->stack_ == nullptr) {
        left->stack_ = static_cast<std::byte*>(const_cast<void*>(bottom));
        left->bytes_ = bytes;
    }
}
#endif

void Context::entered() {
#if defined(__SANITIZE_ADDRESS__)
    left->after_switch(nullptr);
#endif
}

} // namespace simt
