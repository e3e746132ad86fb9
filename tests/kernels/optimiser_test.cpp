// Adam and the moving average against the oracle.
#include "tests/kernels/backends.h"
#include "tests/kernels/operands.h"

namespace patchforge::testing {
namespace {

class OptimiserTest : public BackendTest {
  protected:
    // `steps` steps of Adam on `tensor`, whose iteration counter starts at `first`.
    void run(TensorUnderAdam& tensor, Adam adam, std::uint64_t first, int steps,
             std::vector<std::vector<float>> gradients, std::uint32_t stride = 1,
             std::uint32_t offset = 0, int shift = 0) {
        for (int n = 0; n < steps; ++n) {
            const DeviceStep step(backend(), first + n, stride, offset);
            adam.step = step.count();
            const auto& gradient = gradients[n % gradients.size()];
            const auto on_device = GuardedArray<float>::input(backend(), gradient, shift);
            backend().adam(tensor.tensor(), on_device.view(), adam);
            tensor.expect_step(oracle::to_double(gradient), std::vector<double>(gradient.size()),
                               adam, step.value());
            tensor.compare(static_cast<std::int64_t>(gradient.size()),
                           describe("after step", step.value()));
        }
    }

    static std::vector<std::vector<float>> gradients(std::int64_t size, float scale) {
        std::vector<std::vector<float>> all;
        for (std::uint64_t n = 0; n < 5; ++n) {
            all.push_back(random_values(50 + n, size, -scale, scale));
        }
        return all;
    }

    TensorUnderAdam fresh(std::int64_t size, int shift = 0) {
        const std::vector<float> zeros(static_cast<std::size_t>(size));
        return {backend(), random_values(40, size), zeros, zeros, shift};
    }
};
PATCHFORGE_ON_EVERY_BACKEND(OptimiserTest);

TEST_P(OptimiserTest, FiveStepsFromTheStart) {
    for (const std::int64_t size : {1, 2, 31, 33, 64, 255, 256, 257, 7499, 7500}) {
        for (const float beta1 : {0.9f, 0.5f, 0.0f}) {
            const int shift = static_cast<int>(size % 4);
            SCOPED_TRACE(describe("size", size, "beta1", beta1, "shift", shift));
            TensorUnderAdam tensor = fresh(size, shift);
            run(tensor, {.beta1 = beta1}, 0, 5, gradients(size, 0.1f), 1, 0, shift);
        }
    }
}

// A recording keeps what t decides from one iteration to the next: whatever is recorded, the bits are
// those of the same operations one by one. Two optimisers, one with two steps an iteration; one that
// is first seen behind finish_iteration; and many more than are kept.
TEST_P(OptimiserTest, RecordedStepsAreThoseOfTheOperations) {
    constexpr std::int64_t size = 33;
    constexpr int many = 20;
    struct Weights {
        std::vector<GuardedArray<float>> arrays;
        AdamTensor at(int i) const {
            return {arrays[3 * i].view(), arrays[3 * i + 1].view(), arrays[3 * i + 2].view()};
        }
    };
    const auto fresh_weights = [&] {
        Weights weights;
        for (std::uint64_t i = 0; i < 3 * (3 + many); ++i) {
            weights.arrays.push_back(
                GuardedArray<float>::changing(backend(), random_values(80 + i, size, 0.1f, 1)));
        }
        return weights;
    };
    const auto gradient = GuardedArray<float>::input(backend(), random_values(79, size));
    const auto history = GuardedArray<float>::output(backend(), 4);
    const auto metric = GuardedArray<float>::input(backend(), {1});
    DeviceArray<std::uint64_t> step(backend(), 1);
    const auto set_step = [&](std::uint64_t value) { step.upload(&value, 1); };
    const auto iteration = [&](const Weights& weights, int others) {
        const Adam d = {.learning_rate = 0.01f, .beta1 = 0.5f, .step = {step.data(), 2, 0}};
        Adam second = d;
        second.step.offset = 1;
        const Adam g = {.beta2 = 0.99f,
                        .step = {step.data(), 1, 0},
                        .schedule = {RateSchedule::Shape::cosine, 0.1f, 0, 9}};
        backend().adam(weights.at(0), gradient.view(), d);
        backend().adam(weights.at(0), gradient.view(), second);
        backend().adam(weights.at(1), gradient.view(), g);
        for (int i = 0; i < others; ++i) {
            Adam other = g;
            other.learning_rate = 0.001f * static_cast<float>(i + 1);
            backend().adam(weights.at(3 + i), gradient.view(), other);
        }
        backend().finish_iteration(step.data(), history.matrix(4, 1), metric.view());
        Adam late = g;
        late.beta1 = 0.25f;
        backend().adam(weights.at(2), gradient.view(), late);
    };
    for (const int others : {0, many}) {
        SCOPED_TRACE(describe("others", others));
        const Weights recorded = fresh_weights(), alone = fresh_weights();
        const auto recording = backend().record([&] {
            iteration(recorded, others);
            iteration(recorded, others);
        });
        for (const std::uint64_t start : {0, 3, 4}) { // once where the last replay ended, once not
            set_step(start);
            recording->replay(start == 0 ? 2 : 1);
            set_step(start);
            for (int i = 0; i < (start == 0 ? 4 : 2); ++i) {
                iteration(alone, others);
            }
        }
        for (std::size_t i = 0; i < recorded.arrays.size(); ++i) {
            EXPECT_EQ(recorded.arrays[i].values(), alone.arrays[i].values()) << i;
        }
    }
}

// The count of steps is *step * stride + offset, as in an iteration with several steps of one
// network.
TEST_P(OptimiserTest, CountsByStrideAndOffset) {
    TensorUnderAdam tensor = fresh(257);
    run(tensor, {.learning_rate = 0.01f}, 0, 5, gradients(257, 1), 5, 3);
}

TEST_P(OptimiserTest, LateSteps) {
    for (const std::uint64_t first : {1000ull, 300'000ull, 5'000'000'000ull}) {
        SCOPED_TRACE(describe("step", first));
        TensorUnderAdam tensor(backend(), 60, 257, 0);
        run(tensor, {.learning_rate = 0.01f}, first, 3, gradients(257, 1));
    }
}

TEST_P(OptimiserTest, RateDecaysLinearlyToZero) {
    TensorUnderAdam tensor(backend(), 61, 33, 0);
    run(tensor, {.learning_rate = 0.01f, .schedule = {RateSchedule::Shape::linear, 1, 3, 8}}, 1, 10,
        gradients(33, 1));
}

TEST_P(OptimiserTest, RateFallsAsHalfAWave) {
    TensorUnderAdam tensor(backend(), 65, 33, 0);
    run(tensor, {.learning_rate = 0.01f, .schedule = {RateSchedule::Shape::cosine, 1, 3, 9}}, 1, 10,
        gradients(33, 1));
}

TEST_P(OptimiserTest, RateFallsInSteps) {
    TensorUnderAdam tensor(backend(), 66, 33, 0);
    run(tensor, {.learning_rate = 0.01f, .schedule = {RateSchedule::Shape::step, 0.3f, 2, 5}}, 1,
        12, gradients(33, 1));
    // Stages of one step: 3^-16 of the rate, by squaring.
    run(tensor, {.learning_rate = 10, .schedule = {RateSchedule::Shape::step, 1 / 3.0f, 0, 1}}, 16,
        2, gradients(33, 1));
}

TEST_P(OptimiserTest, RateOfZeroLeavesTheValues) {
    const auto before = random_values(62, 100);
    const auto w = GuardedArray<float>::input(backend(), before); // an input: must not change
    const auto m = GuardedArray<float>::changing(backend(), std::vector<float>(100, 1));
    const auto v = GuardedArray<float>::changing(backend(), std::vector<float>(100, 1));
    const auto g = GuardedArray<float>::input(backend(), random_values(63, 100));
    const DeviceStep step(backend(), 8, 1, 0);
    backend().adam({w.view(), m.view(), v.view()}, g.view(),
                   {.step = step.count(), .schedule = {RateSchedule::Shape::linear, 1, 3, 8}});
    EXPECT_NE(m.values()[0], 1);
}

TEST_P(OptimiserTest, ClipsAfterTheUpdate) {
    TensorUnderAdam tensor(backend(), 64, 257, 1);
    run(tensor, {.learning_rate = 0.05f, .clip = 0.01f}, 0, 3, gradients(257, 1));
    TensorUnderAdam wide(backend(), 64, 257, 1);
    run(wide, {.learning_rate = 0.05f, .clip = 0.5f}, 0, 3, gradients(257, 1));
}

// Gradients whose squares underflow move nothing by more than epsilon allows; without any gradient
// nothing moves at all.
TEST_P(OptimiserTest, TinyAndZeroGradients) {
    for (const float scale : {1e-6f, 1e-12f, 1e-20f, 1e-30f, 0.0f}) {
        SCOPED_TRACE(describe("scale", scale));
        TensorUnderAdam tensor = fresh(257);
        run(tensor, {}, 0, 5, gradients(257, scale));
    }
}

TEST_P(OptimiserTest, HugeGradients) {
    for (const float scale : {1e6f, 1e12f, 1e18f}) {
        SCOPED_TRACE(describe("scale", scale));
        TensorUnderAdam tensor = fresh(257);
        run(tensor, {}, 0, 5, gradients(257, scale));
    }
}

TEST_P(OptimiserTest, MovingAverage) {
    for (const std::int64_t size : {1, 33, 255, 257, 7500}) {
        for (const float decay : {0.0f, 0.5f, 0.999f, 1.0f}) {
            const int shift = static_cast<int>(size % 4);
            SCOPED_TRACE(describe("size", size, "decay", decay));
            const auto before = random_values(70, size), value = random_values(71, size);
            const auto average = GuardedArray<float>::changing(backend(), before, shift);
            const auto on_device = GuardedArray<float>::input(backend(), value, shift);
            backend().moving_average(average.view(), on_device.view(), {decay});
            std::vector<double> expected;
            for (std::size_t e = 0; e < before.size(); ++e) {
                expected.push_back(double{decay} * before[e] + (1 - double{decay}) * value[e]);
            }
            expect_close(average.values(), expected, 4 * unit_roundoff, "average");
        }
    }
}

TEST_P(OptimiserTest, MovingAverageThatWarmsUp) {
    DeviceArray<std::uint64_t> step(backend(), 1);
    const auto before = random_values(72, 9), value = random_values(73, 9);
    for (const std::uint64_t t : {0, 1, 40, 3590, 100000}) {
        step.upload(&t, 1);
        const auto average = GuardedArray<float>::changing(backend(), before, 0);
        const auto on_device = GuardedArray<float>::input(backend(), value, 0);
        backend().moving_average(average.view(), on_device.view(),
                                 {0.9975f, true, {step.data(), 1, 0}});
        const double early = (1 + static_cast<double>(t)) / (10 + static_cast<double>(t));
        const double kept = early < double{0.9975f} ? early : double{0.9975f};
        std::vector<double> expected;
        for (std::size_t e = 0; e < before.size(); ++e) {
            expected.push_back(kept * before[e] + (1 - kept) * value[e]);
        }
        expect_close(average.values(), expected, 4 * unit_roundoff, "average");
    }
}

} // namespace
} // namespace patchforge::testing
