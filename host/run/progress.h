// How far a job is, on stderr, and lines on stdout that do not collide with it.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace patchforge {

// On a terminal one line that is redrawn ten times a second: bar, rate, time left. Otherwise a
// plain line every five seconds. Jobs shorter than half a second print nothing. Calls may come from
// several threads. One ProgressBar is shown at a time: the one made last.
class ProgressBar {
  public:
    // `total` <= 0: unknown, no bar and no time left. `begin_at`: done by an earlier run, not
    // counted into the rate.
    ProgressBar(std::string label, std::int64_t total, std::string unit, std::int64_t begin_at = 0);
    ~ProgressBar(); // takes the bar away
    ProgressBar(const ProgressBar&) = delete;
    ProgressBar& operator=(const ProgressBar&) = delete;

    // Cheap when it is not time to draw: call it for every step.
    void update(std::int64_t done);
    // For a job that learns its total on the way.
    void update(std::int64_t done, std::int64_t total);

  private:
    friend void print_line(std::string_view line);
    void update_locked(std::int64_t done);
    void draw(double seconds);
    void erase();

    std::string label_;
    std::int64_t total_;
    std::string unit_;
    std::int64_t begin_at_;
    std::int64_t done_;
    std::chrono::steady_clock::time_point start_;
    double next_draw_; // seconds after start_
    bool terminal_;
    bool drawn_ = false;
};

// Writes the line to stdout, flushed; a bar that is being shown is moved out of its way.
void print_line(std::string_view line);

// For work that tells nobody how far it is.
inline void say_nothing(const std::string&) {}

// What ProgressBar shows, without the cursor's movements, cut to `width` columns (0: not cut).
// `seconds` since the job began at `begin_at`.
std::string progress_line(const std::string& label, std::int64_t done, std::int64_t total,
                          const std::string& unit, std::int64_t begin_at, double seconds,
                          int width);

// 42 s, 3 min 05 s, 2 h 07 min, 3 d 04 h
std::string duration_text(double seconds);

} // namespace patchforge
