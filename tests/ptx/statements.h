// What each form has to compute, said a second time and in another way: whole numbers with 128 bits,
// floating point in a wider format, memory byte by byte. Nothing of the interpreter is used.
#pragma once

#include "tests/ptx/one_instruction.h"

#include <functional>
#include <optional>
#include <span>

namespace ptx {

enum class Values { any, moderate, divisors, masks }; // what the operands are made of

struct FormStatement {
    // Fills the slots of `out` that are written, for the lanes of one warp.
    std::function<void(std::span<const Slots> in, const Slot16& data, std::span<Slots> out)> expect;
    Values values = Values::any;
    char real = 0;    // 's' results are float32, 'd' float64: any NaN is as good as another
    double ulps = 0;  // how far a GPU may be off; 0: not at all
    double share = 0; // ... as a share of the sum of magnitudes, for sums in an order left open
};

// Empty for forms without a result of their own (barriers, waits, branches), and for unknown ones.
std::optional<FormStatement> statement_of(const Form& form, const OneInstruction& kernel);

std::optional<FormStatement> whole_number_statement(const Form& form);
std::optional<FormStatement> real_statement(const Form& form);
std::optional<FormStatement> conversion_statement(const Form& form);
std::optional<FormStatement> memory_statement(const Form& form, const OneInstruction& kernel);
std::optional<FormStatement> warp_statement(const Form& form);

// "add", "rn", "f32" of add.rn.f32.
std::vector<std::string> parts_of(const std::string& name);

// Applies to each lane by itself.
template <class Function>
FormStatement by_lane(Function function) {
    FormStatement statement;
    statement.expect = [=](std::span<const Slots> in, const Slot16&, std::span<Slots> out) {
        for (std::size_t l = 0; l < in.size(); ++l) {
            function(in[l], out[l]);
        }
    };
    return statement;
}

} // namespace ptx
