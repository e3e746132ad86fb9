#include "tests/ptx/control.h"

#include <algorithm>
#include <utility>

namespace ptx {

namespace {

// The lanes that run have gone their way: the next path's turn, or the end of the warp.
void take_next_path(Warp& w) {
    while (!w.paths.empty()) {
        const Path path = w.paths.back();
        w.paths.pop_back();
        if (const Mask left = path.active & w.live) {
            w.active = left;
            w.pc = path.pc;
            w.meets = path.meets;
            return;
        }
    }
    w.active = 0;
    w.state = Warp::State::ended;
}

void jump(Warp& w, const Instruction& i) {
    w.pc = static_cast<std::uint32_t>(i.number);
}

void end(Warp& w, const Instruction& i) {
    if (w.block->launch->must_wait && (w.active & ~w.waited)) {
        fail(w, i, simt::Finding::overlap, w.active & ~w.waited,
             "the kernel ends without griddepcontrol.wait, so that it may end before the kernel "
             "before it");
    }
    w.live &= ~w.active;
    take_next_path(w);
}

} // namespace

void branch(Warp& w, const Instruction& i) {
    const Mask predicate = *w.at<Mask>(i.a);
    const Mask taken = (i.b ? ~predicate : predicate) & w.active;
    if (taken == 0) {
        return;
    }
    const auto target = static_cast<std::uint32_t>(i.number);
    if (taken == w.active) {
        w.pc = target;
        return;
    }
    const Path fall_through = {w.pc, w.active & ~taken, i.c};
    const Path jumped = {target, taken, i.c};
    if (i.c != never) {
        w.paths.push_back({i.c, w.active, w.meets});
    }
    // A way that leads straight to the meeting point is at its end already.
    const bool only_one = fall_through.pc == i.c || jumped.pc == i.c;
    const Path& first = jumped.pc == i.c ? fall_through : jumped;
    if (!only_one) {
        w.paths.push_back(fall_through);
    }
    w.pc = first.pc;
    w.active = first.active;
    w.meets = first.meets;
}

void join(Warp& w, const Instruction&) {
    if (w.pc - 1 == w.meets) {
        take_next_path(w);
    }
}

// The iterative algorithm of Cooper, Harvey and Kennedy (2001, "A Simple, Fast Dominance Algorithm")
// on the reversed graph, with one more node for the end of the kernel.
std::vector<int> post_dominators(std::span<const BasicBlock> blocks) {
    const int end_node = static_cast<int>(blocks.size());
    std::vector<std::vector<int>> before(blocks.size() + 1);
    for (int b = 0; b < end_node; ++b) {
        const auto& next = blocks[static_cast<std::size_t>(b)].next;
        for (const int n : next) {
            before[static_cast<std::size_t>(n)].push_back(b);
        }
        if (next.empty()) {
            before[static_cast<std::size_t>(end_node)].push_back(b);
        }
    }
    // Nodes in the order in which a depth-first walk from the end leaves them.
    std::vector<int> order;
    std::vector<int> number(blocks.size() + 1, -1);
    std::vector<char> seen(blocks.size() + 1, 0);
    std::vector<std::pair<int, std::size_t>> walk = {{end_node, 0}};
    seen[static_cast<std::size_t>(end_node)] = 1;
    while (!walk.empty()) {
        auto& [node, child] = walk.back();
        const auto& children = before[static_cast<std::size_t>(node)];
        if (child < children.size()) {
            const int following = children[child++];
            if (!seen[static_cast<std::size_t>(following)]) {
                seen[static_cast<std::size_t>(following)] = 1;
                walk.emplace_back(following, 0);
            }
        } else {
            number[static_cast<std::size_t>(node)] = static_cast<int>(order.size());
            order.push_back(node);
            walk.pop_back();
        }
    }
    std::vector<int> nearest(blocks.size() + 1, -1);
    nearest[static_cast<std::size_t>(end_node)] = end_node;
    const auto meet = [&](int a, int b) {
        while (a != b) {
            int& lower =
                number[static_cast<std::size_t>(a)] < number[static_cast<std::size_t>(b)] ? a : b;
            lower = nearest[static_cast<std::size_t>(lower)];
        }
        return a;
    };
    for (bool changed = true; changed;) {
        changed = false;
        for (std::size_t n = order.size() - 1; n-- > 0;) {
            const int node = order[n];
            int found = -1;
            const auto& next = blocks[static_cast<std::size_t>(node)].next;
            const std::vector<int> only_end = {end_node};
            for (const int following : next.empty() ? only_end : next) {
                if (nearest[static_cast<std::size_t>(following)] >= 0) {
                    found = found < 0 ? following : meet(found, following);
                }
            }
            changed |= std::exchange(nearest[static_cast<std::size_t>(node)], found) != found;
        }
    }
    nearest.pop_back();
    std::replace(nearest.begin(), nearest.end(), end_node, -1);
    return nearest;
}

std::vector<Form> control_forms() {
    return {
        {"bra", "@", jump, Form::Flow::jump},
        {"bra.uni", "@", jump, Form::Flow::jump},
        {"ret", "", end, Form::Flow::end},
    };
}

} // namespace ptx
