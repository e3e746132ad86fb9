// Memory, recordings, staging and errors of every backend.
#include "tests/kernels/backends.h"

#include <cstring>
#include <numeric>

#include "kernels/cuda/device.h"
#include "tests/kernels/operands.h"

namespace patchforge::testing {
namespace {

class BackendContractTest : public BackendTest {};
PATCHFORGE_ON_EVERY_BACKEND(BackendContractTest);

std::vector<std::uint8_t> counting_bytes(std::size_t count, unsigned first) {
    std::vector<std::uint8_t> bytes(count);
    for (std::size_t e = 0; e < count; ++e) {
        bytes[e] = static_cast<std::uint8_t>(first + e * 7);
    }
    return bytes;
}

TEST_P(BackendContractTest, SaysWhatItIs) {
    EXPECT_EQ(backend().name(), GetParam() == "cuda" ? "cuda:0" : "cpu");
    EXPECT_FALSE(backend().description().empty());
    EXPECT_EQ(backend().description().find('\n'), std::string::npos);
    EXPECT_GT(backend().free_memory(), 0);
}

TEST_P(BackendContractTest, MemoryIsZeroedAndAligned) {
    std::vector<void*> taken;
    for (const std::size_t bytes : {1, 4, 255, 256, 257, 30'000}) {
        void* memory = backend().allocate(bytes);
        taken.push_back(memory);
        ASSERT_NE(memory, nullptr);
        EXPECT_EQ(reinterpret_cast<std::uintptr_t>(memory) % 256, 0u) << bytes << " bytes";
        std::vector<std::uint8_t> content(bytes, 1);
        backend().download(content.data(), memory, bytes);
        EXPECT_EQ(content, std::vector<std::uint8_t>(bytes)) << bytes << " bytes";
        // What is written here must not be seen by the next to be given this memory.
        backend().upload(memory, std::vector<std::uint8_t>(bytes, 0xFF).data(), bytes);
        if (bytes % 2) {
            backend().release(memory);
            taken.pop_back();
        }
    }
    for (void* memory : taken) {
        backend().release(memory);
    }
    EXPECT_EQ(backend().allocate(0), nullptr);
    backend().release(nullptr);
}

TEST_P(BackendContractTest, CopiesInOrder) {
    const std::size_t count = 100'003;
    auto bytes = counting_bytes(count, 3);
    const auto original = bytes;
    const auto a = GuardedArray<std::uint8_t>::output(backend(), count);
    const auto b = GuardedArray<std::uint8_t>::output(backend(), count);
    backend().upload(a.data(), bytes.data(), count);
    std::fill(bytes.begin(), bytes.end(), std::uint8_t{0}); // the host may reuse it at once
    backend().copy(b.data(), a.data(), count);
    backend().upload(a.data(), bytes.data(), count);
    backend().synchronise();
    EXPECT_EQ(b.values(), original);
    EXPECT_EQ(a.values(), bytes);
}

TEST_P(BackendContractTest, ImpossibleMemoryIsRefusedWithItsSize) {
    const std::size_t bytes = std::size_t{1} << 52;
    try {
        backend().release(backend().allocate(bytes));
        FAIL() << "4 PiB were granted";
    } catch (const std::runtime_error& error) {
        EXPECT_NE(std::string(error.what()).find(std::to_string(bytes)), std::string::npos)
            << error.what();
    }
    void* memory = backend().allocate(16); // and it goes on working
    EXPECT_NE(memory, nullptr);
    backend().release(memory);
}

// A small network in training: everything an iteration of it changes lies on the device.
class Iteration {
  public:
    static constexpr std::int64_t batch = 5, inputs = 33, hidden = 31;

    explicit Iteration(Backend& backend)
        : backend_(backend), step_(GuardedArray<std::uint64_t>::changing(backend, {0})),
          history_(GuardedArray<float>::changing(backend, std::vector<float>(4 * width))),
          metrics_(GuardedArray<float>::changing(backend, std::vector<float>(width))),
          x_(GuardedArray<float>::output(backend, batch * inputs)),
          h_(GuardedArray<float>::output(backend, batch * hidden)),
          logit_(GuardedArray<float>::output(backend, batch)),
          d_logit_(GuardedArray<float>::output(backend, batch)),
          d_h_(GuardedArray<float>::output(backend, batch * hidden)),
          saved_(GuardedArray<float>::output(backend, batch * hidden)),
          weight1_(backend, 1, hidden * inputs, 0), bias1_(backend, 4, hidden, 0),
          weight2_(backend, 7, hidden, 0), bias2_(backend, 10, 1, 0) {}

    void enqueue() {
        const StepCount count{step_.data(), 1, 0};
        const Epilogue leaky{Activation::leaky_relu, 0.2f, 0.5f, {9, 16, {step_.data(), 2, 1}}};
        const Adam adam{.learning_rate = 0.01f, .step = count};
        backend_.fill_normal(x_.view(), 0, 1, {9, 3, count});
        backend_.linear_forward(h_.matrix(batch, hidden), x_.matrix(batch, inputs),
                                weight1_.weight_matrix(hidden, inputs), bias1_.tensor().value,
                                leaky);
        backend_.linear_forward(logit_.matrix(batch, 1), h_.matrix(batch, hidden),
                                weight2_.weight_matrix(1, hidden), bias2_.tensor().value, {});
        backend_.discriminator_loss(d_logit_.view(),
                                    metrics_.view().part(0, DiscriminatorMetrics::count),
                                    logit_.view(), 2, GanLoss::non_saturating, 0.9f);
        backend_.column_mean(metrics_.view().part(DiscriminatorMetrics::count, hidden),
                             h_.matrix(batch, hidden));
        backend_.linear_backward_adam(d_h_.matrix(batch, hidden), weight2_.tensor(),
                                      bias2_.tensor(), d_logit_.matrix(batch, 1),
                                      h_.matrix(batch, hidden), leaky, adam);
        backend_.copy(saved_.data(), d_h_.data(), batch * hidden * sizeof(float));
        backend_.linear_weight_gradient_adam(weight1_.tensor(), bias1_.tensor(),
                                             saved_.matrix(batch, hidden), x_.matrix(batch, inputs),
                                             adam);
        backend_.finish_iteration(step_.data(), history_.matrix(4, width), metrics_.view());
    }

    std::uint64_t steps() const { return step_.values()[0]; }

    // Every byte an iteration may have changed.
    std::vector<std::uint8_t> state() const {
        std::vector<std::uint8_t> bytes;
        const auto append = [&](const void* device, std::size_t count) {
            bytes.resize(bytes.size() + count);
            backend_.download(bytes.data() + bytes.size() - count, device, count);
        };
        append(step_.data(), sizeof(std::uint64_t));
        for (const GuardedArray<float>* array :
             {&history_, &metrics_, &x_, &h_, &logit_, &d_logit_, &d_h_, &saved_}) {
            append(array->data(), static_cast<std::size_t>(array->size()) * sizeof(float));
        }
        for (const TensorUnderAdam* tensor : {&weight1_, &bias1_, &weight2_, &bias2_}) {
            const AdamTensor t = tensor->tensor();
            for (const Vector<float>& view : {t.value, t.first_moment, t.second_moment}) {
                append(view.data, static_cast<std::size_t>(view.size) * sizeof(float));
            }
        }
        return bytes;
    }

  private:
    static constexpr std::int64_t width = DiscriminatorMetrics::count + hidden;

    Backend& backend_;
    GuardedArray<std::uint64_t> step_;
    GuardedArray<float> history_, metrics_, x_, h_, logit_, d_logit_, d_h_, saved_;
    TensorUnderAdam weight1_, bias1_, weight2_, bias2_;
};

TEST_P(BackendContractTest, ReplayEqualsEagerToTheBit) {
    Iteration eager(backend()), recorded(backend());
    const auto untouched = recorded.state();
    const auto recording = backend().record([&] { recorded.enqueue(); });
    backend().synchronise();
    EXPECT_EQ(recorded.state(), untouched) << "recording ran something";

    std::vector<std::uint8_t> before = untouched;
    for (const std::int64_t times : {1, 2, 5}) {
        for (std::int64_t n = 0; n < times; ++n) {
            eager.enqueue();
        }
        recording->replay(times);
        const auto now = recorded.state();
        EXPECT_EQ(now, eager.state()) << "after " << recorded.steps() << " iterations";
        EXPECT_NE(now, before);
        before = now;
    }
    EXPECT_EQ(recorded.steps(), 8u);
    recording->replay(0);
    EXPECT_EQ(recorded.state(), before);
}

// A recording runs behind what was enqueued before it, and before what comes after.
TEST_P(BackendContractTest, ReplayKeepsItsPlaceInTheOrder) {
    const auto x = GuardedArray<float>::output(backend(), 1000);
    const auto y = GuardedArray<float>::output(backend(), 1000);
    const auto recording =
        backend().record([&] { backend().copy(y.data(), x.data(), 1000 * sizeof(float)); });
    backend().fill(x.view(), 3);
    recording->replay();
    backend().fill(x.view(), 4);
    EXPECT_EQ(y.values(), std::vector<float>(1000, 3));
    EXPECT_EQ(x.values(), std::vector<float>(1000, 4));
}

// The way of a data set larger than the device: seven chunks through two slots, each read by an
// operation while the next one is on its way.
TEST_P(BackendContractTest, StreamsThroughTwoSlots) {
    const std::int64_t chunk = 4001;
    const auto size = static_cast<std::size_t>(chunk);
    std::uint8_t* host[2];
    void* device[2];
    for (int slot = 0; slot < 2; ++slot) {
        host[slot] = static_cast<std::uint8_t*>(backend().allocate_staging(size));
        device[slot] = backend().allocate(size);
        ASSERT_NE(host[slot], nullptr);
    }
    BatchPlan plan;
    plan.count = 1;
    plan.order = BatchPlan::Order::staged;
    std::vector<GuardedArray<float>> gathered;
    for (int n = 0; n < 7; ++n) {
        gathered.push_back(GuardedArray<float>::output(backend(), chunk));
        const int slot = n % 2;
        backend().wait_until_staged(slot);
        const auto bytes = counting_bytes(size, 13 * n);
        std::memcpy(host[slot], bytes.data(), size);
        backend().stage(slot, device[slot], host[slot], size);
        backend().await_slot(slot);
        backend().gather_rows(gathered.back().matrix(1, chunk), {},
                              {static_cast<const std::uint8_t*>(device[slot]), 1, chunk},
                              PixelRange::unit, plan);
        backend().release_slot(slot);
    }
    for (int n = 0; n < 7; ++n) {
        const auto bytes = counting_bytes(size, 13 * n);
        std::vector<double> expected;
        for (const std::uint8_t byte : bytes) {
            expected.push_back(byte / 255.0);
        }
        expect_close(gathered[n].values(), expected, 2 * unit_roundoff, describe("chunk", n));
    }
    for (int slot = 0; slot < 2; ++slot) {
        backend().release(device[slot]);
        backend().release_staging(host[slot]);
    }
    backend().release_staging(nullptr);
}

TEST(MakeBackend, TakesTheDeviceNamed) {
    EXPECT_EQ(make_backend("cpu")->name(), "cpu");
    const bool cuda = why_no_cuda().empty();
    EXPECT_EQ(make_backend("auto")->name(), cuda ? "cuda:0" : "cpu");
    if (cuda) {
        EXPECT_EQ(make_backend("cuda")->name(), "cuda:0");
        EXPECT_EQ(make_backend("cuda:0")->name(), "cuda:0");
    }
}

TEST(MakeBackend, RefusesWhatIsNoDevice) {
    for (const char* device : {"", "gpu", "CPU", "cpu:0", "cuda:", "cuda:x", "cuda:-1", "cuda:1x",
                               "cuda:99999999999999999999", " cpu"}) {
        EXPECT_THROW(make_backend(device), std::invalid_argument) << "'" << device << "'";
    }
}

TEST(MakeBackend, SaysWhyADeviceCannotBeUsed) {
    try {
        make_backend("cuda:99");
        FAIL() << "there is a device 99";
    } catch (const std::runtime_error& error) {
        EXPECT_GT(std::strlen(error.what()), 10u);
    }
    if (!why_no_cuda().empty()) {
        try {
            make_cuda_backend(0);
            FAIL() << "made a backend although " << why_no_cuda();
        } catch (const std::runtime_error& error) {
            EXPECT_NE(std::string(error.what()).find(why_no_cuda()), std::string::npos)
                << error.what();
        }
    }
}

TEST(MakeCpuBackend, RefusesAnUnknownInstructionSet) {
    const ScopedVariable held("PATCHFORGE_CPU", "quantum");
    EXPECT_THROW(make_cpu_backend(), std::invalid_argument);
}

TEST(MakeCpuBackend, RefusesANegativeNumberOfThreads) {
    EXPECT_THROW(make_cpu_backend({.threads = -1}), std::invalid_argument);
}

TEST(OverlapLaunches, IsRefusedOnTheCpu) {
    try {
        make_backend("cpu", {.overlap_launches = true});
        ADD_FAILURE() << "no error";
    } catch (const std::invalid_argument& error) {
        EXPECT_EQ(std::string(error.what()).find("--overlap-launches: the device is the CPU"), 0u);
    }
}

TEST(OverlapLaunches, IsRefusedWhereKernelsWouldNotWait) {
    if (const std::string reason = why_missing("cuda"); !reason.empty()) {
        GTEST_SKIP() << reason;
    }
    const std::string reason = cuda::why_no_overlap(0);
    if (reason.empty()) {
        const auto backend = make_cuda_backend(0, {.overlap_launches = true});
        EXPECT_TRUE(backend->description().ends_with(", overlapping launches"));
        return;
    }
    EXPECT_THROW(make_cuda_backend(0, {.overlap_launches = true}), std::runtime_error) << reason;
}

} // namespace
} // namespace patchforge::testing
