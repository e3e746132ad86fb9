#include <gtest/gtest.h>

#include <csignal>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include "host/run/interrupt.h"
#include "host/run/progress.h"

namespace patchforge {
namespace {

TEST(Progress, LineShowsBarRateAndTimeLeft) {
    EXPECT_EQ(progress_line("train", 50, 200, "steps", 0, 10, 0),
              "train  25% [======                  ] 50/200 steps, 5.0 steps/s, 30 s left");
    EXPECT_EQ(progress_line("train", 200, 200, "steps", 0, 1, 0),
              "train 100% [========================] 200/200 steps, 200 steps/s");
    // A resumed run counts only its own steps into the rate.
    EXPECT_EQ(progress_line("train", 150, 200, "steps", 100, 10, 0),
              "train  75% [==================      ] 150/200 steps, 5.0 steps/s, 10 s left");
    EXPECT_EQ(progress_line("scan", 7, 0, "files", 0, 14, 0), "scan 7 files, 2.0 s/files");
    EXPECT_EQ(progress_line("train", 0, 200, "steps", 0, 0, 8), "train   ");
}

TEST(Progress, Durations) {
    EXPECT_EQ(duration_text(0.4), "0 s");
    EXPECT_EQ(duration_text(59.4), "59 s");
    EXPECT_EQ(duration_text(59.6), "1 min 00 s");
    EXPECT_EQ(duration_text(185), "3 min 05 s");
    EXPECT_EQ(duration_text(7620), "2 h 07 min");
    EXPECT_EQ(duration_text(273600), "3 d 04 h");
}

TEST(Progress, ShortJobsPrintNothing) {
    testing::internal::CaptureStderr();
    testing::internal::CaptureStdout();
    {
        ProgressBar bar("job", 100, "things");
        for (int i = 0; i <= 100; ++i) {
            bar.update(i);
        }
        print_line("between");
    }
    EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
    EXPECT_EQ(testing::internal::GetCapturedStdout(), "between\n");
}

TEST(Progress, LongJobsPrintPlainLinesWithoutATerminal) {
    testing::internal::CaptureStderr();
    {
        ProgressBar bar("job", 10, "things");
        std::this_thread::sleep_for(std::chrono::milliseconds(520));
        bar.update(4);
        bar.update(5); // too soon for another line
    }
    const std::string text = testing::internal::GetCapturedStderr();
    EXPECT_EQ(text.rfind("job  40% [", 0), 0u) << text;
    EXPECT_EQ(text.find('\r'), std::string::npos);
    EXPECT_EQ(text.find('\n'), text.size() - 1) << text;
}

TEST(Interrupt, FirstSignalIsNotedSecondEndsTheProgram) {
    const pid_t child = ::fork();
    if (child == 0) {
        const InterruptScope scope;
        if (interrupted()) {
            ::_exit(1);
        }
        std::raise(SIGINT);
        if (!interrupted()) {
            ::_exit(2);
        }
        std::raise(SIGINT);
        ::_exit(3);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGINT) << status;
}

TEST(Interrupt, ScopeBeginsFreshAndPutsBackWhatWasThere) {
    const auto before = std::signal(SIGTERM, SIG_IGN);
    {
        const InterruptScope scope;
        std::raise(SIGTERM);
        EXPECT_TRUE(interrupted());
    }
    EXPECT_EQ(std::signal(SIGTERM, before), SIG_IGN);
    const InterruptScope scope;
    EXPECT_FALSE(interrupted());
}

} // namespace
} // namespace patchforge
