// From resident bytes to a batch: which rows this iteration reads, and their pixels as floats.
#pragma once

#include "kernels/random.h"
#include "kernels/views.h"

namespace patchforge {

// Draw number d = draw.value() of a run belongs to epoch d / batches_per_epoch and starts there at
// position (d % batches_per_epoch) * batch_size. Row b of it is, by `order`:
//   shuffled    shuffled_row(seed, epoch, position + b, count)   (kernels/shuffle.h)
//   sequential  position + b
//   staged      b: the host has put this draw's rows in place already (streaming)
struct BatchPlan {
    enum class Order { shuffled, sequential, staged };

    std::int64_t count = 0;             // rows of the data set
    std::int64_t batch_size = 1;        // nominal; the last batch of an epoch may be smaller
    std::int64_t batches_per_epoch = 1; // rounded up, or down with --drop-last
    Order order = Order::shuffled;
    std::uint64_t seed = 0;
    StepCount draw{};
    // Not null: the plan speaks of `count` chosen rows, and row r of it is row subset[r] of the
    // pixels (a device array; a train split, say). `staged` plans ignore it.
    const std::int32_t* subset = nullptr;
};

// How a byte v becomes a float: signed_unit 2 v/255 - 1, in [-1, 1]; unit v/255, in [0, 1].
enum class PixelRange { signed_unit, unit };

struct BatchOperations {
    virtual ~BatchOperations() = default;

    // x [B, P] = scaled rows of pixels [any, P] that `plan` names; row [B] (or empty) = their
    // numbers in `pixels`. B is the true size of this batch: position + B <= plan.count.
    virtual void gather_rows(Matrix<float> x, Vector<std::int32_t> row,
                             Matrix<const std::uint8_t> pixels, PixelRange range,
                             const BatchPlan& plan) = 0;

    // out [B] = values [row[b]]; used for labels. Rows are in [0, values.size).
    virtual void gather_labels(Vector<std::int32_t> out, Vector<const std::int32_t> values,
                               Vector<const std::int32_t> row) = 0;
};

} // namespace patchforge
