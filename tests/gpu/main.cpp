// The main of build/test-gpu: the tests of kernels, networks and training in one file that runs
// wherever a driver is. Says first what it runs on, then what failed, and last how many tests had
// to be skipped and why. --gtest_brief=0 brings back GoogleTest's own report.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <string>

#include "host/run/version.h"
#include "kernels/backend.h"

namespace {

// Failures as they come; skipped tests as one line a reason at the end.
class ShortReport : public testing::EmptyTestEventListener {
    void OnTestStart(const testing::TestInfo& test) override {
        test_ = fmt::format("{}.{}", test.test_suite_name(), test.name());
    }
    void OnTestPartResult(const testing::TestPartResult& result) override {
        if (result.skipped()) {
            ++skipped_[result.message()];
        } else if (result.failed()) {
            fmt::print("{}:{}: {} failed: {}\n",
                       result.file_name() ? result.file_name() : "unknown file",
                       result.line_number(), test_, result.message());
        }
    }
    void OnTestProgramEnd(const testing::UnitTest&) override {
        for (const auto& [reason, count] : skipped_) {
            fmt::print("skipped {}: {}\n", count, reason);
        }
    }

    std::string test_;
    std::map<std::string, int> skipped_;
};

// The kernel module's own line, e.g. "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.65.06".
std::string driver_line() {
    std::ifstream file("/proc/driver/nvidia/version");
    std::string line;
    return std::getline(file, line) ? line : "no NVIDIA kernel module";
}

} // namespace

int main(int argc, char** argv) {
    GTEST_FLAG_SET(brief, true);
    testing::InitGoogleTest(&argc, argv);
    auto& unit = *testing::UnitTest::GetInstance();
    if (GTEST_FLAG_GET(brief)) {
        delete unit.listeners().Release(unit.listeners().default_result_printer());
        unit.listeners().Append(new ShortReport);
    }
    const std::string reason = patchforge::why_no_cuda();
    fmt::print("{}\ndriver: {}\nGPU: {}\n", patchforge::version_text(), driver_line(),
               reason.empty() ? patchforge::make_cuda_backend(0)->description() : "none");
    std::fflush(stdout);
    const int status = RUN_ALL_TESTS();
    fmt::print("{} passed, {} failed, {} skipped\n", unit.successful_test_count(),
               unit.failed_test_count(), unit.skipped_test_count());
    if (!reason.empty()) {
        fmt::print("no usable GPU: {}; {} tests skipped, among them all of the CUDA backend\n",
                   reason, unit.skipped_test_count());
    }
    return status;
}
