// The recorded iteration of the default networks against the arithmetic of the floor: 24 bytes a
// parameter, 36 MFLOP a sample. Needs the launch decisions of the CUDA backend, not a GPU.
#include "host/files/json.h"
#include "host/plan/plan_report.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "tests/kernels/backends.h"

namespace patchforge {
namespace {

// D: 7500-256-256-1, G: 64-256-256-7500.
constexpr double weights_d = 7500 * 256 + 256 * 256 + 256;
constexpr double weights_g = 64 * 256 + 256 * 256 + 256 * 7500;
constexpr double biases = 256 + 256 + 1 + 256 + 256 + 7500;
constexpr double h100_l2 = 50e6;

class IterationPlanTest : public ::testing::Test {
  protected:
    void SetUp() override {
        if (const std::string reason = testing::why_missing("cuda"); !reason.empty()) {
            GTEST_SKIP() << reason;
        }
        backend_ = make_cuda_backend(0);
    }
    IterationPlan plan(std::int64_t batch, double cache = h100_l2) {
        return plan_on(*backend_, batch, cache);
    }
    static IterationPlan plan_on(Backend& backend, std::int64_t batch, double cache = h100_l2) {
        GanOptions options;
        options.batch_size = batch;
        return plan_gan_iteration(backend, options, {}, cache);
    }

  private:
    std::unique_ptr<Backend> backend_;
};

TEST_F(IterationPlanTest, CarriesNoMoreThanTheFloorAtSmallBatches) {
    for (const std::int64_t batch : {1, 2, 8, 10}) {
        SCOPED_TRACE(batch);
        const IterationPlan p = plan(batch);
        EXPECT_EQ(p.parameters, weights_d + weights_g + biases);
        EXPECT_TRUE(p.fits_cache);
        const double ratio = p.memory_bytes() / (24 * p.parameters);
        EXPECT_TRUE(ratio >= 1.0 && ratio <= 1.10) << ratio;
    }
}

// What kernels ask for: D's weights are read by its own step, forward and (moments, values) back,
// then forward and back in G's step: 4 + 24 + 4 + 4 bytes; G's once forward for both steps, and
// back.
TEST_F(IterationPlanTest, AsksForEveryWeightAsOftenAsTheStepsNeedIt) {
    const IterationPlan p = plan(1);
    const double expected = 36 * weights_d + 28 * weights_g;
    EXPECT_TRUE(p.operand_bytes() >= expected && p.operand_bytes() <= 1.02 * expected)
        << p.operand_bytes() / expected;
}

// 36 MFLOP a sample where G's fakes of D's step also serve its own; here they are drawn afresh, one
// more forward pass of G. Adam takes 12 operations a parameter.
TEST_F(IterationPlanTest, ComputesThirtySixMegaflopASample) {
    for (const auto& [batch, gigaflop] :
         {std::pair{8, 0.29}, {32, 1.15}, {64, 2.31}, {128, 4.62}, {1000, 36.1}}) {
        SCOPED_TRACE(batch);
        const IterationPlan p = plan(batch);
        const double drawn_again = 2 * weights_g * batch;
        const double products = p.operations() - 12 * p.parameters - drawn_again;
        EXPECT_NEAR(products * 1e-9, gigaflop, 0.01 * gigaflop + 0.005);
    }
}

// Two operations a weight and product. On B rows: G forward (D's step); D forward, weight and input
// gradients on 2B rows but no input gradient by the patches; then G and D forward, D's input
// gradients, G's weight and input gradients but none by z.
TEST_F(IterationPlanTest, ComputesWhatTheStepsNeed) {
    constexpr double first_d = 7500 * 256, first_g = 64 * 256;
    const double a_row = 2 * (weights_g + 2 * (3 * weights_d - first_d) + weights_g +
                              2 * weights_d + 2 * weights_g - first_g);
    for (const std::int64_t batch : {8, 64}) {
        SCOPED_TRACE(batch);
        const IterationPlan p = plan(batch);
        const double adam = 12 * p.parameters;
        const double ratio = (p.operations() - adam) / (a_row * static_cast<double>(batch));
        EXPECT_TRUE(ratio >= 0.99 && ratio <= 1.02) << ratio;
    }
}

// A budget: each node more costs 1.2 us of an iteration that could take 32. Above 32 rows
// linear_backward_adam is two kernels.
TEST_F(IterationPlanTest, NoMoreNodesThanBudgeted) {
    for (const auto& [batch, nodes] : {std::pair{1, 24u}, {10, 24u}, {64, 28u}}) {
        SCOPED_TRACE(batch);
        const IterationPlan p = plan(batch);
        EXPECT_LE(p.kernels.size(), nodes);
        EXPECT_EQ(p.barriers(), static_cast<std::int64_t>(p.kernels.size()) - 1);
        for (const PlannedKernel& kernel : p.kernels) {
            EXPECT_FALSE(kernel.launch.name.empty());
            EXPECT_TRUE(kernel.launch.block >= 32 && kernel.launch.block <= 1024);
            EXPECT_GT(kernel.launch.bytes, 0) << kernel.launch.name;
        }
        EXPECT_NE(plan_text(p, {}).find("24 B"), std::string::npos);
    }
}

// The table in docs/architecture.md names the operations in their order.
TEST_F(IterationPlanTest, IsTheTableOfTheArchitecture) {
    std::ifstream page("docs/architecture.md");
    std::vector<std::string> documented;
    bool inside = false;
    for (std::string line; std::getline(page, line);) {
        inside = line == "| step | operations |" || (inside && line.starts_with('|'));
        if (!inside) {
            continue;
        }
        std::istringstream parts(line); // words, a name between backticks, words, ...
        for (std::string words, name;
             std::getline(parts, words, '`') && std::getline(parts, name, '`');) {
            documented.insert(documented.end(),
                              words.ends_with("two ")     ? 2
                              : words.ends_with("three ") ? 3
                                                          : 1,
                              name);
        }
    }
    std::vector<std::string> planned;
    for (const PlannedKernel& kernel : plan(10).kernels) {
        planned.push_back(kernel.launch.name);
    }
    EXPECT_EQ(documented, planned);
}

// Rounding changes no count. It parts linear_backward_adam from 9 rows on instead of from 33, which
// reads weights once more.
TEST_F(IterationPlanTest, CountsTheSameInEveryPrecision) {
    for (const Precision precision : {Precision::tf32, Precision::bf16}) {
        const auto backend = make_cuda_backend(0, {.precision = precision});
        for (const std::int64_t batch : {2, 10, 64}) {
            SCOPED_TRACE(batch);
            const IterationPlan exact = plan(batch);
            const IterationPlan rounded = plan_on(*backend, batch);
            EXPECT_EQ(rounded.operations(), exact.operations());
            if (batch != 10) {
                EXPECT_EQ(rounded.memory_bytes(), exact.memory_bytes());
                EXPECT_EQ(rounded.kernels.size(), exact.kernels.size());
                EXPECT_EQ(rounded.operand_bytes(), exact.operand_bytes());
            }
        }
    }
}

// Lines stay within a terminal, and both forms say what was counted.
TEST_F(IterationPlanTest, IsReportedWithAndWithoutCounts) {
    IterationPlan p = plan(10);
    EXPECT_FALSE(p.counted);
    EXPECT_NE(plan_text(p, {}).find("not counted"), std::string::npos);
    EXPECT_TRUE(Json::parse(plan_json(p, {})).at("counted_bytes").is_null());
    for (PlannedKernel& kernel : p.kernels) {
        KernelTraffic& counted = kernel.counted.emplace();
        counted.read = kernel.launch.bytes;
        counted.written = 1e6;
        counted.partial = 3e9;
    }
    p.counted = true;
    std::istringstream text(plan_text(p, {}));
    for (std::string line; std::getline(text, line);) {
        EXPECT_LE(line.size(), 120u) << line;
    }
    EXPECT_NE(text.str().find("  counted  partial"), std::string::npos);
    const auto json = Json::parse(plan_json(p, {}));
    const double written = 1e6 * static_cast<double>(p.kernels.size());
    EXPECT_EQ(json.at("counted_bytes").number(), p.operand_bytes() + written);
    ASSERT_EQ(json.at("kernels").size(), p.kernels.size());
    const Json& kernel = json.at("kernels").items()[5];
    EXPECT_EQ(kernel.at("bytes").number(), p.kernels[5].launch.bytes);
    EXPECT_EQ(kernel.at("counted").at("partial").number(), 3e9);
    EXPECT_EQ(json.at("barriers").integer(), p.barriers());
}

// One kernel at a time, by hand: 236 blocks of which a multiprocessor has registers for two; and eight
// blocks, whose multiprocessors compute all.
TEST(LeftOut, IsWhatFloorsDoNotCount) {
    PlannedKernel wide;
    wide.launch.grid[0] = 118, wide.launch.grid[1] = 2, wide.launch.grid[2] = 1;
    wide.launch.block = 256;
    wide.launch.resident_blocks = 2;
    wide.launch.bytes = 30e6;
    wide.from_memory = true;
    const PlannedDevice large = {.multiprocessors = 132}, small = {.multiprocessors = 108};
    EXPECT_DOUBLE_EQ(waves_of(wide.launch, large), 236.0 / 264);
    EXPECT_DOUBLE_EQ(waves_of(wide.launch, small), 236.0 / 216);
    EXPECT_EQ(left_out_of(wide, large).whole_waves, 0);
    EXPECT_NEAR(left_out_of(wide, small).whole_waves, 10e-6 * (2 / (236.0 / 216) - 1), 1e-12);
    EXPECT_EQ(left_out_of(wide, small).first_load, small.memory_seconds);
    wide.launch.shared_bytes = 120 * 1024; // one block fits
    EXPECT_DOUBLE_EQ(waves_of(wide.launch, large), 236.0 / 132);

    PlannedKernel narrow;
    narrow.launch.grid[0] = 8, narrow.launch.grid[1] = narrow.launch.grid[2] = 1;
    narrow.launch.block = 256;
    narrow.launch.operations = 6e6;
    narrow.launch.splits = 4;
    EXPECT_EQ(busy_multiprocessors(narrow.launch, large), 8);
    const LeftOut left = left_out_of(narrow, large);
    EXPECT_NEAR(left.idle, 0.1e-6 * (132.0 / 8 - 1), 1e-12);
    EXPECT_EQ(left.first_load, large.l2_seconds);
    EXPECT_EQ(left.split_sum, large.split_seconds);
    narrow.launch.block = 0; // a copy
    EXPECT_EQ(left_out_of(narrow, large).sum(), 0);
}

TEST_F(IterationPlanTest, SaysWhatItLeavesOut) {
    const IterationPlan p = plan(10);
    const std::string text = plan_text(p, {});
    EXPECT_NE(text.find("left out of that, predicted for 132 multiprocessors"), std::string::npos);
    EXPECT_NE(text.find("kernels on at most 33 multiprocessors: 2-5, 8-12"), std::string::npos)
        << text;
    const auto json = Json::parse(plan_json(p, {}));
    const LeftOut left = left_out_of(p, {});
    EXPECT_EQ(json.at("left_out_seconds").at("idle").number(), left.idle);
    EXPECT_GT(left.idle, 0);
    EXPECT_GE(left.first_load, 24 * PlannedDevice{}.l2_seconds);
}

// Launches do not ask the device for more than its multiprocessors, so a plan needs none.
TEST_F(IterationPlanTest, IsTheSameWithoutADevice) {
    for (const std::int64_t batch : {1, 10, 64}) {
        SCOPED_TRACE(batch);
        const auto none = make_planning_backend({.multiprocessors = 132});
        const auto device = make_cuda_backend(0, {.multiprocessors = 132});
        EXPECT_EQ(plan_json(plan_on(*none, batch), {}), plan_json(plan_on(*device, batch), {}));
    }
}

TEST_F(IterationPlanTest, CountsEveryOperandWhenTheCacheIsTooSmall) {
    const IterationPlan p = plan(10, 1e6);
    EXPECT_FALSE(p.fits_cache);
    EXPECT_EQ(p.memory_bytes(), p.operand_bytes());
    EXPECT_GT(p.memory_bytes(), 1.3 * p.adam_bytes());
}

} // namespace
} // namespace patchforge
