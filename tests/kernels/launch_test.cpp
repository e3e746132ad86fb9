// How kernels are launched: on which device and with how many blocks, what a fault of the device says,
// and what is planned where there is none.
#include <gtest/gtest.h>

#include <limits>
#include <thread>

#include "kernels/cuda/architectures.h"
#include "kernels/launch_trace.h"
#include "tests/kernels/backends.h"

#if defined(PATCHFORGE_SIMT)
#include "kernels/cuda/matrix_tile.h"
#include "kernels/cuda/split_sum.h"
#endif

namespace patchforge::testing {
namespace {

class LaunchTest : public ::testing::Test {
  protected:
    void SetUp() override {
        if (const std::string reason = why_missing("cuda"); !reason.empty()) {
            GTEST_SKIP() << reason;
        }
    }
};

struct LaunchLayer {
    LaunchLayer(Backend& backend, std::int64_t rows, std::int64_t inputs, std::int64_t outputs)
        : x(backend, rows * inputs), dz(backend, rows * outputs), weight(backend, outputs * inputs),
          first(backend, outputs * inputs), second(backend, outputs * inputs),
          y(backend, rows * outputs), size{rows, inputs, outputs} {
        backend.fill(x.view(), 0.5f);
        backend.fill(dz.view(), 0.25f);
        backend.fill(weight.view(), 0.125f);
    }
    void forward(Backend& backend) {
        backend.linear_forward(y.matrix(size[0], size[2]), x.matrix(size[0], size[1]),
                               weight.matrix(size[2], size[1]), {}, {});
    }
    void update(Backend& backend) {
        backend.linear_weight_gradient_adam({weight.view(), first.view(), second.view()}, {},
                                            dz.matrix(size[0], size[2]), x.matrix(size[0], size[1]),
                                            {});
    }
    std::vector<float> result() const {
        std::vector<float> values(static_cast<std::size_t>(weight.size() + y.size()));
        weight.download(values.data(), weight.size());
        y.download(values.data() + weight.size(), y.size());
        return values;
    }

    DeviceArray<float> x, dz, weight, first, second, y;
    std::int64_t size[3];
};

TEST(Architectures, SayWhatTheDriverCompiles) {
    using cuda::why_compiled_at_first;
    const std::vector<int> two = {800, 900};
    EXPECT_EQ(why_compiled_at_first(8, 0, two), "");
    EXPECT_EQ(why_compiled_at_first(8, 9, two), "") << "code for 8.0 runs on 8.9";
    EXPECT_EQ(why_compiled_at_first(9, 0, two), "");
    EXPECT_NE(why_compiled_at_first(12, 0, two)
                  .find("none for compute capability 12.0, only for "
                        "8.0, 9.0: the driver compiles"),
              std::string::npos);
    EXPECT_NE(why_compiled_at_first(8, 6, {890, 900}).find("no kernel can run"), std::string::npos);
    EXPECT_EQ(why_compiled_at_first(12, 1, {800, 860, 890, 900, 1000, 1200}), "");
}

TEST_F(LaunchTest, CheckedLaunchesChangeNoBit) {
    const auto run = [](bool checked) {
        const auto backend = make_cuda_backend(0, {.check_launches = checked});
        LaunchLayer layer(*backend, 3, 70, 33);
        const auto recording = backend->record([&] {
            layer.forward(*backend);
            layer.update(*backend);
        });
        recording->replay(3);
        return layer.result();
    };
    EXPECT_EQ(run(true), run(false));
}

TEST_F(LaunchTest, APlanLaunchesWhatTheDeviceWould) {
    for (const int multiprocessors : {108, 132}) {
        const BackendOptions options = {.multiprocessors = multiprocessors};
        const auto launches = [&](Backend& backend) {
            LaunchLayer layer(backend, 10, 7500, 256);
            std::vector<KernelLaunch> all = trace_launches([&] {
                backend.record([&] {
                    layer.forward(backend);
                    layer.update(backend);
                    backend.copy(layer.y.data(), layer.dz.data(), 40);
                });
            });
            return all;
        };
        const auto planned = launches(*make_planning_backend(options));
        const auto real = launches(*make_cuda_backend(0, options));
        ASSERT_EQ(real.size(), 3u);
        ASSERT_EQ(planned.size(), 3u) << planned[0].name << planned[1].name;
        for (std::size_t i = 0; i < 3; ++i) {
            EXPECT_EQ(planned[i].name, real[i].name);
            EXPECT_TRUE(std::equal(planned[i].grid, planned[i].grid + 3, real[i].grid));
            EXPECT_EQ(planned[i].bytes, real[i].bytes);
            EXPECT_EQ(planned[i].splits, real[i].splits);
            EXPECT_EQ(planned[i].resident_blocks, real[i].resident_blocks);
        }
        EXPECT_GT(real[0].splits, 1u);
        EXPECT_EQ(real[1].splits, 1u);
        EXPECT_EQ(real[1].grid[1], multiprocessors == 108 ? 3u : 2u);
    }
}

// What needs the executor, or headers of kernels.
#if defined(PATCHFORGE_SIMT)

TEST(PlanParts, GivesTheLongestMultiprocessorTheLeast) {
    using cuda::plan_parts;
    // 7500 x 256 at two blocks a multiprocessor: 118 columns of blocks, 8 units of 32 rows.
    EXPECT_EQ(plan_parts(256, 118, 32, 264).splits, 2u); // 236 blocks of 4: one wave
    EXPECT_EQ(plan_parts(256, 118, 32, 132).splits, 1u); // 118 of 8
    EXPECT_EQ(plan_parts(256, 118, 32, 108).splits,
              2u); // 236 of 4 in three waves, not 118 of 8 in two
    EXPECT_EQ(plan_parts(256, 118, 32, 216).splits, 3u); // 354 of 3 in two
    EXPECT_EQ(plan_parts(1, 1, 32, 132).splits, 1u);
    for (const std::int64_t total : {1, 31, 32, 33, 257, 7499}) {
        for (const int places : {1, 108, 264}) {
            const cuda::SplitPlan plan = plan_parts(total, 5, 32, places);
            EXPECT_TRUE(plan.length % 32 == 0 && plan.length * plan.splits >= total &&
                        plan.length * (plan.splits - 1) < total)
                << total << " " << places;
        }
    }
}

TEST_F(LaunchTest, RefusesLayersWiderThanThirtyTwoBitsAddress) {
    const auto backend = make_cuda_backend(0);
    const std::int64_t wide = cuda::widest_row + 1;
    EXPECT_GT(wide * 127, std::numeric_limits<int>::max() - wide)
        << "not the least that is refused";
    const Matrix<const float> x = {nullptr, 1, wide}, weight = {nullptr, 1, wide};
    const AdamTensor tensor = {{nullptr, wide}, {nullptr, wide}, {nullptr, wide}};
    const Matrix<float> dx = {nullptr, 1, wide}, y = {nullptr, 1, 1};
    const Matrix<const float> dz = {nullptr, 1, 1};
    EXPECT_THROW(backend->linear_forward(y, x, weight, {}, {}), std::invalid_argument);
    EXPECT_THROW(backend->linear_input_gradient(dx, dz, weight, x, {}), std::invalid_argument);
    EXPECT_THROW(backend->linear_weight_gradient(dx, {}, dz, x, false), std::invalid_argument);
    EXPECT_THROW(backend->linear_weight_gradient_adam(tensor, {}, dz, x, {}),
                 std::invalid_argument);
    try {
        backend->linear_backward_adam(dx, tensor, {}, dz, x, {}, {});
        ADD_FAILURE() << "no error";
    } catch (const std::invalid_argument& error) {
        EXPECT_STREQ(error.what(),
                     "linear_backward_adam: a layer of 16777216 inputs or outputs; at "
                     "most 16777215 on a GPU");
    }
}

// What a call says that fails; empty if it does not.
template <class Call>
std::string error_of(Call call) {
    try {
        call();
        return {};
    } catch (const std::runtime_error& error) {
        return error.what();
    }
}

TEST_F(LaunchTest, AFaultIsReportedWithTheKernelWhereLaunchesAreChecked) {
    for (const bool checked : {false, true}) {
        SCOPED_TRACE(checked);
        const auto backend = make_cuda_backend(0, {.check_launches = checked});
        LaunchLayer layer(*backend, 3, 70, 33);
        const auto recording = backend->record([&] {
            layer.forward(*backend);
            layer.update(*backend);
            backend->fill(layer.y.view(), 1.0f);
        });
        simt::fail_in("linear_weight_gradient_adam");
        const std::string at_replay = error_of([&] { recording->replay(); });
        const std::string at_download = error_of([&] { layer.result(); });
        simt::fail_in(nullptr);
        if (checked) {
            EXPECT_EQ(at_replay.find("cuda: kernel linear_weight_gradient_adam, grid 2 x "), 0u)
                << at_replay;
            EXPECT_NE(at_replay.find("cudaErrorIllegalAddress"), std::string::npos) << at_replay;
        } else {
            EXPECT_EQ(at_replay, "") << "a replay does not wait";
            EXPECT_EQ(at_download.find("linear_weight_gradient_adam"), std::string::npos);
            EXPECT_NE(at_download.find("--check-launches names it"), std::string::npos)
                << at_download;
        }
    }
}

TEST_F(LaunchTest, AnyThreadUsesTheDeviceOfTheBackend) {
    simt::set_device_count(2);
    {
        std::unique_ptr<Backend> backend;
        std::thread([&] { backend = make_cuda_backend(1); }).join();
        std::string failed;
        std::thread([&] {
            failed = error_of([&] {
                LaunchLayer layer(*backend, 3, 70, 33);
                const auto recording = backend->record([&] { layer.forward(*backend); });
                recording->replay();
                layer.result();
            });
        }).join();
        EXPECT_EQ(failed, "");
    }
    simt::set_device_count(1);
}

#endif

} // namespace
} // namespace patchforge::testing
