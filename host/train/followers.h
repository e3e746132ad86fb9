// Rank 0 runs the training loop and alone writes; the other ranks follow: they run the iterations that it
// runs, and nothing else.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <thread>

#include "host/ranks/ranks.h"
#include "host/train/family.h"

namespace patchforge {

// What rank 0 says to the others. Without ranks it says nothing. While one lives, they also hear that rank
// 0 is alive, whatever it computes.
class Leader {
  public:
    explicit Leader(Ranks* ranks);
    ~Leader();
    Leader(const Leader&) = delete;
    Leader& operator=(const Leader&) = delete;

    void restore(const std::filesystem::path& checkpoint);
    void run(std::int64_t count);
    // No iterations follow. Returns the bytes of sums that all ranks sent so far.
    std::int64_t end(bool complete);
    // All is written: the others go on with what comes after the training.
    void dismiss();

  private:
    void tell(char what, const std::string& argument);

    Ranks* ranks_; // null: nobody follows
    std::atomic<bool> ended_ = false;
    std::thread alive_;
};

// Does what rank 0 says until it dismisses; returns whether the training is complete.
bool follow(Family& family, Ranks& ranks);

// A number that rank 0 knows, on every rank.
std::int64_t as_on_first(Ranks* ranks, std::int64_t number);

} // namespace patchforge
