// Which row of the data set a row of the batch is (kernels/operations/batch.h).
#pragma once

#include "kernels/cuda/device.h"
#include "kernels/operations/batch.h"
#include "kernels/shuffle.h"

namespace patchforge::cuda {

__device__ inline std::int64_t row_of_plan(const BatchPlan& plan, std::int64_t in_batch) {
    if (plan.order == BatchPlan::Order::staged) {
        return in_batch;
    }
    const std::uint64_t draw = plan.draw.value();
    const std::uint64_t epoch = draw / plan.batches_per_epoch;
    const std::int64_t position =
        static_cast<std::int64_t>(draw % plan.batches_per_epoch) * plan.batch_size + in_batch;
    const std::int64_t chosen =
        plan.order == BatchPlan::Order::sequential
            ? position
            : shuffled_row(plan.seed, epoch, static_cast<std::uint32_t>(position),
                           static_cast<std::uint32_t>(plan.count));
    return plan.subset != nullptr ? plan.subset[chosen] : chosen;
}

} // namespace patchforge::cuda
