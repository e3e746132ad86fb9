#include "host/run/progress.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <sys/ioctl.h>
#include <unistd.h>

namespace patchforge {

namespace {

constexpr double silent_seconds = 0.5;
constexpr double terminal_interval = 0.1;
constexpr double plain_interval = 5;
constexpr int bar_width = 24;

std::mutex console; // guards stderr's bar and `shown`
ProgressBar* shown = nullptr;

int terminal_width() {
    winsize size = {};
    return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

// "patches" to "patch", "steps" to "step".
std::string one_of(const std::string& units) {
    return units.substr(0, units.size() - (units.ends_with("ches") ? 2 : 1));
}

std::string rate_text(double rate, const std::string& unit) {
    if (rate >= 100) {
        return fmt::format("{:.0f} {}/s", rate, unit);
    }
    return rate >= 1 ? fmt::format("{:.1f} {}/s", rate, unit)
                     : fmt::format("{:.1f} s/{}", 1 / rate, one_of(unit));
}

} // namespace

std::string duration_text(double seconds) {
    const auto whole = static_cast<std::int64_t>(std::llround(std::max(0.0, seconds)));
    if (whole < 60) {
        return fmt::format("{} s", whole);
    }
    if (whole < 3600) {
        return fmt::format("{} min {:02} s", whole / 60, whole % 60);
    }
    if (whole < 86400) {
        return fmt::format("{} h {:02} min", whole / 3600, whole % 3600 / 60);
    }
    return fmt::format("{} d {:02} h", whole / 86400, whole % 86400 / 3600);
}

std::string progress_line(const std::string& label, std::int64_t done, std::int64_t total,
                          const std::string& unit, std::int64_t begin_at, double seconds,
                          int width) {
    const double rate = seconds > 0 ? static_cast<double>(done - begin_at) / seconds : 0;
    std::string line = label + ' ';
    if (total > 0) {
        const double share =
            std::clamp(static_cast<double>(done) / static_cast<double>(total), 0.0, 1.0);
        const int filled = static_cast<int>(share * bar_width);
        line += fmt::format("{:3.0f}% [{:=<{}}{: <{}}] {}/{} {}", std::floor(share * 100), "",
                            filled, "", bar_width - filled, done, total, unit);
    } else {
        line += fmt::format("{} {}", done, unit);
    }
    if (rate > 0) {
        line += ", " + rate_text(rate, unit);
        if (total > done) {
            line +=
                fmt::format(", {} left", duration_text(static_cast<double>(total - done) / rate));
        }
    }
    if (width > 0 && line.size() > static_cast<std::size_t>(width)) {
        line.resize(static_cast<std::size_t>(width));
    }
    return line;
}

ProgressBar::ProgressBar(std::string label, std::int64_t total, std::string unit,
                         std::int64_t begin_at)
    : label_(std::move(label)), total_(total), unit_(std::move(unit)), begin_at_(begin_at),
      done_(begin_at), start_(std::chrono::steady_clock::now()), next_draw_(silent_seconds),
      terminal_(::isatty(STDERR_FILENO) != 0) {
    const std::lock_guard lock(console);
    if (shown) {
        shown->erase();
    }
    shown = this;
}

ProgressBar::~ProgressBar() {
    const std::lock_guard lock(console);
    if (shown == this) {
        erase();
        shown = nullptr;
    }
}

void ProgressBar::update(std::int64_t done) {
    const std::lock_guard lock(console);
    update_locked(done);
}

void ProgressBar::update(std::int64_t done, std::int64_t total) {
    const std::lock_guard lock(console);
    total_ = total;
    update_locked(done);
}

void ProgressBar::update_locked(std::int64_t done) {
    done_ = std::max(done_, done);
    const double seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
    if (seconds >= next_draw_ && shown == this) {
        next_draw_ = seconds + (terminal_ ? terminal_interval : plain_interval);
        draw(seconds);
    }
}

void ProgressBar::draw(double seconds) {
    const std::string line = progress_line(label_, done_, total_, unit_, begin_at_, seconds,
                                           terminal_ ? terminal_width() - 1 : 0);
    if (terminal_) {
        std::fprintf(stderr, "\r%s\x1b[K", line.c_str());
        std::fflush(stderr);
        drawn_ = true;
    } else {
        std::fprintf(stderr, "%s\n", line.c_str());
    }
}

void ProgressBar::erase() {
    if (drawn_) {
        std::fputs("\r\x1b[K", stderr);
        std::fflush(stderr);
        drawn_ = false;
    }
}

void print_line(std::string_view line) {
    const std::lock_guard lock(console);
    const bool redraw = shown && shown->drawn_;
    if (redraw) {
        shown->erase();
    }
    std::fwrite(line.data(), 1, line.size(), stdout);
    std::fputc('\n', stdout);
    std::fflush(stdout);
    if (redraw) {
        shown->draw(std::chrono::duration<double>(std::chrono::steady_clock::now() - shown->start_)
                        .count());
    }
}

} // namespace patchforge
