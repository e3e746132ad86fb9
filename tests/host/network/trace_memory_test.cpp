// Values that share memory by lifetime: no two that live at once, and the same bytes as where every value
// has a place of its own.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "host/files/safetensors.h"
#include "host/network/lifetimes.h"
#include "host/network/named_networks.h"
#include "host/network/trace.h"
#include "tests/kernels/backends.h"

namespace patchforge {
namespace {

constexpr std::uint64_t memory_seed = 877;

TEST(PlanMemory, ValuesThatLiveAtOnceShareNothing) {
    std::mt19937 engine(memory_seed);
    const auto draw = [&](int low, int high) {
        return std::uniform_int_distribution<int>(low, high)(engine);
    };
    for (int round = 0; round < 200; ++round) {
        std::vector<Lifetime> values;
        for (int count = draw(1, 40); count > 0; --count) {
            const int first = draw(0, 30);
            values.push_back({draw(0, 3) == 0 ? draw(0, 5) : draw(1, 5000), first,
                              first + draw(0, draw(0, 2) == 0 ? 30 : 3)});
        }
        const MemoryPlan plan = plan_memory(values);
        ASSERT_EQ(plan.offsets.size(), values.size());
        std::int64_t alone = 0, most_at_once = 0;
        for (std::size_t a = 0; a < values.size(); ++a) {
            EXPECT_EQ(plan.offsets[a] % 64, 0);
            EXPECT_LE(plan.offsets[a] + values[a].size, plan.size);
            alone += (values[a].size + 63) / 64 * 64;
            for (std::size_t b = 0; b < a; ++b) {
                const bool at_once =
                    values[a].first <= values[b].last && values[b].first <= values[a].last;
                const bool apart = plan.offsets[a] + values[a].size <= plan.offsets[b] ||
                                   plan.offsets[b] + values[b].size <= plan.offsets[a];
                EXPECT_TRUE(!at_once || apart) << a << " and " << b << ", seed " << memory_seed;
            }
        }
        for (int step = 0; step <= 60; ++step) {
            std::int64_t now = 0;
            for (const Lifetime& value : values) {
                now += value.first <= step && step <= value.last ? value.size : 0;
            }
            most_at_once = std::max(most_at_once, now);
        }
        EXPECT_GE(plan.size, most_at_once);
        EXPECT_LE(plan.size, alone);
        EXPECT_EQ(plan.apart, alone);
    }
}

TEST(PlanMemory, AChainOfEqualValuesTakesTwo) {
    std::vector<Lifetime> chain;
    for (int i = 0; i < 9; ++i) {
        chain.push_back({640, i, i + 1});
    }
    EXPECT_EQ(plan_memory(chain).size, 2 * 640);
}

class TraceMemory : public testing::BackendTest {
  protected:
    static constexpr std::int64_t rows = 4;

    template <class T>
    std::vector<T> download(const T* from, std::int64_t count) {
        std::vector<T> host(static_cast<std::size_t>(count));
        backend().download(host.data(), from, host.size() * sizeof(T));
        return host;
    }

    // Everything that a step and a look back in evaluation leave behind, on memory that held NaN.
    std::vector<std::vector<float>> results(const NetworkShape& shape, const TraceUse& use,
                                            double& share) {
        Network network(backend(), shape);
        network.initialise(memory_seed, 1);
        const TensorFile beginning = network.weights();
        Trace trace(network, rows + 1, use);
        share = static_cast<double>(trace.room()) / static_cast<double>(trace.room_apart());
        const std::int64_t inputs = shape.inputs();
        DeviceArray<float> input(backend(), rows * inputs), d_input(backend(), rows * inputs);
        DeviceArray<float> gradients(backend(), network.all().value.size);
        std::vector<std::vector<float>> all;
        const auto add = [&](Matrix<const float> matrix) {
            all.push_back(download(matrix.data, matrix.size()));
        };
        const auto pass = [&](bool training) {
            add(trace.forward(input.matrix(rows, inputs),
                              {training, memory_seed, 9, {}, training ? 2 : 1}));
            for (const int head : shape.heads()) {
                add(trace.output(head));
                backend().fill_normal(trace.gradient(head).flat(), 0, 1, {memory_seed, 12, {}});
            }
        };
        for (const bool poison : {true, false}) {
            all.clear();
            backend().fill(d_input.view(), NAN);
            if (poison) {
                backend().fill(input.view(), NAN);
            } else {
                backend().fill_normal(input.view(), 0, 1, {memory_seed, 11, {}});
                network.load_weights(beginning, "test");
            }
            if (use.training) {
                pass(true);
                trace.backward_gradients(gradients.view(), false, d_input.matrix(rows, inputs));
                add({gradients.data(), 1, gradients.size()});
                add(d_input.matrix(rows, inputs));
                trace.backward_gradients(gradients.view(), true); // a second pass after one forward
                add({gradients.data(), 1, gradients.size()});
            }
            pass(false);
            trace.backward_input(d_input.matrix(rows, inputs));
            add(d_input.matrix(rows, inputs));
            const Vector<float> state = network.state();
            add({state.data, 1, state.size});
        }
        return all;
    }

    void check(const std::string& text, double at_most = 0.99, double at_most_forward = 0.99) {
        SCOPED_TRACE(text);
        const NetworkShape shape = network_shape_from_description(text);
        double planned = 0, evaluation = 0, apart = 0;
        const auto expected = results(shape, {.everything = true}, apart);
        for (const std::vector<float>& numbers : expected) {
            ASSERT_TRUE(std::all_of(numbers.begin(), numbers.end(),
                                    [](float number) { return std::isfinite(number); }));
        }
        EXPECT_EQ(results(shape, {}, planned), expected);
        EXPECT_LE(planned, at_most);
        const auto without = results(shape, {.training = false, .everything = true}, apart);
        EXPECT_EQ(results(shape, {.training = false}, evaluation), without);
        EXPECT_LE(evaluation, at_most);

        // Forward alone, where outputs share memory as well.
        Network network(backend(), shape);
        network.initialise(memory_seed, 1);
        Trace alone(network, rows, {.training = false, .backward = false}),
            kept(network, rows, {.training = false, .everything = true});
        EXPECT_LE(static_cast<double>(alone.room()),
                  at_most_forward * static_cast<double>(alone.room_apart()));
        DeviceArray<float> input(backend(), rows * shape.inputs());
        backend().fill_normal(input.view(), 0, 1, {memory_seed, 11, {}});
        std::vector<std::vector<float>> outputs;
        for (Trace* trace : {&alone, &kept}) {
            trace->forward(input.matrix(rows, shape.inputs()));
            for (const int head : shape.heads()) {
                outputs.push_back(download(trace->output(head).data, trace->output(head).size()));
            }
        }
        const auto half = outputs.begin() + std::ssize(outputs) / 2;
        EXPECT_TRUE(std::equal(outputs.begin(), half, half, outputs.end()));
    }
};
INSTANTIATE_TEST_SUITE_P(Every, TraceMemory, ::testing::Values("cpu", "cuda"));

TEST_P(TraceMemory, SharedMemoryGivesTheSameBytes) {
    // Skips read twice, a head on the way, values that only sums read, compared rows, dropout.
    check(
        "3x8x8; conv 3>6 k3 p1 norm=batch leaky_relu as=a; conv 6>6 k3 p1 nobias norm=batch; add a "
        "relu as=b; conv 6>1 k3 p1 from=b head; pool max k2 from=b; nearest; concat a; conv 12>4 "
        "k4 "
        "s2 p1 norm=instance leaky_relu; conv 4>4 k3 p1 spectral norm=group:2; pool average k2; "
        "linear 16>9 relu dropout=0.3; 9>2",
        0.85, 0.65);
    check("90>80 norm=batch leaky_relu; 80>70 relu closeness=30x2; 100>70 leaky_relu dropout=0.5; "
          "70>3");
}

TEST_P(TraceMemory, RefusesWhatDoesNotStay) {
    const NetworkShape shape = network_shape_from_description("6>5; 5>4 relu; 4>2");
    Network network(backend(), shape);
    Trace forward(network, rows, {.training = false, .backward = false});
    DeviceArray<float> input(backend(), rows * 6);
    forward.forward(input.matrix(rows, 6));
    EXPECT_THROW(forward.output(0), std::logic_error);
    EXPECT_NO_THROW(forward.output(2));
    forward.keep(0);
    forward.forward(input.matrix(rows, 6));
    EXPECT_NO_THROW(forward.output(0));
    EXPECT_THROW(forward.forward(input.matrix(rows, 6), {.training = true}), std::logic_error);
}

class NamedTraceMemory : public TraceMemory {};
INSTANTIATE_TEST_SUITE_P(OnCpu, NamedTraceMemory, ::testing::Values("cpu"));

TEST_P(NamedTraceMemory, NamedNetworks) {
    const Extent in{3, 16, 16};
    for (const char* name : {"cnn", "resnet", "vgg"}) {
        check(classifier_text(name, in, 2), 0.85, 0.7);
    }
    for (const char* name : {"dcgan", "light", "tissue", "tissue-multiscale", "resnet"}) {
        const GanTexts texts = gan_texts(name, in, 12);
        check(texts.generator);
        check(texts.discriminator);
    }
}

} // namespace
} // namespace patchforge
