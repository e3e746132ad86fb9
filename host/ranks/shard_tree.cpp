#include "host/ranks/shard_tree.h"

#include <algorithm>
#include <cstdint>
#include <stdexcept>

namespace patchforge {

namespace {

struct Node {
    int first, last; // shards
    int slot;
};

// Whether two neighbouring subtrees are the halves of one: the left one begins at a multiple of its doubled
// breadth. A right half may lack shards, but only at the end of all.
bool halves(const Node& left, const Node& right, int filled) {
    const int breadth = left.last - left.first;
    return left.last == right.first && left.first % (2 * breadth) == 0 &&
           right.last == std::min(right.first + breadth, filled);
}

// A rank's own sums, largest first: what remains when all its shards are in.
std::vector<Node> local(const std::vector<int>& shards, int filled, ShardTree::Plan& plan) {
    std::vector<Node> stack;
    for (const int shard : shards) {
        if (shard >= filled) {
            break;
        }
        const int slot = static_cast<int>(stack.size());
        ShardTree::Leaf leaf{shard, slot, {}};
        stack.push_back({shard, shard + 1, slot});
        while (stack.size() > 1 && halves(stack[stack.size() - 2], stack.back(), filled)) {
            const Node right = stack.back();
            stack.pop_back();
            leaf.additions.push_back({stack.back().slot, right.slot});
            stack.back().last = right.last;
        }
        plan.leaves.push_back(std::move(leaf));
    }
    return stack;
}

} // namespace

ShardTree::ShardTree(int shards, int ranks) : shards_(shards), ranks_(ranks) {
    if (ranks < 1 || shards < ranks) {
        throw std::invalid_argument("ShardTree: every rank needs a shard");
    }
}

int ShardTree::owner(int shard) const {
    return static_cast<int>(((std::int64_t{shard} + 1) * ranks_ - 1) / shards_);
}

std::vector<int> ShardTree::shards_of(int rank) const {
    std::vector<int> mine;
    for (int shard = 0; shard < shards_; ++shard) {
        if (owner(shard) == rank) {
            mine.push_back(shard);
        }
    }
    return mine;
}

ShardTree::Plan ShardTree::plan(int rank, int filled, bool rightwards) const {
    struct Held {
        int rank;
        Node node;
        int round = 0; // after which it is complete
    };
    Plan mine;
    std::vector<Held> held; // by first shard
    for (int r = 0; r < ranks_; ++r) {
        Plan other;
        for (const Node& node : local(shards_of(r), filled, r == rank ? mine : other)) {
            held.push_back({r, node});
        }
    }
    struct Meeting {
        int to, from; // ranks
    };
    std::vector<int> busy(static_cast<std::size_t>(ranks_)); // until after this round
    const auto busy_until = [&](int r) -> int& { return busy[static_cast<std::size_t>(r)]; };
    std::vector<Meeting> meetings;
    while (held.size() > 1) {
        // The smallest halves first: those of one level in order of their shards.
        std::size_t chosen = held.size();
        for (std::size_t i = 0; i + 1 < held.size(); ++i) {
            const auto breadth = [&](std::size_t at) {
                return held[at].node.last - held[at].node.first;
            };
            if (halves(held[i].node, held[i + 1].node, filled) &&
                (chosen == held.size() || breadth(i) < breadth(chosen))) {
                chosen = i;
            }
        }
        const Held left = held[chosen], right = held[chosen + 1];
        const bool to_right = rightwards && left.rank != right.rank;
        Held sum = to_right ? right : left;
        const Held& given = to_right ? left : right;
        sum.node.first = left.node.first;
        sum.node.last = right.node.last;
        sum.round =
            std::max({left.round, right.round, busy_until(left.rank), busy_until(right.rank)});
        if (left.rank == right.rank) {
            if (rank == left.rank) {
                mine.steps.push_back(
                    {Step::Kind::add, sum.node.slot, -1, given.node.slot, sum.round});
            }
        } else {
            busy_until(left.rank) = busy_until(right.rank) = ++sum.round;
            meetings.push_back({sum.rank, given.rank});
            if (rank == sum.rank) {
                mine.steps.push_back(
                    {Step::Kind::add_received, sum.node.slot, given.rank, -1, sum.round});
            } else if (rank == given.rank) {
                mine.steps.push_back({Step::Kind::send, given.node.slot, sum.rank, -1, sum.round});
            }
        }
        held[chosen] = sum;
        held.erase(held.begin() + static_cast<std::ptrdiff_t>(chosen) + 1);
    }
    const Held root = held.front();
    if (root.node.slot != 0) { // only rightwards: the first shard lies in slot 0 of the first rank
        return this->plan(rank, filled);
    }
    // The total goes back the way the sums came, once to each rank; then to those without a shard.
    std::vector<bool> has(static_cast<std::size_t>(ranks_));
    has[static_cast<std::size_t>(root.rank)] = true;
    busy_until(root.rank) = std::max(busy_until(root.rank), root.round);
    const auto pass = [&](int from, int to) {
        if (has[static_cast<std::size_t>(to)]) {
            return;
        }
        has[static_cast<std::size_t>(to)] = true;
        const int round = std::max(busy_until(from), busy_until(to)) + 1;
        busy_until(from) = busy_until(to) = round;
        if (rank == from) {
            mine.steps.push_back({Step::Kind::send_total, 0, to, -1, round});
        } else if (rank == to) {
            mine.steps.push_back({Step::Kind::receive_total, 0, from, -1, round});
        }
    };
    std::reverse(meetings.begin(), meetings.end());
    for (const Meeting& meeting : meetings) {
        pass(meeting.to, meeting.from);
    }
    for (int r = 0; r < ranks_; ++r) {
        pass(root.rank, r);
    }
    return mine;
}

int ShardTree::slots(int rank) const {
    int most = 1;
    for (int filled = 1; filled <= shards_; ++filled) {
        for (const Leaf& leaf : plan(rank, filled).leaves) {
            most = std::max(most, leaf.slot + 1);
        }
    }
    return most;
}

float sum_over_shards(std::vector<float>& values) {
    const std::size_t count = values.size();
    for (std::size_t step = 1; step < count; step *= 2) {
        for (std::size_t i = 0; i + step < count; i += 2 * step) {
            values[i] += values[i + step];
        }
    }
    return values.front();
}

} // namespace patchforge
