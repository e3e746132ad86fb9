// The yardstick itself: it must fail where a declaration is wrong.
#include "tests/counted/counted_bytes.h"

#include <gtest/gtest-spi.h>

namespace patchforge::testing {
namespace {

int failures(const std::vector<KernelTraffic>& kernels) {
    ::testing::TestPartResultArray results;
    {
        const ::testing::ScopedFakeTestPartResultReporter reporter(
            ::testing::ScopedFakeTestPartResultReporter::INTERCEPT_ONLY_CURRENT_THREAD, &results);
        expect_declared(kernels);
    }
    int failed = 0;
    for (int i = 0; i < results.size(); ++i) {
        failed += results.GetTestPartResult(i).failed();
    }
    return failed;
}

KernelTraffic kernel(const char* name, double declared, double read, double written) {
    KernelTraffic traffic;
    traffic.name = name;
    traffic.declared = declared;
    traffic.read = read;
    traffic.written = written;
    return traffic;
}

TEST(ExpectDeclared, FailsWhereADeclarationIsWrong) {
    const KernelTraffic right = kernel("adam", 7e6, 4e6, 3e6);
    EXPECT_EQ(failures({right}), 0);
    EXPECT_EQ(failures({}), 1);
    EXPECT_EQ(failures({right, kernel("activate", 100e3, 90e3, 0)}), 1);
    EXPECT_EQ(failures({right, kernel("activate", 90e3, 90e3, 10e3)}), 1);
    EXPECT_EQ(failures({right, kernel("activate", 0, 90e3, 10e3)}), 2) << "and the sum";
    EXPECT_EQ(failures({right, kernel("activate", NAN, 90e3, 10e3)}), 2);
    EXPECT_EQ(failures({right, kernel("sum", 4e3, 8e3, 0)}), 0) << "too small to be judged";
    EXPECT_EQ(failures({right, kernel("place_rows", 100e3, 10e3, 10e3)}), 0) << "at most";
    EXPECT_EQ(failures({right, kernel("place_rows", 100e3, 90e3, 90e3)}), 1);
}

} // namespace
} // namespace patchforge::testing
