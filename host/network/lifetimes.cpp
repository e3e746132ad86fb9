#include "host/network/lifetimes.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <utility>

namespace patchforge {

namespace {

// As far apart as memory of its own would be: 256 bytes.
std::int64_t whole_lines(std::int64_t floats) {
    return (floats + 63) / 64 * 64;
}

} // namespace

MemoryPlan plan_memory(const std::vector<Lifetime>& values) {
    std::vector<std::size_t> by_size(values.size());
    std::iota(by_size.begin(), by_size.end(), std::size_t{0});
    std::stable_sort(by_size.begin(), by_size.end(),
                     [&](std::size_t a, std::size_t b) { return values[a].size > values[b].size; });
    MemoryPlan plan;
    plan.offsets.resize(values.size());
    std::vector<std::size_t> placed;
    for (const std::size_t value : by_size) {
        const std::int64_t size = whole_lines(values[value].size);
        std::vector<std::pair<std::int64_t, std::int64_t>> taken; // beginning, end
        for (const std::size_t other : placed) {
            if (values[value].meets(values[other])) {
                taken.emplace_back(plan.offsets[other],
                                   plan.offsets[other] + whole_lines(values[other].size));
            }
        }
        std::sort(taken.begin(), taken.end());
        std::int64_t narrowest = std::numeric_limits<std::int64_t>::max();
        std::int64_t at = -1, end = 0;
        for (const auto& [first, last] : taken) {
            const std::int64_t gap = first - end;
            if (gap >= size && gap < narrowest) {
                narrowest = gap;
                at = end;
            }
            end = std::max(end, last);
        }
        plan.offsets[value] = at < 0 ? end : at;
        plan.size = std::max(plan.size, plan.offsets[value] + size);
        plan.apart += size;
        placed.push_back(value);
    }
    return plan;
}

} // namespace patchforge
