// The kernels of bench/persistent_gate.cu: their barrier holds every block back, their sum is
// exact.
#include "bench/persistent_gate.h"

#include <gtest/gtest.h>

#include "tests/kernels/backends.h"

namespace patchforge::bench {
namespace {

template <class T>
std::vector<T> values(const DeviceArray<T>& array) {
    std::vector<T> host(static_cast<std::size_t>(array.size()));
    array.download(host.data(), array.size());
    return host;
}

class PersistentGateTest : public ::testing::Test {
  protected:
    void SetUp() override {
        if (const std::string reason = testing::why_missing("cuda"); !reason.empty()) {
            GTEST_SKIP() << reason;
        }
        backend_ = make_cuda_backend(0);
    }
    std::unique_ptr<Backend> backend_;
};

TEST_F(PersistentGateTest, NobodyPassesABarrierBeforeItsNeighbourArrives) {
    for (const unsigned blocks : {1u, 2u, 7u, 132u}) {
        SCOPED_TRACE(blocks);
        const unsigned rounds = 5;
        const DeviceArray<unsigned> arrived(*backend_, 1);
        const DeviceArray<unsigned> token(*backend_, blocks);
        const DeviceArray<unsigned> missed(*backend_, blocks);
        launch_barrier_rounds({arrived.data(), token.data(), missed.data(), rounds}, blocks,
                              nullptr);
        ASSERT_EQ(cudaDeviceSynchronize(), cudaSuccess);
        EXPECT_EQ(values(missed), std::vector<unsigned>(blocks, 0));
        EXPECT_EQ(values(token), std::vector<unsigned>(blocks, rounds));
        EXPECT_EQ(values(arrived), std::vector<unsigned>{blocks * rounds});
    }
}

// All summands and sums are integers below 2^24.
TEST_F(PersistentGateTest, EveryBlockSeesTheSumOfAll) {
    for (const unsigned size : {1u, 256u, 1000u}) {
        for (const unsigned blocks : {1u, 3u, 16u}) {
            SCOPED_TRACE(size * 1000 + blocks);
            const unsigned rounds = 3;
            const DeviceArray<unsigned> arrived(*backend_, 1);
            const DeviceArray<float> part(*backend_, blocks * size);
            const DeviceArray<float> total(*backend_, size);
            launch_all_reduce_rounds({arrived.data(), part.data(), total.data(), size, rounds},
                                     blocks, nullptr);
            ASSERT_EQ(cudaDeviceSynchronize(), cudaSuccess);
            std::vector<float> expected;
            for (unsigned i = 0; i < size; ++i) {
                expected.push_back(
                    static_cast<float>(blocks * (blocks - 1) / 2 + blocks * (i + rounds - 1)));
            }
            EXPECT_EQ(values(total), expected);
        }
    }
}

TEST_F(PersistentGateTest, NodesCountUp) {
    const DeviceArray<unsigned> counter(*backend_, 1);
    for (int i = 0; i < 3; ++i) {
        launch_node(counter.data(), {nullptr, cuda::why_no_overlap(0).empty()});
    }
    ASSERT_EQ(cudaDeviceSynchronize(), cudaSuccess);
    EXPECT_EQ(values(counter), std::vector<unsigned>{3});
}

} // namespace
} // namespace patchforge::bench
