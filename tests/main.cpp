// The one main of every test binary: runs GoogleTest, prints the seed, and leaves a line
// `passed failed skipped` in $PATCHFORGE_TEST_SUMMARY for the runner that adds them up.
#include <gtest/gtest.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>

namespace {

class SkipReasons : public testing::EmptyTestEventListener {
    void OnTestPartResult(const testing::TestPartResult& result) override {
        if (result.skipped()) {
            std::printf("skipped because %s\n", result.message());
        }
    }
};

} // namespace

int main(int argc, char** argv) {
    // Who started the tests in the background or under nohup ignores some, and programs keep to that.
    for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGUSR1}) {
        std::signal(signal, SIG_DFL);
    }
    testing::InitGoogleTest(&argc, argv);
    auto& unit = *testing::UnitTest::GetInstance();
    unit.listeners().Append(new SkipReasons);
    const int status = RUN_ALL_TESTS();
    if (const char* path = std::getenv("PATCHFORGE_TEST_SUMMARY")) {
        if (std::FILE* file = std::fopen(path, "w")) {
            std::fprintf(file, "%d %d %d\n", unit.successful_test_count(), unit.failed_test_count(),
                         unit.skipped_test_count());
            std::fclose(file);
        }
    }
    return status;
}
