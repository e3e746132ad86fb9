// The runtime's stand-in: memory between guards, streams, events, graphs, and the arithmetic that
// CUDA has and C++ has not.
#include "tests/simt/planted/planted.h"
#include "tests/simt/runtime/streams.h"

#include <Random123/philox.h>
#include <cuda_bf16.h>
#include <curand_philox4x32_x.h>
#include <gtest/gtest.h>
#include <simt_instructions.h>

#include <cmath>
#include <limits>
#include <thread>

namespace {

using patchforge::cuda::launch;
using planted::Array;

TEST(Device, SaysWhatItIs) {
    int count = 0;
    EXPECT_EQ(cudaGetDeviceCount(&count), cudaSuccess);
    EXPECT_EQ(count, 1);
    cudaDeviceProp properties;
    EXPECT_EQ(cudaGetDeviceProperties(&properties, 0), cudaSuccess);
    EXPECT_STREQ(properties.name, "CPU executor (simt)");
    EXPECT_EQ(properties.multiProcessorCount, 132);
    EXPECT_EQ(properties.sharedMemPerBlockOptin, 227u * 1024);
    EXPECT_EQ(properties.major, 9);
    EXPECT_EQ(cudaGetDeviceProperties(&properties, 1), cudaErrorInvalidDevice);
    EXPECT_EQ(cudaSetDevice(1), cudaErrorInvalidDevice);
    int blocks = 0;
    EXPECT_EQ(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, 0, 256, 100 * 1024),
              cudaSuccess);
    EXPECT_EQ(blocks, 2);
}

TEST(DeviceMemory, StartsAsNaNAndIsCounted) {
    float* data = nullptr;
    ASSERT_EQ(cudaMalloc(&data, 1001 * sizeof(float)), cudaSuccess);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(data) % 256, 0u);
    float last = 0;
    EXPECT_EQ(cudaMemcpy(&last, data + 1000, 4, cudaMemcpyDeviceToHost), cudaSuccess);
    EXPECT_TRUE(std::isnan(last));
    EXPECT_EQ(simt::live_allocations(), 1u);
    EXPECT_EQ(cudaFree(data + 1), cudaErrorInvalidValue);
    EXPECT_EQ(cudaFreeHost(data), cudaErrorInvalidValue);
    EXPECT_EQ(cudaFree(data), cudaSuccess);
    EXPECT_EQ(cudaFree(data), cudaErrorInvalidValue) << "freed twice";
    EXPECT_EQ(cudaFree(nullptr), cudaSuccess);
    EXPECT_EQ(simt::live_allocations(), 0u);
    EXPECT_EQ(cudaMalloc(&data, std::size_t{1} << 40), cudaErrorMemoryAllocation);
}

TEST(DeviceMemory, CopiesStayWithinTheirBuffers) {
    Array from(planted::integers(100)), to(100);
    std::vector<float> host(200);
    EXPECT_EQ(cudaMemcpy(to.data(), host.data(), 404, cudaMemcpyHostToDevice),
              cudaErrorInvalidValue);
    EXPECT_EQ(cudaMemcpy(host.data(), from.data() + 1, 400, cudaMemcpyDeviceToHost),
              cudaErrorInvalidValue);
    EXPECT_EQ(cudaMemcpy(host.data(), host.data() + 100, 4, cudaMemcpyDeviceToHost),
              cudaErrorInvalidValue)
        << "the source is no device memory";
    EXPECT_EQ(cudaMemset(to.data(), 0, 401), cudaErrorInvalidValue);
    // A 9 x 10 part of a 10 x 10 matrix, without its first column.
    EXPECT_EQ(cudaMemcpy2D(to.data(), 36, from.data() + 1, 40, 36, 10, cudaMemcpyDeviceToDevice),
              cudaSuccess);
    const auto source = from.values(), copied = to.values();
    for (int row = 0; row < 10; ++row) {
        for (int column = 0; column < 9; ++column) {
            EXPECT_EQ(copied[row * 9 + column], source[row * 10 + column + 1]);
        }
    }
}

__global__ void add(float* out, float amount) {
    out[threadIdx.x] += amount;
}

void add_on(cudaStream_t stream, Array& array, float amount) {
    launch(add, {.grid = dim3(1), .block = 32, .stream = stream, .name = "add"}, array.data(),
           amount);
}

struct Stream {
    cudaStream_t handle = nullptr;
    Stream() { PATCHFORGE_CUDA_CHECK(cudaStreamCreate(&handle)); }
    ~Stream() { cudaStreamDestroy(handle); }
};

struct Event {
    cudaEvent_t handle = nullptr;
    Event() { PATCHFORGE_CUDA_CHECK(cudaEventCreate(&handle)); }
    ~Event() { cudaEventDestroy(handle); }
};

void load_add() {
    cudaFuncAttributes attributes;
    ASSERT_EQ(cudaFuncGetAttributes(&attributes, reinterpret_cast<const void*>(add)), cudaSuccess);
}

TEST(Graphs, RecordWithoutRunningAndReplay) {
    load_add();
    Array a(std::vector<float>(32, 1.0f)), b(std::vector<float>(32, 0.0f));
    Stream stream;
    ASSERT_EQ(cudaStreamBeginCapture(stream.handle, cudaStreamCaptureModeGlobal), cudaSuccess);
    float amount = 2.0f;
    add_on(stream.handle, a, amount);
    amount = 100.0f; // arguments are copied when the kernel is recorded
    EXPECT_EQ(cudaMemcpyAsync(b.data(), a.data(), 128, cudaMemcpyDeviceToDevice, stream.handle),
              cudaSuccess);
    EXPECT_EQ(cudaMemsetAsync(a.data(), 0, 4, stream.handle), cudaSuccess);
    EXPECT_EQ(cudaStreamSynchronize(stream.handle), cudaErrorStreamCaptureUnsupported);
    EXPECT_EQ(cudaMemset(a.data(), 0, 4), cudaErrorStreamCaptureImplicit);
    EXPECT_THROW(add_on(nullptr, a, 1.0f), std::runtime_error);
    cudaGraph_t graph = nullptr;
    ASSERT_EQ(cudaStreamEndCapture(stream.handle, &graph), cudaSuccess);
    EXPECT_EQ(a.values()[1], 1.0f) << "ran while being recorded";

    std::size_t nodes = 0;
    EXPECT_EQ(cudaGraphGetNodes(graph, nullptr, &nodes), cudaSuccess);
    EXPECT_EQ(nodes, 3u);
    cudaGraphExec_t executable = nullptr;
    ASSERT_EQ(cudaGraphInstantiate(&executable, graph, 0), cudaSuccess);
    EXPECT_EQ(cudaGraphDestroy(graph), cudaSuccess);
    for (int i = 0; i < 3; ++i) {
        EXPECT_EQ(cudaGraphLaunch(executable, stream.handle), cudaSuccess);
    }
    EXPECT_EQ(cudaGraphExecDestroy(executable), cudaSuccess);
    EXPECT_EQ(a.values()[1], 7.0f);
    EXPECT_EQ(a.values()[0], 0.0f);
    EXPECT_EQ(b.values()[0], 2.0f);
}

__global__ void never_loaded(float* out) {
    out[threadIdx.x] = 1.0f;
}

TEST(Graphs, TakeOnlyKernelsThatWereLoaded) {
    Array a(std::vector<float>(32, 0.0f));
    Stream stream;
    const auto enqueue = [&] {
        launch(never_loaded, {.grid = dim3(1), .block = 32, .stream = stream.handle, .name = "new"},
               a.data());
    };
    const auto kernel = reinterpret_cast<const void*>(never_loaded);
    const auto capture = [&](const auto& body) {
        ASSERT_EQ(cudaStreamBeginCapture(stream.handle, cudaStreamCaptureModeGlobal), cudaSuccess);
        body();
        cudaGraph_t graph = nullptr;
        EXPECT_EQ(cudaStreamEndCapture(stream.handle, &graph), cudaSuccess);
        cudaGraphDestroy(graph);
    };
    cudaFuncAttributes attributes;
    capture([&] {
        try {
            enqueue();
            ADD_FAILURE() << "recorded";
        } catch (const simt::Failure& failure) {
            EXPECT_EQ(failure.finding(), simt::Finding::not_loaded);
        }
        EXPECT_EQ(cudaFuncGetAttributes(&attributes, kernel), cudaErrorStreamCaptureUnsupported);
    });
    EXPECT_EQ(cudaFuncGetAttributes(&attributes, kernel), cudaSuccess);
    capture([&] { EXPECT_NO_THROW(enqueue()); });
}

TEST(Streams, BelongToADevice) {
    simt::set_device_count(2);
    EXPECT_EQ(cudaSetDevice(2), cudaErrorInvalidDevice);
    ASSERT_EQ(cudaSetDevice(1), cudaSuccess);
    Array a(std::vector<float>(32, 0.0f));
    {
        Stream stream;
        EXPECT_NO_THROW(add_on(stream.handle, a, 1.0f));
        std::thread([&] {
            EXPECT_THROW(add_on(stream.handle, a, 1.0f), std::runtime_error);
        }).join(); // its device is 0
    }
    EXPECT_EQ(cudaSetDevice(0), cudaSuccess);
    simt::set_device_count(1);
}

TEST(Device, FailsWhereItIsTold) {
    Array a(std::vector<float>(32, 0.0f));
    simt::fail_in("add");
    EXPECT_EQ(cudaStreamSynchronize(nullptr), cudaSuccess);
    add_on(nullptr, a, 1.0f);
    EXPECT_EQ(cudaStreamSynchronize(nullptr), cudaErrorIllegalAddress);
    EXPECT_THROW(add_on(nullptr, a, 1.0f), std::runtime_error);
    simt::fail_in(nullptr);
    EXPECT_NO_THROW(add_on(nullptr, a, 1.0f));
}

TEST(Graphs, OtherStreamsJoinByEvents) {
    load_add();
    Array a(std::vector<float>(32, 0.0f)), b(std::vector<float>(32, 0.0f));
    Stream main, side;
    Event fork, join;
    for (const bool joined : {true, false}) {
        ASSERT_EQ(cudaStreamBeginCapture(main.handle, cudaStreamCaptureModeGlobal), cudaSuccess);
        EXPECT_EQ(cudaEventRecord(fork.handle, main.handle), cudaSuccess);
        EXPECT_EQ(cudaStreamWaitEvent(side.handle, fork.handle), cudaSuccess);
        cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
        EXPECT_EQ(cudaStreamIsCapturing(side.handle, &status), cudaSuccess);
        EXPECT_EQ(status, cudaStreamCaptureStatusActive);
        add_on(side.handle, a, 1.0f);
        add_on(main.handle, b, 2.0f);
        EXPECT_EQ(cudaEventRecord(join.handle, side.handle), cudaSuccess);
        if (joined) {
            EXPECT_EQ(cudaStreamWaitEvent(main.handle, join.handle), cudaSuccess);
        }
        cudaGraph_t graph = nullptr;
        EXPECT_EQ(cudaStreamEndCapture(main.handle, &graph),
                  joined ? cudaSuccess : cudaErrorStreamCaptureUnjoined);
        if (joined) {
            cudaGraphExec_t executable = nullptr;
            ASSERT_EQ(cudaGraphInstantiate(&executable, graph, 0), cudaSuccess);
            EXPECT_EQ(cudaGraphLaunch(executable, main.handle), cudaSuccess);
            cudaGraphExecDestroy(executable);
            cudaGraphDestroy(graph);
        }
        EXPECT_EQ(cudaStreamIsCapturing(side.handle, &status), cudaSuccess);
        EXPECT_EQ(status, cudaStreamCaptureStatusNone);
    }
    EXPECT_EQ(a.values()[3], 1.0f);
    EXPECT_EQ(b.values()[3], 2.0f);
}

TEST(Graphs, RunInTheOrdersThatTheirEdgesAllow) {
    load_add();
    Stream main, side;
    Event fork, join;
    const simt::Schedule before = simt::schedule();
    for (const auto order : {simt::Schedule::Order::forward, simt::Schedule::Order::reverse}) {
        simt::set_schedule({order, 0});
        Array x(std::vector<float>(32, 0.0f)), seen(std::vector<float>(32, 0.0f)),
            joined(std::vector<float>(32, 0.0f));
        ASSERT_EQ(cudaStreamBeginCapture(main.handle, cudaStreamCaptureModeGlobal), cudaSuccess);
        add_on(main.handle, x, 1.0f);
        cudaEventRecord(fork.handle, main.handle);
        cudaStreamWaitEvent(side.handle, fork.handle);
        cudaMemcpyAsync(seen.data(), x.data(), 128, cudaMemcpyDeviceToDevice, side.handle);
        cudaEventRecord(join.handle, side.handle);
        add_on(main.handle, x, 1.0f); // no edge says before or after the copy
        cudaStreamWaitEvent(main.handle, join.handle);
        cudaMemcpyAsync(joined.data(), seen.data(), 128, cudaMemcpyDeviceToDevice, main.handle);
        cudaGraph_t graph = nullptr;
        ASSERT_EQ(cudaStreamEndCapture(main.handle, &graph), cudaSuccess);
        cudaGraphExec_t executable = nullptr;
        ASSERT_EQ(cudaGraphInstantiate(&executable, graph, 0), cudaSuccess);
        EXPECT_EQ(cudaGraphLaunch(executable, main.handle), cudaSuccess);
        cudaGraphExecDestroy(executable);
        cudaGraphDestroy(graph);
        const float expected = order == simt::Schedule::Order::forward ? 1.0f : 2.0f;
        EXPECT_EQ(seen.values()[3], expected);
        EXPECT_EQ(joined.values()[3], expected);
    }
    simt::set_schedule(before);
}

TEST(Graphs, WantTheLastNodeOfAnotherStreamJoined) {
    load_add();
    Array a(std::vector<float>(32, 0.0f));
    Stream main, side;
    Event fork, join;
    ASSERT_EQ(cudaStreamBeginCapture(main.handle, cudaStreamCaptureModeGlobal), cudaSuccess);
    cudaEventRecord(fork.handle, main.handle);
    cudaStreamWaitEvent(side.handle, fork.handle);
    cudaEventRecord(join.handle, side.handle);
    add_on(side.handle, a, 1.0f); // after what is waited for
    cudaStreamWaitEvent(main.handle, join.handle);
    cudaGraph_t graph = nullptr;
    EXPECT_EQ(cudaStreamEndCapture(main.handle, &graph), cudaErrorStreamCaptureUnjoined);
}

TEST(Streams, WaitBehindWorkThatWaitsForSomebody) {
    Array a(std::vector<float>(32, 0.0f)), b(std::vector<float>(32, 0.0f));
    Stream first, second;
    Event event;
    bool helped = false;
    EXPECT_EQ(simt::put_on_stream_until(first.handle, [&] { return helped; }), cudaSuccess);
    add_on(first.handle, a, 1.0f);
    EXPECT_EQ(cudaEventRecord(event.handle, first.handle), cudaSuccess);
    EXPECT_EQ(cudaStreamWaitEvent(second.handle, event.handle), cudaSuccess);
    add_on(second.handle, b, 1.0f);
    EXPECT_EQ(cudaStreamQuery(first.handle), cudaErrorNotReady);
    EXPECT_EQ(cudaStreamQuery(second.handle), cudaErrorNotReady);
    EXPECT_EQ(cudaEventQuery(event.handle), cudaErrorNotReady);
    EXPECT_EQ(a.values()[3], 0.0f);
    EXPECT_EQ(b.values()[3], 0.0f);
    helped = true;
    EXPECT_EQ(cudaStreamSynchronize(second.handle), cudaSuccess);
    EXPECT_EQ(cudaStreamQuery(first.handle), cudaSuccess);
    EXPECT_EQ(cudaEventSynchronize(event.handle), cudaSuccess);
    EXPECT_EQ(a.values()[3], 1.0f);
    EXPECT_EQ(b.values()[3], 1.0f);
}

TEST(Streams, RefuseWhatTheyDoNotKnow) {
    Stream stream;
    const cudaStream_t gone = [] {
        Stream other;
        return other.handle;
    }();
    EXPECT_EQ(cudaStreamSynchronize(stream.handle), cudaSuccess);
    EXPECT_EQ(cudaStreamSynchronize(gone), cudaErrorInvalidResourceHandle);
    EXPECT_EQ(cudaStreamDestroy(gone), cudaErrorInvalidResourceHandle);
    EXPECT_EQ(cudaStreamBeginCapture(nullptr, cudaStreamCaptureModeGlobal),
              cudaErrorStreamCaptureUnsupported);
}

TEST(Events, MeasureTime) {
    Array a(std::vector<float>(32, 0.0f));
    Event start, end;
    float milliseconds = -1;
    EXPECT_EQ(cudaEventElapsedTime(&milliseconds, start.handle, end.handle),
              cudaErrorInvalidResourceHandle)
        << "not recorded yet";
    EXPECT_EQ(cudaEventRecord(start.handle), cudaSuccess);
    add_on(nullptr, a, 1.0f);
    EXPECT_EQ(cudaEventRecord(end.handle), cudaSuccess);
    EXPECT_EQ(cudaEventSynchronize(end.handle), cudaSuccess);
    EXPECT_EQ(cudaEventElapsedTime(&milliseconds, start.handle, end.handle), cudaSuccess);
    EXPECT_GE(milliseconds, 0.0f);
}

TEST(Philox, IsRandom123s) {
    for (unsigned i = 0; i < 100; ++i) {
        const uint4 counter{i * 2654435761u, i, ~i, i << 7};
        const uint2 key{i * 40503u, 0xdeadbeefu ^ i};
        const uint4 ours = curand_Philox4x32_10(counter, key);
        const auto theirs =
            r123::Philox4x32()({{counter.x, counter.y, counter.z, counter.w}}, {{key.x, key.y}});
        EXPECT_EQ(ours.x, theirs[0]);
        EXPECT_EQ(ours.y, theirs[1]);
        EXPECT_EQ(ours.z, theirs[2]);
        EXPECT_EQ(ours.w, theirs[3]);
    }
}

TEST(Roundings, ToBfloat16AndTf32) {
    // bfloat16 has 8 significant bits: neighbours of 1 are 2^-7 apart; ties go to the even one.
    const float step = 0x1p-7f;
    EXPECT_EQ(__bfloat162float(__float2bfloat16_rn(1.0f + 0.49f * step)), 1.0f);
    EXPECT_EQ(__bfloat162float(__float2bfloat16_rn(1.0f + 0.50f * step)), 1.0f);
    EXPECT_EQ(__bfloat162float(__float2bfloat16_rn(1.0f + 1.50f * step)), 1.0f + 2 * step);
    EXPECT_EQ(__bfloat162float(__float2bfloat16_rz(1.0f + 0.99f * step)), 1.0f);
    EXPECT_TRUE(std::isnan(__bfloat162float(std::numeric_limits<float>::quiet_NaN())));
    // tf32 has 11; ties go away from zero.
    const float fine = 0x1p-10f;
    const auto tf32 = [](float x) { return __uint_as_float(simt::tf32_from_float(x)); };
    EXPECT_EQ(tf32(1.0f + 0.49f * fine), 1.0f);
    EXPECT_EQ(tf32(1.0f + 0.50f * fine), 1.0f + fine);
    EXPECT_EQ(tf32(-1.0f - 0.50f * fine), -1.0f - fine);
    EXPECT_EQ(tf32(1.0f + 1.50f * fine), 1.0f + 2 * fine);
}

TEST(Intrinsics, DoWhatTheirNamesSay) {
    EXPECT_EQ(__popc(0xf0f0u), 8);
    EXPECT_EQ(__clz(1), 31);
    EXPECT_EQ(__clz(0), 32);
    EXPECT_EQ(__ffs(0), 0);
    EXPECT_EQ(__ffs(8), 4);
    EXPECT_EQ(__brev(1u), 0x80000000u);
    EXPECT_EQ(__umulhi(0xffffffffu, 0xffffffffu), 0xfffffffeu);
    EXPECT_EQ(__mulhi(-1, 2), -1);
    EXPECT_EQ(__funnelshift_l(0x80000000u, 1u, 1), 3u);
    EXPECT_EQ(__funnelshift_r(2u, 1u, 1), 0x80000001u);
    EXPECT_EQ(__byte_perm(0x33221100u, 0x77665544u, 0x7531), 0x77553311u);
    EXPECT_EQ(__saturatef(std::numeric_limits<float>::quiet_NaN()), 0.0f);
    EXPECT_EQ(__saturatef(2.0f), 1.0f);
    EXPECT_EQ(__float2int_rn(2.5f), 2);
    EXPECT_EQ(__float2int_rz(-2.5f), -2);
    EXPECT_EQ(max(1.0f, std::numeric_limits<float>::quiet_NaN()), 1.0f);
    float sine = 0, cosine = 0;
    sincospif(0.5f, &sine, &cosine);
    EXPECT_EQ(sine, 1.0f);
    EXPECT_NEAR(cosine, 0.0f, 1e-7f);
    EXPECT_EQ(rsqrtf(4.0f), 0.5f);
    EXPECT_EQ(alignof(float4), 16u);
    EXPECT_EQ(alignof(float2), 8u);
    EXPECT_EQ(sizeof(float3), 12u);
}

} // namespace
