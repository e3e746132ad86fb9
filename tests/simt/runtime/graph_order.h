// In which order the nodes of a graph run: any that keeps to its edges may happen on a GPU.
#pragma once

#include <functional>
#include <vector>

namespace simt {

// Whether it is done; else it is called again, and what comes after it has to wait.
using Work = std::function<bool()>;

struct GraphNode {
    Work work;
    std::vector<int> after; // the nodes that come before it, in no order
    bool aside = false;     // of a stream that joined the capture
};

// The schedule's (simt.h): forward runs what lies aside as early as it may, reverse as late as it may, so that
// an edge which is missing shows in one of the two.
std::vector<int> order_of(const std::vector<GraphNode>& nodes);

} // namespace simt
