#include "kernels/cpu/cpu_backend.h"
#include "kernels/shuffle.h"

namespace patchforge {
namespace {

std::int64_t row_of(const BatchPlan& plan, std::uint64_t epoch, std::int64_t position,
                    std::int64_t b) {
    if (plan.order == BatchPlan::Order::staged) {
        return b;
    }
    std::int64_t row = position + b;
    if (plan.order == BatchPlan::Order::shuffled) {
        row = shuffled_row(plan.seed, epoch, static_cast<std::uint32_t>(row),
                           static_cast<std::uint32_t>(plan.count));
    }
    return plan.subset ? plan.subset[row] : row;
}

} // namespace

void CpuBackend::gather_rows(Matrix<float> x, Vector<std::int32_t> row,
                             Matrix<const std::uint8_t> pixels, PixelRange range,
                             const BatchPlan& plan) {
    const std::uint64_t draw = plan.draw.value();
    const auto batches = static_cast<std::uint64_t>(plan.batches_per_epoch);
    const std::uint64_t epoch = draw / batches;
    const std::int64_t position = static_cast<std::int64_t>(draw % batches) * plan.batch_size;
    const bool centred = range == PixelRange::signed_unit;
    pool_.parallel_for(x.rows, [&](std::int64_t b) {
        const std::int64_t source = row_of(plan, epoch, position, b);
        if (!row.empty()) {
            row.data[b] = static_cast<std::int32_t>(source);
        }
        vector_.scale_bytes(x.data + b * x.columns, pixels.data + source * pixels.columns,
                            x.columns, centred ? 2.0f : 1.0f, centred ? -1.0f : 0.0f);
    });
}

void CpuBackend::gather_labels(Vector<std::int32_t> out, Vector<const std::int32_t> values,
                               Vector<const std::int32_t> row) {
    for (std::int64_t b = 0; b < out.size; ++b) {
        out.data[b] = values.data[row.data[b]];
    }
}

} // namespace patchforge
