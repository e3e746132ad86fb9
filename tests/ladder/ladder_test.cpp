// Every rung of bench/ladder against the float64 oracle, on sizes that leave tails in every split.
#include "bench/ladder/ladder.h"

#include <gtest/gtest.h>

#include <cuda_runtime.h>

#include "tests/kernels/backends.h"
#include "tests/kernels/operands.h"

namespace patchforge::testing {
namespace {

using ladder::Forward;
using ladder::Update;

struct Size {
    std::int64_t rows, inputs, outputs;
};
// 7500 x 7: the mission's row length. Others: less than a block, and tails of 4.
constexpr Size sizes[] = {{20, 7500, 7}, {1, 4, 1}, {10, 132, 33}, {32, 1028, 40}, {3, 260, 9}};

class LadderTest : public ::testing::Test {
  protected:
    void SetUp() override {
        if (const std::string reason = why_missing("cuda"); !reason.empty()) {
            GTEST_SKIP() << reason;
        }
        backend_ = make_backend_under_test("cuda");
    }
    template <class Problem>
    void run(const ladder::Rung<Problem>& rung, const Problem& problem) {
        ladder::enqueue(rung, problem, *backend_, nullptr);
        backend_->synchronise();
        ASSERT_EQ(cudaDeviceSynchronize(), cudaSuccess);
    }
    std::unique_ptr<Backend> backend_;
};

TEST_F(LadderTest, EveryForwardRungComputesTheLayer) {
    ASSERT_EQ(ladder::forward_rungs().back().launch, nullptr)
        << "the last rung is the shipped kernel";
    for (const Size& size : sizes) {
        const std::uint64_t seed = 17;
        const auto x = random_values(seed, size.rows * size.inputs);
        const auto weight = random_values(seed + 1, size.outputs * size.inputs);
        const auto bias = random_values(seed + 2, size.outputs);
        const oracle::Products expected =
            oracle::linear({size.rows, size.inputs, x}, {size.outputs, size.inputs, weight},
                           oracle::to_double(bias));
        std::vector<double> tolerance;
        for (const double magnitude : expected.magnitude.values) {
            tolerance.push_back(sum_bound(size.inputs, magnitude));
        }
        const auto device_x = GuardedArray<float>::input(*backend_, x);
        const auto device_weight = GuardedArray<float>::input(*backend_, weight);
        const auto device_bias = GuardedArray<float>::input(*backend_, bias);
        const DeviceArray<float> partial(*backend_, cuda::workspace_bytes / 4);
        const DeviceArray<unsigned> arrived(*backend_, cuda::workspace_counters);
        for (const auto& rung : ladder::forward_rungs()) {
            SCOPED_TRACE(describe(rung.name, "", "rows", size.rows, "inputs", size.inputs,
                                  "outputs", size.outputs, "seed", seed));
            const auto y = GuardedArray<float>::output(*backend_, size.rows * size.outputs);
            run(rung, Forward{y.matrix(size.rows, size.outputs),
                              device_x.matrix(size.rows, size.inputs),
                              device_weight.matrix(size.outputs, size.inputs),
                              device_bias.const_view(),
                              {partial.data(), arrived.data()}});
            expect_close(y.values(), expected.value.values, tolerance, size.outputs, rung.name);
        }
    }
}

TEST_F(LadderTest, EveryUpdateRungTakesAStepOfAdam) {
    ASSERT_EQ(ladder::update_rungs().back().launch, nullptr)
        << "the last rung is the shipped kernel";
    for (const Size& size : sizes) {
        const std::uint64_t seed = 23;
        const auto x = random_values(seed, size.rows * size.inputs);
        const auto dz = random_values(seed + 1, size.rows * size.outputs);
        const oracle::Products gradient = oracle::linear_weight_gradient(
            {size.rows, size.outputs, dz}, {size.rows, size.inputs, x});
        const auto device_x = GuardedArray<float>::input(*backend_, x);
        const auto device_dz = GuardedArray<float>::input(*backend_, dz);
        const DeviceStep step(*backend_, 41, 1, 0);
        const Adam adam = {.learning_rate = 2e-4f, .beta1 = 0.5f, .step = step.count()};
        for (const auto& rung : ladder::update_rungs()) {
            SCOPED_TRACE(describe(rung.name, "", "rows", size.rows, "inputs", size.inputs,
                                  "outputs", size.outputs, "seed", seed));
            TensorUnderAdam tensor(*backend_, seed + 2, size.outputs * size.inputs, 0);
            const auto stored = GuardedArray<float>::output(*backend_, size.outputs * size.inputs);
            run(rung, Update{tensor.tensor(), device_dz.matrix(size.rows, size.outputs),
                             device_x.matrix(size.rows, size.inputs), adam, stored.view()});
            tensor.expect_step(gradient, size.rows, adam, step.value());
            tensor.compare(size.inputs, rung.name);
        }
    }
}

} // namespace
} // namespace patchforge::testing
