// The executor runs correct kernels correctly: threads, barriers, warp functions, atomics, shared
// memory, cooperative grids, asynchronous copies; and refuses what no GPU would run.
#include "kernels/cuda/device.h"
#include "tests/simt/planted/planted.h"

#include <gtest/gtest.h>
#include <simt_instructions.h>

#include <algorithm>
#include <cmath>
#include <cstring>

namespace {

using patchforge::cuda::launch;
using patchforge::cuda::shared;
using patchforge::cuda::spin_until;
using planted::Array;

constexpr unsigned full_mask = 0xffffffffu;

// Every test runs under each schedule.
class Executor : public testing::TestWithParam<const char*> {
  protected:
    void SetUp() override { simt::set_schedule(simt::parse_schedule(GetParam())); }
    void TearDown() override {
        simt::set_schedule({});
        EXPECT_EQ(simt::live_allocations(), 0u);
    }
};

INSTANTIATE_TEST_SUITE_P(Schedules, Executor,
                         testing::Values("forward", "reverse", "random:1", "random:2"),
                         [](const auto& info) {
                             std::string name = info.param;
                             std::replace(name.begin(), name.end(), ':', '_');
                             return name;
                         });

std::string failure_of(void (*run)(), simt::Finding finding) {
    try {
        run();
    } catch (const simt::Failure& failure) {
        EXPECT_EQ(failure.finding(), finding) << failure.what();
        return failure.what();
    }
    ADD_FAILURE() << "nothing was found";
    return {};
}

__global__ void write_indices(float* out) {
    const unsigned block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
    out[block * blockDim.x + threadIdx.x] = static_cast<float>(block * 1000 + threadIdx.x);
}

TEST_P(Executor, EveryThreadOfEveryBlockRunsOnce) {
    Array out(24 * 96);
    launch(write_indices, {.grid = dim3(2, 3, 4), .block = 96, .name = "write_indices"},
           out.data());
    const auto values = out.values();
    for (unsigned i = 0; i < values.size(); ++i) {
        EXPECT_EQ(values[i], static_cast<float>(i / 96 * 1000 + i % 96)) << i;
    }
}

template <class T>
__global__ void shuffle_kinds(T* out, int width) {
    const unsigned lane = threadIdx.x % 32;
    const T value = static_cast<T>(lane) + static_cast<T>(100) * static_cast<T>(threadIdx.x / 32);
    T* row = out + threadIdx.x * 4;
    row[0] = __shfl_sync(full_mask, value, 3, width);
    row[1] = __shfl_up_sync(full_mask, value, 5, width);
    row[2] = __shfl_down_sync(full_mask, value, 5, width);
    row[3] = __shfl_xor_sync(full_mask, value, 6, width);
}

template <class T>
void check_shuffles() {
    for (const int width : {1, 2, 4, 8, 16, 32}) {
        T* out = nullptr;
        PATCHFORGE_CUDA_CHECK(cudaMalloc(&out, 64 * 4 * sizeof(T)));
        launch(shuffle_kinds<T>, {.grid = dim3(1), .block = 64, .name = "shuffle_kinds"}, out,
               width);
        T values[64][4];
        PATCHFORGE_CUDA_CHECK(cudaMemcpy(values, out, sizeof values, cudaMemcpyDeviceToHost));
        PATCHFORGE_CUDA_CHECK(cudaFree(out));
        for (int thread = 0; thread < 64; ++thread) {
            const int lane = thread % 32, first = lane / width * width, place = lane - first;
            const auto of = [&](int from) { return static_cast<T>(from + thread / 32 * 100); };
            EXPECT_EQ(values[thread][0], of(first + 3 % width));
            EXPECT_EQ(values[thread][1], of(place >= 5 ? lane - 5 : lane));
            EXPECT_EQ(values[thread][2], of(place + 5 < width ? lane + 5 : lane));
            EXPECT_EQ(values[thread][3], of((lane ^ 6) < first + width ? lane ^ 6 : lane))
                << "lane " << lane << " of width " << width;
        }
    }
}

TEST_P(Executor, ShufflesReachWithinTheirWidth) {
    check_shuffles<float>();
    check_shuffles<double>();
    check_shuffles<int>();
    check_shuffles<long long>();
}

// The lanes of `mask` sum among themselves; the others do something else meanwhile.
__global__ void masked_sum(float* out, unsigned mask) {
    const unsigned lane = threadIdx.x;
    float sum = static_cast<float>(lane);
    if (mask >> lane & 1u) {
        float total = 0.0f;
        for (unsigned source = 0; source < 32; ++source) {
            if (mask >> source & 1u) {
                total += __shfl_sync(mask, sum, static_cast<int>(source));
            }
        }
        sum = total;
    } else {
        sum = static_cast<float>(__popc(__ballot_sync(~mask, lane % 2 == 0)));
    }
    out[lane] = sum;
}

TEST_P(Executor, PartsOfAWarpMeetSeparately) {
    for (const unsigned mask : {0x0000ffffu, 0x80000001u, 0x5a5a5a5au, 0xfffffffeu}) {
        Array out(32);
        launch(masked_sum, {.grid = dim3(1), .block = 32, .name = "masked_sum"}, out.data(), mask);
        float sum = 0, even = 0;
        for (unsigned lane = 0; lane < 32; ++lane) {
            const bool named = mask >> lane & 1u;
            sum += named ? static_cast<float>(lane) : 0.0f;
            even += !named && lane % 2 == 0;
        }
        const auto values = out.values();
        for (unsigned lane = 0; lane < 32; ++lane) {
            EXPECT_EQ(values[lane], (mask >> lane & 1u) ? sum : even) << lane;
        }
    }
}

__global__ void votes(int* out, int threshold) {
    const int lane = static_cast<int>(threadIdx.x);
    const bool yes = lane >= threshold;
    int results[9] = {static_cast<int>(__ballot_sync(full_mask, yes)),
                      __any_sync(full_mask, yes),
                      __all_sync(full_mask, yes),
                      __reduce_add_sync(full_mask, lane - 40),
                      __reduce_min_sync(full_mask, lane - 40),
                      __reduce_max_sync(full_mask, lane - 40),
                      static_cast<int>(__reduce_max_sync(full_mask, static_cast<unsigned>(lane))),
                      static_cast<int>(__reduce_or_sync(full_mask, 1u << lane)),
                      static_cast<int>(__activemask())};
    if (lane == threshold % 32) {
        std::memcpy(out, results, sizeof results);
    }
}

TEST_P(Executor, Votes) {
    for (const int threshold : {0, 1, 31, 32}) {
        int* out = nullptr;
        PATCHFORGE_CUDA_CHECK(cudaMalloc(&out, 9 * sizeof(int)));
        PATCHFORGE_CUDA_CHECK(cudaMemset(out, 0, 9 * sizeof(int)));
        launch(votes, {.grid = dim3(1), .block = 32, .name = "votes"}, out, threshold);
        int results[9];
        PATCHFORGE_CUDA_CHECK(cudaMemcpy(results, out, sizeof results, cudaMemcpyDeviceToHost));
        PATCHFORGE_CUDA_CHECK(cudaFree(out));
        const auto ballot = static_cast<unsigned>(0xffffffffull << threshold);
        EXPECT_EQ(static_cast<unsigned>(results[0]), ballot);
        EXPECT_EQ(results[1], threshold < 32);
        EXPECT_EQ(results[2], threshold == 0);
        EXPECT_EQ(results[3], 496 - 32 * 40);
        EXPECT_EQ(results[4], -40);
        EXPECT_EQ(results[5], -9);
        EXPECT_EQ(results[6], 31);
        EXPECT_EQ(results[7], -1);
    }
}

__global__ void barrier_votes(float* out, int threshold) {
    const int t = static_cast<int>(threadIdx.x);
    const int count = __syncthreads_count(t < threshold);
    const int all = __syncthreads_and(t < threshold);
    const int any = __syncthreads_or(t < threshold);
    out[t] = static_cast<float>(count * 100 + all * 10 + any);
}

TEST_P(Executor, BarriersCount) {
    for (const int threshold : {0, 1, 95, 96}) {
        Array out(96);
        launch(barrier_votes, {.grid = dim3(1), .block = 96, .name = "barrier_votes"}, out.data(),
               threshold);
        const auto expected =
            static_cast<float>(threshold * 100 + (threshold == 96) * 10 + (threshold > 0));
        for (const float value : out.values()) {
            EXPECT_EQ(value, expected);
        }
    }
}

struct Row {
    float value[128];
};

// Whole warps and single threads leave before later barriers.
__global__ void leave_early(float* out) {
    auto& row = shared<Row>();
    const unsigned t = threadIdx.x;
    row.value[t] = static_cast<float>(t);
    __syncthreads();
    if (t >= 96 || t == 17) {
        return;
    }
    const float seen = row.value[127 - t];
    __syncthreads();
    row.value[t] = 2.0f * seen;
    __syncthreads();
    out[t] = row.value[t == 78 ? 79 : 95 - t];
}

TEST_P(Executor, ThreadsMayLeaveBeforeABarrier) {
    Array out(96);
    launch(leave_early,
           {.grid = dim3(1), .block = 128, .shared_bytes = sizeof(Row), .name = "leave_early"},
           out.data());
    const auto values = out.values();
    for (unsigned t = 0; t < 96; ++t) {
        if (t != 17) {
            const unsigned from = t == 78 ? 79 : 95 - t;
            EXPECT_EQ(values[t], 2.0f * static_cast<float>(127 - from)) << t;
        }
    }
}

// Two halves of a block pass numbers through shared memory, each pair with a barrier of its own.
__global__ void named_barriers(float* out) {
    auto& row = shared<Row>();
    const unsigned t = threadIdx.x, half = t / 64;
    for (unsigned round = 0; round < 3 + half; ++round) {
        row.value[t] = static_cast<float>(t + round);
        simt::named_barrier(static_cast<int>(1 + half), 64, SIMT_SITE);
        out[t] = row.value[half * 64 + (t + 1) % 64];
        simt::named_barrier(static_cast<int>(1 + half), 64, SIMT_SITE);
    }
}

TEST_P(Executor, NamedBarriersOrderTheirThreads) {
    Array out(128);
    launch(named_barriers,
           {.grid = dim3(1), .block = 128, .shared_bytes = sizeof(Row), .name = "named_barriers"},
           out.data());
    const auto values = out.values();
    for (unsigned t = 0; t < 128; ++t) {
        const unsigned half = t / 64;
        EXPECT_EQ(values[t], static_cast<float>(half * 64 + (t + 1) % 64 + 2 + half));
    }
}

// Steps of an all-to-all sum across blocks, with all three ways of waiting for other blocks.
__global__ void whole_grid(float* out, unsigned* counter) {
    const unsigned block = blockIdx.x;
    for (unsigned round = 0; round < 4; ++round) {
        if (threadIdx.x == 0) {
            __stcg(out + round * gridDim.x + block, static_cast<float>(block + round));
        }
        simt::grid_barrier(SIMT_SITE);
        const unsigned neighbour = (block + round + 1) % gridDim.x;
        const float seen = __ldcg(out + round * gridDim.x + neighbour);
        if (threadIdx.x == 32 && seen == static_cast<float>(neighbour + round)) {
            atomicAdd(counter, 1u);
        }
    }
    const unsigned expected = 4 * gridDim.x;
    spin_until([=] { return atomicAdd(counter, 0u) == expected; });
}

TEST_P(Executor, AGridCanWaitForItself) {
    constexpr unsigned blocks = 132;
    Array out(4 * blocks);
    unsigned* counter = nullptr;
    PATCHFORGE_CUDA_CHECK(cudaMalloc(&counter, sizeof *counter));
    PATCHFORGE_CUDA_CHECK(cudaMemset(counter, 0, sizeof *counter));
    launch(whole_grid,
           {.grid = dim3(blocks), .block = 64, .name = "whole_grid", .cooperative = true},
           out.data(), counter);
    PATCHFORGE_CUDA_CHECK(cudaFree(counter));
}

__global__ void atomics(unsigned* words, float* number, unsigned long long* wide) {
    const unsigned t = blockIdx.x * blockDim.x + threadIdx.x;
    atomicAdd(&words[0], t);
    atomicMax(&words[1], t);
    atomicMin(&words[2], t + 5);
    atomicOr(&words[3], 1u << (t % 32));
    atomicInc(&words[4], 9);
    atomicXor(&words[5], t);
    atomicAdd(number, 0.5f);
    atomicAdd(wide, 1ull << 33);
    // A maximum built from compare and swap.
    unsigned seen = words[6], assumed;
    do {
        assumed = seen;
        seen = atomicCAS(&words[6], assumed, max(assumed, t * 3));
    } while (seen != assumed);
}

TEST_P(Executor, Atomics) {
    unsigned *words = nullptr, host[7] = {0, 0, 1000, 0, 0, 0, 0};
    unsigned long long *wide = nullptr, host_wide = 0;
    PATCHFORGE_CUDA_CHECK(cudaMalloc(&words, sizeof host));
    PATCHFORGE_CUDA_CHECK(cudaMalloc(&wide, sizeof host_wide));
    PATCHFORGE_CUDA_CHECK(cudaMemcpy(words, host, sizeof host, cudaMemcpyHostToDevice));
    PATCHFORGE_CUDA_CHECK(cudaMemset(wide, 0, sizeof host_wide));
    Array number(std::vector<float>{1.0f});
    launch(atomics, {.grid = dim3(3), .block = 64, .name = "atomics"}, words, number.data(), wide);
    PATCHFORGE_CUDA_CHECK(cudaMemcpy(host, words, sizeof host, cudaMemcpyDeviceToHost));
    PATCHFORGE_CUDA_CHECK(cudaMemcpy(&host_wide, wide, 8, cudaMemcpyDeviceToHost));
    PATCHFORGE_CUDA_CHECK(cudaFree(words));
    PATCHFORGE_CUDA_CHECK(cudaFree(wide));
    unsigned exclusive = 0;
    for (unsigned t = 0; t < 192; ++t) {
        exclusive ^= t;
    }
    EXPECT_EQ(host[0], 191u * 192 / 2);
    EXPECT_EQ(host[1], 191u);
    EXPECT_EQ(host[2], 5u);
    EXPECT_EQ(host[3], 0xffffffffu);
    EXPECT_EQ(host[4], 192u % 10);
    EXPECT_EQ(host[5], exclusive);
    EXPECT_EQ(host[6], 191u * 3);
    EXPECT_EQ(number.values()[0], 97.0f);
    EXPECT_EQ(host_wide, 192ull << 33);
}

struct Landing {
    alignas(16) float value[2][128];
};

// What lies in the target before the wait is what lay there before the copy.
__global__ void copies_land_at_their_wait(float* out, const float* in) {
    auto& s = shared<Landing>();
    const unsigned t = threadIdx.x;
    for (unsigned i = 0; i < 4; ++i) {
        s.value[0][4 * t + i] = s.value[1][4 * t + i] = -1.0f;
    }
    simt::cp_async16(&s.value[0][4 * t], in + 4 * t, 16);
    simt::cp_async_commit();
    simt::cp_async16(&s.value[1][4 * t], in + 4 * t, 8);
    simt::cp_async_commit();
    const float before = s.value[0][4 * t + 3];
    simt::cp_async_wait(1);
    const float first = s.value[0][4 * t + 3], second_before = s.value[1][4 * t];
    simt::cp_async_wait(0);
    const float second = s.value[1][4 * t + 1], filled = s.value[1][4 * t + 2];
    out[t] = before == -1.0f && second_before == -1.0f && filled == 0.0f ? first + second : -99.0f;
}

TEST_P(Executor, CopiesLandAtTheirWait) {
    const auto values = planted::integers(128);
    Array in(values), out(32);
    launch(copies_land_at_their_wait,
           {.grid = dim3(1),
            .block = 32,
            .shared_bytes = sizeof(Landing),
            .name = "copies_land_at_their_wait"},
           out.data(), in.data());
    const auto landed = out.values();
    for (unsigned t = 0; t < 32; ++t) {
        EXPECT_EQ(landed[t], values[4 * t + 3] + values[4 * t + 1]) << t;
    }
}

__global__ void nothing() {}
__global__ void touch_shared() {
    static_cast<void>(shared<Row>());
}
__global__ void wait_for_grid() {
    simt::grid_barrier(SIMT_SITE);
}

TEST(ExecutorLimits, AreThoseOfAGpu) {
    const auto refused = [](const patchforge::cuda::LaunchShape& shape) {
        try {
            launch(nothing, shape);
        } catch (const simt::Failure& failure) {
            return failure.finding() == simt::Finding::limit;
        }
        return false;
    };
    EXPECT_FALSE(refused({.grid = dim3(1), .block = 1024, .shared_bytes = 227 * 1024}));
    EXPECT_TRUE(refused({.grid = dim3(1), .block = 1056}));
    EXPECT_TRUE(refused({.grid = dim3(1), .block = 33}));
    EXPECT_TRUE(refused({.grid = dim3(1), .block = 32, .shared_bytes = 227 * 1024 + 1}));
    EXPECT_TRUE(refused({.grid = dim3(1, 65536), .block = 32}));
    EXPECT_TRUE(refused({.grid = dim3(1, 1, 65536), .block = 32}));
    EXPECT_TRUE(refused({.grid = dim3(265), .block = 1024, .cooperative = true}));
    EXPECT_FALSE(refused({.grid = dim3(264), .block = 1024, .cooperative = true}));
}

TEST(ExecutorLimits, SharedMemoryMustBeAskedFor) {
    const auto what = failure_of(
        [] {
            launch(touch_shared,
                   {.grid = dim3(1), .block = 32, .shared_bytes = 8, .name = "touch_shared"});
        },
        simt::Finding::limit);
    EXPECT_NE(what.find("512 bytes"), std::string::npos) << what;
}

TEST(ExecutorLimits, GridBarriersNeedACooperativeLaunch) {
    failure_of([] { launch(wait_for_grid, {.grid = dim3(2), .block = 32, .name = "w"}); },
               simt::Finding::limit);
}

// Reports say who waits where.
__global__ void wait_in_two_places(int line_of_first) {
    if (threadIdx.x < 40) {
        __syncthreads();
    } else if (threadIdx.x == 41 && line_of_first) {
        __syncthreads();
    }
}

TEST(ExecutorReports, NameKernelBlockThreadsFileAndLine) {
    const auto what = failure_of(
        [] { launch(wait_in_two_places, {.grid = dim3(1), .block = 64, .name = "two_places"}, 1); },
        simt::Finding::divergent_barrier);
    for (const char* part : {"tests/simt/executor_test.cpp:", "two_places", "block (0,0,0)",
                             "threads 0-39: __syncthreads at"}) {
        EXPECT_NE(what.find(part), std::string::npos) << part << " in: " << what;
    }
}

__global__ void throw_something() {
    if (threadIdx.x == 5) {
        throw std::invalid_argument("not on a GPU");
    }
    __syncthreads();
}

TEST(ExecutorReports, TheExecutorGoesOnAfterAFailure) {
    for (int i = 0; i < 3; ++i) {
        EXPECT_THROW(launch(throw_something, {.grid = dim3(2), .block = 64, .name = "throws"}),
                     std::invalid_argument);
        Array out(24 * 96);
        launch(write_indices, {.grid = dim3(2, 3, 4), .block = 96, .name = "write_indices"},
               out.data());
        EXPECT_EQ(out.values().back(), 23095.0f);
    }
}

TEST(Schedules, AreReadFromText) {
    using Order = simt::Schedule::Order;
    EXPECT_EQ(simt::parse_schedule("forward").order, Order::forward);
    EXPECT_EQ(simt::parse_schedule("reverse").order, Order::reverse);
    EXPECT_EQ(simt::parse_schedule("random:12").order, Order::random);
    EXPECT_EQ(simt::parse_schedule("random:12").seed, 12u);
    for (const char* wrong : {"", "backward", "random", "random:", "random:1x", "random:-1"}) {
        EXPECT_THROW(simt::parse_schedule(wrong), std::invalid_argument) << wrong;
    }
}

__global__ void order_of_turns(float* out, unsigned* turn) {
    out[atomicAdd(turn, 1u)] = static_cast<float>(blockIdx.x * blockDim.x + threadIdx.x);
}

std::vector<float> turns_under(const char* schedule) {
    simt::set_schedule(simt::parse_schedule(schedule));
    Array out(128);
    unsigned* turn = nullptr;
    PATCHFORGE_CUDA_CHECK(cudaMalloc(&turn, sizeof *turn));
    PATCHFORGE_CUDA_CHECK(cudaMemset(turn, 0, sizeof *turn));
    launch(order_of_turns, {.grid = dim3(2), .block = 64, .name = "order_of_turns"}, out.data(),
           turn);
    PATCHFORGE_CUDA_CHECK(cudaFree(turn));
    simt::set_schedule({});
    return out.values();
}

TEST(Schedules, ChangeTheOrderOfTurns) {
    const auto forward = turns_under("forward");
    auto reverse = turns_under("reverse");
    auto random = turns_under("random:7");
    for (unsigned i = 0; i < 128; ++i) {
        EXPECT_EQ(forward[i], static_cast<float>(i));
        EXPECT_EQ(reverse[i], static_cast<float>(127 - i));
    }
    EXPECT_NE(random, forward);
    EXPECT_NE(random, turns_under("random:8"));
    std::sort(random.begin(), random.end());
    EXPECT_EQ(random, forward);
}

} // namespace
