// The second half of decoding: items whose operands are known become instructions, once their
// registers have places, their labels addresses, and their branches a place to meet.
#pragma once

#include "tests/ptx/machine.h"

#include <utility>
#include <vector>

namespace ptx {

// An operand: a register's number, or a constant's place.
struct Reference {
    bool constant = true;
    std::uint32_t value = 0;
};

struct Item {
    const Form* form = nullptr; // null: a branch made for a guard
    Reference d, a, b, c;
    std::int64_t number = 0;
    std::vector<Reference> list;
    int target = -1; // statement
    bool negated = false;
    std::uint32_t statement = 0;
};

struct Items {
    std::vector<Item> all;
    std::vector<int> first_of; // each statement, and past the last one
    std::vector<Width> widths; // of each register
    std::vector<std::pair<Special, Reference>> specials;
};

// Fills kernel.code and what goes with it. Throws TextError.
void assemble(Kernel& kernel, const Items& items);

} // namespace ptx
