// Bytes counted by hand against bytes counted by the executor.
#include "tests/simt/planted/planted.h"

#include <gtest/gtest.h>
#include <simt_instructions.h>

namespace {

using patchforge::cuda::launch;
using patchforge::cuda::shared;
using planted::Array;

#if !defined(__SANITIZE_THREAD__)

TEST(Traffic, IsNotCountedWithoutReports) {
    EXPECT_FALSE(simt::checked());
    EXPECT_THROW(simt::count_traffic([] {}), std::logic_error);
}

#else

class TrafficTest : public ::testing::Test {
  protected:
    // Of `array` in the only launch.
    static simt::Traffic::Buffer count(Array& array, const std::function<void()>& body) {
        const std::vector<simt::Traffic> launches = simt::count_traffic(body);
        EXPECT_EQ(launches.size(), 1u);
        for (const simt::Traffic::Buffer& buffer : launches.at(0).buffers) {
            if (buffer.start == array.data()) {
                return buffer;
            }
        }
        return {};
    }
    static void expect(const simt::Traffic::Buffer& buffer, std::uint64_t read,
                       std::uint64_t written, std::uint64_t by_blocks, std::uint64_t by_threads) {
        EXPECT_EQ(buffer.read, read);
        EXPECT_EQ(buffer.written, written);
        EXPECT_EQ(buffer.by_blocks, by_blocks);
        EXPECT_EQ(buffer.by_threads, by_threads);
    }
};

// Every thread reads the first word and writes its own; a variable of its own and shared memory do
// not count.
__global__ void first_word_kernel(float* out, const float* in) {
    struct Storage {
        float value[64];
    };
    auto& storage = shared<Storage>();
    storage.value[threadIdx.x] = in[0];
    __syncthreads();
    out[blockIdx.x * blockDim.x + threadIdx.x] = storage.value[63 - threadIdx.x];
}

TEST_F(TrafficTest, CountsAWordOnceALaunchAndOnceABlock) {
    Array in(planted::integers(100)), out(300);
    const auto body = [&] {
        launch(first_word_kernel,
               {.grid = 4, .block = 64, .shared_bytes = 256, .name = "first", .work = {1028, 0}},
               out.data(), in.data());
    };
    expect(count(in, body), 4, 0, 4 * 4, 4 * 256);
    expect(count(out, body), 0, 1024, 1024, 1024);
    const std::vector<simt::Traffic> twice = simt::count_traffic([&] { body(), body(); });
    ASSERT_EQ(twice.size(), 2u);
    EXPECT_EQ(twice[1].name, "first");
    EXPECT_EQ(twice[1].declared_bytes, 1028);
    EXPECT_EQ(twice[1].buffers.size(), 2u);
    EXPECT_EQ(out.values()[255], 1.0f * in.values()[0]);
}

// Bytes 3 to 3 + 64 of a buffer, which lie in two lines of 64.
__global__ void bytes_kernel(unsigned char* bytes) {
    bytes[3 + threadIdx.x] = 1;
}

TEST_F(TrafficTest, CountsBytesAcrossLines) {
    Array array(100);
    const auto body = [&] {
        launch(bytes_kernel, {.grid = 2, .block = 64},
               reinterpret_cast<unsigned char*>(array.data()));
    };
    expect(count(array, body), 0, 64, 128, 128);
}

__global__ void vectors_kernel(float4* out, const float4* in, unsigned* sum) {
    out[threadIdx.x] = in[threadIdx.x];
    __stcg(reinterpret_cast<float*>(out + 32) + threadIdx.x,
           __ldcg(reinterpret_cast<const float*>(in + 32) + threadIdx.x));
    atomicAdd(sum, 1u);
}

TEST_F(TrafficTest, CountsVectorsHintsAndAtomics) {
    Array in(planted::integers(160)), out(160), sum(planted::integers(1));
    const auto body = [&] {
        launch(vectors_kernel, {.block = 32}, reinterpret_cast<float4*>(out.data()),
               reinterpret_cast<const float4*>(in.data()), reinterpret_cast<unsigned*>(sum.data()));
    };
    expect(count(in, body), 640, 0, 640, 640);
    expect(count(out, body), 0, 640, 640, 640);
    expect(count(sum, body), 4, 4, 8, 8 * 32);
}

__global__ void exchange_kernel(float* out, const float* in) {
    out[threadIdx.x] = in[threadIdx.x];
    __syncthreads();
    const float of_neighbour = out[threadIdx.x ^ 1];
    __syncthreads();
    out[threadIdx.x] = of_neighbour;
}

TEST_F(TrafficTest, ReadingBackOwnResultsIsNoOperand) {
    Array in(planted::integers(32)), out(32);
    const auto body = [&] {
        launch(exchange_kernel, {.grid = 1, .block = 32}, out.data(), in.data());
    };
    expect(count(in, body), 128, 0, 128, 128);
    expect(count(out, body), 0, 128, 256, 384);
}

// The last lane copies 4 of its 16 bytes.
__global__ void copies_kernel(float* out, const float* in) {
    struct Storage {
        float4 value[32];
    };
    auto& storage = shared<Storage>();
    simt::cp_async16(&storage.value[threadIdx.x], in + 4 * threadIdx.x, threadIdx.x == 31 ? 4 : 16);
    simt::cp_async_commit();
    simt::cp_async_wait(0);
    __syncthreads();
    out[threadIdx.x] = storage.value[threadIdx.x].x;
}

TEST_F(TrafficTest, CountsAsynchronousCopies) {
    Array in(planted::integers(128)), out(32);
    const auto body = [&] {
        launch(copies_kernel, {.block = 32, .shared_bytes = 512}, out.data(), in.data());
    };
    expect(count(in, body), 31 * 16 + 4, 0, 31 * 16 + 4, 31 * 16 + 4);
}

TEST_F(TrafficTest, CountsCopiesBetweenBuffersAndGraphs) {
    Array from(planted::integers(10)), to(10);
    cudaStream_t stream = nullptr;
    cudaGraph_t graph = nullptr;
    cudaGraphExec_t executable = nullptr;
    cudaStreamCreate(&stream);
    const std::vector<simt::Traffic> launches = simt::count_traffic([&] {
        cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal);
        cudaMemcpyAsync(to.data(), from.data(), 40, cudaMemcpyDeviceToDevice, stream);
        cudaStreamEndCapture(stream, &graph);
        cudaGraphInstantiate(&executable, graph, 0);
        cudaGraphLaunch(executable, stream);
        cudaGraphLaunch(executable, stream);
    });
    cudaGraphExecDestroy(executable);
    cudaGraphDestroy(graph);
    cudaStreamDestroy(stream);
    ASSERT_EQ(launches.size(), 2u);
    EXPECT_EQ(launches[1].name, "copy");
    EXPECT_EQ(launches[1].declared_bytes, 80);
    expect(launches[1].buffers.at(0), 40, 0, 40, 40);
    expect(launches[1].buffers.at(1), 0, 40, 40, 40);
}

// What kernels wrote while accesses were counted and not judged may be read afterwards; what they
// did not, may not.
TEST_F(TrafficTest, ChecksGoOnAfterwards) {
    Array in(planted::integers(64)), out(256), never(64), result(256);
    const auto read = [&](Array& from) {
        launch(first_word_kernel, {.grid = 4, .block = 64, .shared_bytes = 256}, result.data(),
               from.data());
    };
    simt::count_traffic([&] {
        launch(first_word_kernel, {.grid = 4, .block = 64, .shared_bytes = 256}, out.data(),
               in.data());
    });
    EXPECT_NO_THROW(read(out));
    EXPECT_THROW(read(never), simt::Failure);
}

#endif

} // namespace
