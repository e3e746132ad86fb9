// Which lanes run, and when those that took different ways go together again.
//
// A branch that some lanes take and some do not splits the warp; the ways meet where every way from
// the branch has to pass, its nearest post-dominator. The decoder puts a `join` there.
#pragma once

#include "tests/ptx/machine.h"

#include <span>
#include <vector>

namespace ptx {

// A run of items that ends with a branch or before a label.
struct BasicBlock {
    int first = 0, past = 0; // items
    std::vector<int> next;   // blocks; none where the kernel ends
};

// For each block, the nearest one that every way from its end to the kernel's end passes; -1 where
// there is none.
std::vector<int> post_dominators(std::span<const BasicBlock> blocks);

// Handlers for what the decoder makes of `bra` with a guard (a: predicate, b: 1 if negated, number:
// target, c: the join) and for the joins themselves.
void branch(Warp& warp, const Instruction& instruction);
void join(Warp& warp, const Instruction& instruction);

} // namespace ptx
