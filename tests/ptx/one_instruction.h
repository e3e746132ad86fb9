// Kernels of one instruction, made from what a form takes: every thread loads its operands, does the
// instruction, and stores what came out. The interpreter runs them, and so does a GPU where one is.
#pragma once

#include "tests/ptx/machine.h"

#include <array>
#include <cstring>
#include <string>
#include <vector>

namespace ptx {

// What a thread brings, or what came out of it: 16 bytes for each operand, which hold a number, a
// vector or a piece of memory. A predicate is 0 or 1.
struct Slots {
    std::array<std::array<std::uint32_t, 4>, 8> slot{};

    template <class T>
    T get(unsigned operand, unsigned element = 0) const {
        T value;
        std::memcpy(&value,
                    reinterpret_cast<const std::byte*>(&slot[operand]) + element * sizeof(T),
                    sizeof value);
        return value;
    }
    template <class T>
    void set(unsigned operand, T value, unsigned element = 0) {
        std::memcpy(reinterpret_cast<std::byte*>(&slot[operand]) + element * sizeof(T), &value,
                    sizeof value);
    }
};
// Where in the result what is written lies.
enum : unsigned { result_slot = 0, predicate_slot = 1, memory_slot = 2 };

struct OneInstruction {
    std::string text;                 // a module with the entry "one_instruction"
    std::vector<std::string> sources; // the operands that are read, in order, as in Form::operands
    int memory = -1;                  // the source that is a piece of memory; -1: none
    bool changes_memory = false;
    bool has_data = false; // takes memory as a parameter of 16 bytes, the same for all threads
};

// In a version of PTX that every driver since CUDA 11.8 takes.
//
// Where bar.red, vote and shfl are asked, all 32 lanes are there.
OneInstruction one_instruction(const Form& form, unsigned target);

// Of whole warps; one Slots a thread. `out` comes in as what the memory of memory_slot holds first.
// `data` is the parameter of those that have one.
using Slot16 = std::array<std::uint32_t, 4>;
std::vector<Slots> interpret(const OneInstruction& kernel, const std::vector<Slots>& in,
                             std::vector<Slots> out, Slot16 data);
// The same on the first GPU. Empty reason: there is one.
std::string why_no_gpu();
std::vector<Slots> run_on_gpu(const OneInstruction& kernel, const std::vector<Slots>& in,
                              std::vector<Slots> out, Slot16 data);

} // namespace ptx
