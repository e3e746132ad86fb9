// A stack and the point where its execution stopped. One OS thread runs many of them in turn.
#pragma once

#include <cstddef>

#if !defined(__x86_64__)
#include <ucontext.h>
#endif

namespace simt {

class Context {
  public:
    Context() = default;
    Context(const Context&) = delete;

    // The next switch_to starts `entry` on this stack. `entry` never returns.
    void prepare(std::byte* stack, std::size_t bytes, void (*entry)());
    // Stops here and goes on where `to` stopped.
    void switch_to(Context& to);
    // To be called first thing in `entry`.
    static void entered();

  private:
    std::byte* stack_ = nullptr;
    std::size_t bytes_ = 0;
#if defined(__x86_64__)
    void* stack_pointer_ = nullptr;
#else
    ucontext_t state_;
#endif
#if defined(__SANITIZE_ADDRESS__)
    void after_switch(void* fake_stack);
#endif
};

} // namespace simt
