// The main of build/test-gpu: the tests of kernels, networks and training in one file that runs
// wherever a driver is. Says first what it runs on, and last how many tests had no GPU to run on.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <fstream>
#include <string>

#include "host/run/version.h"
#include "kernels/backend.h"

namespace {

// The kernel module's own line, e.g. "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.65.06".
std::string driver_line() {
    std::ifstream file("/proc/driver/nvidia/version");
    std::string line;
    return std::getline(file, line) ? line : "no NVIDIA kernel module";
}

} // namespace

int main(int argc, char** argv) {
    GTEST_FLAG_SET(brief, true); // --gtest_brief=0 names every test
    testing::InitGoogleTest(&argc, argv);
    const std::string reason = patchforge::why_no_cuda();
    fmt::print("{}\ndriver: {}\nGPU: {}\n", patchforge::version_text(), driver_line(),
               reason.empty() ? patchforge::make_cuda_backend(0)->description() : "none");
    std::fflush(stdout);
    const int status = RUN_ALL_TESTS();
    const auto& unit = *testing::UnitTest::GetInstance();
    fmt::print("{} passed, {} failed, {} skipped\n", unit.successful_test_count(),
               unit.failed_test_count(), unit.skipped_test_count());
    if (!reason.empty()) {
        fmt::print("no usable GPU: {}; {} tests skipped, among them all of the CUDA backend\n",
                   reason, unit.skipped_test_count());
    }
    return status;
}
