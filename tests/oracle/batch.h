// kernels/operations/batch.h, one row at a time.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/operations/batch.h"
#include "kernels/shuffle.h"

namespace patchforge::oracle {

// The rows that draw number `draw` of `plan` reads, as many as the epoch still has.
inline std::vector<std::int32_t> rows_of_batch(const BatchPlan& plan, std::uint64_t draw) {
    const auto batches = static_cast<std::uint64_t>(plan.batches_per_epoch);
    const std::uint64_t epoch = draw / batches;
    const auto first = static_cast<std::int64_t>(draw % batches) * plan.batch_size;
    std::vector<std::int32_t> rows;
    for (std::int64_t b = 0; b < plan.batch_size && first + b < plan.count; ++b) {
        const std::int64_t position = first + b;
        switch (plan.order) {
        case BatchPlan::Order::shuffled:
            rows.push_back(static_cast<std::int32_t>(
                shuffled_row(plan.seed, epoch, static_cast<std::uint32_t>(position),
                             static_cast<std::uint32_t>(plan.count))));
            break;
        case BatchPlan::Order::sequential:
            rows.push_back(static_cast<std::int32_t>(position));
            break;
        case BatchPlan::Order::staged:
            rows.push_back(static_cast<std::int32_t>(b));
            break;
        }
    }
    return rows;
}

inline double pixel_value(std::uint8_t byte, PixelRange range) {
    return range == PixelRange::unit ? byte / 255.0 : 2 * (byte / 255.0) - 1;
}

} // namespace patchforge::oracle
