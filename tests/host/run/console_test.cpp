#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include "data/atomic_file.h"
#include "host/run/interrupt.h"
#include "host/run/progress.h"
#include "tests/host/temporary_folder.h"

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
    EXPECT_EQ(progress_line("scan", 7, 0, "files", 0, 14, 0), "scan 7 files, 2.0 s/file");
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

// What a job prints on the console, as one that takes no longer than `seconds`: on a busy machine it may, and is done again.
std::string printed_by(double seconds, void (*job)()) {
    for (int attempt = 0; attempt < 100; ++attempt) {
        testing::internal::CaptureStderr();
        const auto begin = std::chrono::steady_clock::now();
        job();
        const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
        const std::string text = testing::internal::GetCapturedStderr();
        if (taken.count() < seconds) {
            return text;
        }
    }
    return "too slow a machine";
}

TEST(Progress, ShortJobsPrintNothing) {
    testing::internal::CaptureStdout();
    EXPECT_EQ(printed_by(0.5,
                         [] {
                             ProgressBar bar("job", 100, "things");
                             for (int i = 0; i <= 100; ++i) {
                                 bar.update(i);
                             }
                         }),
              "");
    {
        const ProgressBar bar("job", 100, "things");
        print_line("between");
    }
    EXPECT_EQ(testing::internal::GetCapturedStdout(), "between\n");
}

TEST(Progress, LongJobsPrintPlainLinesWithoutATerminal) {
    const std::string text = printed_by(5, [] {
        ProgressBar bar("job", 10, "things");
        std::this_thread::sleep_for(std::chrono::milliseconds(520));
        bar.update(4);
        bar.update(5); // too soon for another line
    });
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
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 128 + SIGINT) << status;
}

TEST(Interrupt, ClosedTerminalsAndPipesTellTwiceAndAreSavedOnce) {
    const pid_t child = ::fork();
    if (child == 0) {
        const InterruptScope scope;
        for (const int signal : {SIGHUP, SIGHUP, SIGPIPE, SIGPIPE}) {
            std::raise(signal);
        }
        ::_exit(interrupting_signal());
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == SIGHUP) << status;
}

TEST(Interrupt, WithNothingToSaveTheProgramEndsAndTakesItsTemporariesBack) {
    for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGPIPE}) {
        const TemporaryFolder folder;
        const pid_t child = ::fork();
        if (child == 0) {
            handle_signals();
            AtomicFile file(folder / "half");
            file.write("half");
            std::raise(signal);
            ::_exit(0);
        }
        int status = 0;
        ::waitpid(child, &status, 0);
        EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 128 + signal) << status;
        EXPECT_TRUE(std::filesystem::is_empty(folder.path())) << signal;
    }
}

TEST(Interrupt, WhatWasIgnoredStaysIgnored) { // nohup
    const pid_t child = ::fork();
    if (child == 0) {
        std::signal(SIGHUP, SIG_IGN);
        handle_signals();
        std::raise(SIGHUP);
        const InterruptScope scope;
        std::raise(SIGHUP);
        ::_exit(interrupted() ? 1 : 0);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

TEST(Interrupt, ScopeBeginsFreshAndPutsBackWhatWasThere) {
    const auto before = std::signal(SIGTERM, [](int) {});
    const auto own = std::signal(SIGTERM, before);
    std::signal(SIGTERM, own);
    {
        const InterruptScope scope;
        EXPECT_NO_THROW(stop_if_interrupted());
        std::raise(SIGTERM);
        EXPECT_TRUE(interrupted());
        EXPECT_THROW(stop_if_interrupted(), Interrupted);
    }
    EXPECT_NO_THROW(stop_if_interrupted()); // there is nobody to catch it
    EXPECT_EQ(std::signal(SIGTERM, before), own);
    const InterruptScope scope;
    EXPECT_FALSE(interrupted());
}

} // namespace
} // namespace patchforge
