// Batches gathered from resident bytes against the oracle.
#include "tests/oracle/batch.h"

#include <random>

#include "tests/kernels/backends.h"
#include "tests/kernels/operands.h"

namespace patchforge::testing {
namespace {

class BatchTest : public BackendTest {
  protected:
    // Draws the batch that the plan names at this step and compares rows and pixels.
    void expect_batch(BatchPlan plan, std::int64_t pixel_count, PixelRange range, std::uint64_t at,
                      std::uint32_t stride = 1, std::uint32_t offset = 0, bool want_rows = true) {
        const DeviceStep step(backend(), at, stride, offset);
        plan.draw = step.count();
        const std::vector<std::int32_t> rows = oracle::rows_of_batch(plan, step.value());
        const auto batch = static_cast<std::int64_t>(rows.size());
        const int shift = static_cast<int>(pixel_count % 4);
        SCOPED_TRACE(describe("count", plan.count, "pixels", pixel_count, "batch", batch, "draw",
                              step.value(), "order", static_cast<int>(plan.order), "shift", shift));
        const auto pixels = bytes(plan.count * pixel_count);

        const auto x = GuardedArray<float>::output(backend(), batch * pixel_count, shift);
        const auto row =
            GuardedArray<std::int32_t>::output(backend(), want_rows ? batch : 0, shift);
        const auto pixels_on_device = GuardedArray<std::uint8_t>::input(backend(), pixels, shift);
        backend().gather_rows(x.matrix(batch, pixel_count), row.view(),
                              pixels_on_device.matrix(plan.count, pixel_count), range, plan);

        std::vector<double> expected;
        for (const std::int32_t r : rows) {
            for (std::int64_t p = 0; p < pixel_count; ++p) {
                expected.push_back(oracle::pixel_value(pixels[r * pixel_count + p], range));
            }
        }
        expect_close(x.values(), expected, std::vector<double>(expected.size(), 4 * unit_roundoff),
                     pixel_count, "x");
        if (want_rows) {
            EXPECT_EQ(row.values(), rows);
        }
    }

    static std::vector<std::uint8_t> bytes(std::int64_t count) {
        std::mt19937_64 engine(80);
        std::vector<std::uint8_t> values(static_cast<std::size_t>(count));
        for (auto& value : values) {
            value = static_cast<std::uint8_t>(engine() >> 56);
        }
        for (std::size_t e = 0; e < 256 && e < values.size(); ++e) {
            values[e] = static_cast<std::uint8_t>(e);
        }
        return values;
    }

    static BatchPlan plan(std::int64_t count, std::int64_t batch, BatchPlan::Order order) {
        BatchPlan result;
        result.count = count;
        result.batch_size = batch;
        result.batches_per_epoch = (count + batch - 1) / batch;
        result.order = order;
        result.seed = 0x1122334455667788;
        return result;
    }
};
PATCHFORGE_ON_EVERY_BACKEND(BatchTest);

TEST_P(BatchTest, EveryOrderAndWidth) {
    for (const auto order :
         {BatchPlan::Order::shuffled, BatchPlan::Order::sequential, BatchPlan::Order::staged}) {
        for (const std::int64_t pixels : {1, 2, 31, 33, 64, 255, 257}) {
            for (const std::int64_t batch : {1, 3, 10, 33}) {
                expect_batch(plan(101, batch, order), pixels, PixelRange::signed_unit, 1);
                expect_batch(plan(101, batch, order), pixels, PixelRange::unit, 2);
            }
        }
        expect_batch(plan(11, 10, order), 7499, PixelRange::signed_unit, 0);
        expect_batch(plan(11, 10, order), 7500, PixelRange::signed_unit, 0);
    }
}

// The last batch of an epoch is a smaller one; the next epoch starts over in another order.
TEST_P(BatchTest, EpochsEndWithAPartialBatch) {
    for (const auto order : {BatchPlan::Order::shuffled, BatchPlan::Order::sequential}) {
        for (std::uint64_t draw = 0; draw < 9; ++draw) {
            expect_batch(plan(34, 10, order), 33, PixelRange::signed_unit, draw);
        }
        BatchPlan dropping = plan(34, 10, order);
        dropping.batches_per_epoch = 3;
        for (std::uint64_t draw = 2; draw < 5; ++draw) {
            expect_batch(dropping, 33, PixelRange::signed_unit, draw);
        }
    }
}

TEST_P(BatchTest, DrawsCountByStrideAndOffset) {
    for (std::uint64_t at = 0; at < 5; ++at) {
        expect_batch(plan(100, 10, BatchPlan::Order::shuffled), 31, PixelRange::unit, at, 5, 3);
    }
    expect_batch(plan(100, 10, BatchPlan::Order::shuffled), 31, PixelRange::unit,
                 3'000'000'000'000);
}

TEST_P(BatchTest, RowNumbersAreOptional) {
    expect_batch(plan(100, 10, BatchPlan::Order::shuffled), 31, PixelRange::unit, 3, 1, 0, false);
}

TEST_P(BatchTest, LabelsFollowRows) {
    for (const std::int64_t batch : {1, 2, 31, 33, 257}) {
        std::vector<std::int32_t> values(97), row(static_cast<std::size_t>(batch)), expected;
        for (std::size_t e = 0; e < values.size(); ++e) {
            values[e] = static_cast<std::int32_t>(e * 37 % 11) - 1;
        }
        for (std::size_t b = 0; b < row.size(); ++b) {
            row[b] = static_cast<std::int32_t>(b * 53 % values.size());
            expected.push_back(values[row[b]]);
        }
        const auto out = GuardedArray<std::int32_t>::output(backend(), batch, 1);
        const auto values_on_device = GuardedArray<std::int32_t>::input(backend(), values, 1);
        const auto row_on_device = GuardedArray<std::int32_t>::input(backend(), row, 1);
        backend().gather_labels(out.view(), values_on_device.view(), row_on_device.view());
        EXPECT_EQ(out.values(), expected) << "batch " << batch;
    }
}

} // namespace
} // namespace patchforge::testing
