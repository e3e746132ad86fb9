// The floors of bench/kernels are made of the bytes that its cases claim: held to what the kernels
// of each call touch, as are the declarations at their launches.
#include "bench/kernel_cases.h"

#include <fmt/format.h>

#include "tests/counted/counted_bytes.h"

namespace patchforge::bench {
namespace {

TEST(KernelCases, TouchTheBytesTheyClaim) {
    const auto backend = make_cuda_backend(0);
    constexpr std::int64_t batch = 10;
    std::unique_ptr<Inputs> inputs;
    count_traffic(*backend, [&] { inputs = std::make_unique<Inputs>(*backend, batch); });
    for (const auto family : {linear_cases, training_cases, map_cases, attack_cases}) {
        for (const Case& c : family(*backend, *inputs, batch)) {
            SCOPED_TRACE(c.name);
            const auto kernels = count_traffic(*backend, [&] { c.enqueue(0); });
            testing::expect_declared(kernels);
            double touched = 0;
            for (const KernelTraffic& kernel : kernels) {
                touched +=
                    testing::declares_at_most(kernel.name) ? kernel.declared : kernel.bytes();
            }
            if (touched > testing::smallest_judged) {
                EXPECT_TRUE(std::fabs(touched - c.bytes) <= 0.02 * touched)
                    << fmt::format("claims {} bytes, touches {}", c.bytes, touched);
            }
        }
    }
}

} // namespace
} // namespace patchforge::bench
