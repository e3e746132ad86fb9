// The floors of bench/kernels are made of the bytes that its cases claim: held to what the kernels
// of each call touch, as are the declarations at their launches.
#include "bench/kernel_cases.h"

#include <fmt/format.h>

#include "tests/counted/counted_bytes.h"

namespace patchforge::bench {
namespace {

using Family = std::vector<Case> (*)(Backend&, const Inputs&, std::int64_t);

void expect_claims(std::int64_t batch, const std::vector<Family>& families) {
    const auto backend = make_cuda_backend(0);
    std::unique_ptr<Inputs> inputs;
    count_traffic(*backend, [&] { inputs = std::make_unique<Inputs>(*backend, batch); });
    for (const Family family : families) {
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

TEST(KernelCases, TouchTheBytesTheyClaim) {
    expect_claims(10, {linear_cases, training_cases, map_cases, attack_cases});
}

// A picture takes a convolution millions of products.
TEST(KernelCases, ConvolutionsTouchTheBytesTheyClaim) {
    expect_claims(1, {convolution_cases});
}

} // namespace
} // namespace patchforge::bench
