// Minibatch discrimination: published values, the oracle, and central differences of it.
#include "tests/kernels/backends.h"
#include "tests/kernels/comparison.h"
#include "tests/kernels/guarded_array.h"
#include "tests/oracle/minibatch.h"

namespace patchforge::testing {
namespace {

class MinibatchTest : public BackendTest {};
PATCHFORGE_ON_EVERY_BACKEND(MinibatchTest);

TEST_P(MinibatchTest, ThreeRowsWorkedOutByHand) {
    // Two kernels of two numbers. Row 0 and 1 in kernel 0: exp(-1) + exp(-2) = 0.50321472 and so
    // on.
    const auto m = GuardedArray<float>::input(backend(), {0, 0, 1, 1, 1, 0, 1, 0, 0, 2, 0, 0});
    const auto o = GuardedArray<float>::output(backend(), 6);
    backend().minibatch_closeness(o.matrix(3, 2), m.matrix(3, 4));
    expect_close(o.values(),
                 {0.50321472, 0.50321472, 0.41766644, 0.73575888, 0.18512237, 0.50321472}, 1e-7,
                 "closeness");
}

TEST_P(MinibatchTest, ClosenessAndGradient) {
    struct Case {
        std::int64_t rows, kernels, size;
    };
    for (const auto& [rows, kernels, size] :
         {Case{1, 3, 2}, Case{2, 1, 1}, Case{5, 7, 3}, Case{33, 10, 5}, Case{3, 100, 16}}) {
        SCOPED_TRACE(describe("rows", rows, "kernels", kernels, "size", size));
        const auto m = random_values(320, rows * kernels * size, -0.5f, 0.5f);
        const auto d_o = random_values(321, rows * kernels);
        oracle::DoubleMatrix ms(rows, kernels * size, m);

        const auto m_on_device = GuardedArray<float>::input(backend(), m, 1);
        const auto d_o_on_device = GuardedArray<float>::input(backend(), d_o, 1);
        const auto o = GuardedArray<float>::output(backend(), rows * kernels, 1);
        const auto dm = GuardedArray<float>::output(backend(), rows * kernels * size, 3);
        backend().minibatch_closeness(o.matrix(rows, kernels),
                                      m_on_device.matrix(rows, kernels * size));
        backend().minibatch_closeness_gradient(dm.matrix(rows, kernels * size),
                                               d_o_on_device.matrix(rows, kernels),
                                               m_on_device.matrix(rows, kernels * size));
        expect_close(o.values(), oracle::minibatch_closeness(ms, kernels).values,
                     2e-6 * static_cast<double>(rows), "closeness");

        const auto loss = [&] {
            const auto closeness = oracle::minibatch_closeness(ms, kernels);
            double sum = 0;
            for (std::size_t e = 0; e < d_o.size(); ++e) {
                sum += d_o[e] * closeness.values[e];
            }
            return sum;
        };
        const auto claimed = dm.values();
        for (std::size_t e = 0; e < claimed.size(); e += 1 + claimed.size() / 200) {
            const double before = ms.values[e], h = 1e-8; // no kink is that near in float32
            ms.values[e] = before + h;
            const double above = loss();
            ms.values[e] = before - h;
            const double below = loss();
            ms.values[e] = before;
            const double measured = (above - below) / (2 * h);
            const double error = std::fabs(measured - double{claimed[e]});
            EXPECT_FALSE(!(error <= 1e-5 * (1 + std::fabs(measured))))
                << "element " << e << ": difference " << measured << ", claimed " << claimed[e];
        }
    }
}

} // namespace
} // namespace patchforge::testing
