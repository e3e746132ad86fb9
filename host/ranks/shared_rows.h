// Rows that all ranks of a job need the same answers about, which each works out for some batches of them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "host/ranks/ranks.h"

namespace patchforge {

// While one lives, share_batches() splits its work over the ranks. They must all do the same between its
// beginning and its end. Null: this process does all.
class SharedRows {
  public:
    explicit SharedRows(Ranks* ranks);
    ~SharedRows();
    SharedRows(const SharedRows&) = delete;
    SharedRows& operator=(const SharedRows&) = delete;

    static Ranks* ranks(); // null: nothing is shared
    // Whether this rank works out batch number `batch`.
    static bool mine(std::int64_t batch);
    // Whether this process writes what all ranks know.
    static bool writes();

    // Within work that is one rank's alone nothing is shared.
    class Alone {
      public:
        Alone();
        ~Alone();
        Alone(const Alone&) = delete;
        Alone& operator=(const Alone&) = delete;

      private:
        Ranks* before_;
    };
};

// What each rank has, on every rank, in their order.
std::vector<std::vector<std::byte>> gather_everywhere(Ranks& ranks,
                                                      const std::vector<std::byte>& bytes);

// Returns when all ranks have come here; at once where nothing is shared.
void meet_ranks();

// The sums of what the ranks hold, in place; as they are where nothing is shared.
void sum_over_ranks(std::vector<std::int64_t>& counts);

// The answers about `rows` rows, each `width` of them in a row: work(first, count) puts those of rows `first`
// to first + count in place, a batch at a time. Batches are the same however many ranks there are.
template <class T, class Work>
void share_batches(std::span<T> answers, std::int64_t rows, std::int64_t width, std::int64_t batch,
                   const Work& work) {
    const auto part = [&](std::int64_t first) {
        const std::int64_t count = std::min(batch, rows - first);
        return std::as_writable_bytes(answers.subspan(static_cast<std::size_t>(first * width),
                                                      static_cast<std::size_t>(count * width)));
    };
    std::vector<std::byte> own;
    for (std::int64_t first = 0; first < rows; first += batch) {
        if (SharedRows::mine(first / batch)) {
            {
                const SharedRows::Alone alone;
                work(first, std::min(batch, rows - first));
            }
            const auto bytes = part(first);
            if (SharedRows::ranks()) {
                own.insert(own.end(), bytes.begin(), bytes.end());
            }
        }
    }
    Ranks* ranks = SharedRows::ranks();
    if (!ranks) {
        return;
    }
    const std::vector<std::vector<std::byte>> all = gather_everywhere(*ranks, own);
    std::vector<std::size_t> taken(all.size());
    for (std::int64_t first = 0; first < rows; first += batch) {
        const auto rank =
            static_cast<std::size_t>(first / batch % static_cast<std::int64_t>(all.size()));
        const auto bytes = part(first);
        std::copy_n(all[rank].begin() + static_cast<std::ptrdiff_t>(taken[rank]), bytes.size(),
                    bytes.begin());
        taken[rank] += bytes.size();
    }
}

} // namespace patchforge
