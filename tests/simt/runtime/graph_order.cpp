#include "tests/simt/runtime/graph_order.h"

#include <cstdint>

#include "tests/simt/include/simt.h"
#include "tests/simt/runtime/executor.h"

namespace simt {

std::vector<int> order_of(const std::vector<GraphNode>& nodes) {
    const Schedule how = schedule();
    std::uint64_t random = how.seed;
    std::vector<bool> ran(nodes.size());
    std::size_t next[2] = {0, 0}; // by `aside`: the first that has not run
    const auto skip = [&](bool aside) {
        while (next[aside] < nodes.size() &&
               (ran[next[aside]] || nodes[next[aside]].aside != aside)) {
            ++next[aside];
        }
    };
    const auto may_run = [&](std::size_t node) {
        if (node == nodes.size()) {
            return false;
        }
        for (const int before : nodes[node].after) {
            if (!ran[static_cast<std::size_t>(before)]) {
                return false;
            }
        }
        return true;
    };
    std::vector<int> order;
    while (order.size() < nodes.size()) {
        skip(false);
        skip(true);
        // Edges lead from earlier nodes to later ones: the first of all that have not run may run.
        bool aside = how.order == Schedule::Order::random ? next_random(random) % 2 == 0
                                                          : how.order == Schedule::Order::forward;
        aside = may_run(next[aside]) ? aside : !aside;
        order.push_back(static_cast<int>(next[aside]));
        ran[next[aside]] = true;
    }
    return order;
}

} // namespace simt
