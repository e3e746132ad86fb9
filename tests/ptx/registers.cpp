#include "tests/ptx/registers.h"

#include <algorithm>
#include <cstdint>
#include <queue>

namespace ptx {

namespace {

class RegisterSet {
  public:
    explicit RegisterSet(std::size_t size) : words_((size + 63) / 64) {}
    bool has(int r) const { return words_[word(r)] >> (r % 64) & 1; }
    void add(int r) { words_[word(r)] |= std::uint64_t{1} << (r % 64); }
    // this |= used | (out & ~written); whether that added any.
    bool flow(const RegisterSet& used, const RegisterSet& out, const RegisterSet& written) {
        bool grew = false;
        for (std::size_t i = 0; i < words_.size(); ++i) {
            const std::uint64_t now = used.words_[i] | (out.words_[i] & ~written.words_[i]);
            grew |= (now & ~words_[i]) != 0;
            words_[i] |= now;
        }
        return grew;
    }
    void join(const RegisterSet& other) {
        for (std::size_t i = 0; i < words_.size(); ++i) {
            words_[i] |= other.words_[i];
        }
    }
    template <class Function>
    void each(Function function) const {
        for (std::size_t i = 0; i < words_.size(); ++i) {
            for (std::uint64_t left = words_[i]; left; left &= left - 1) {
                function(static_cast<int>(64 * i) + __builtin_ctzll(left));
            }
        }
    }

  private:
    static std::size_t word(int r) { return static_cast<std::size_t>(r) / 64; }
    std::vector<std::uint64_t> words_;
};

// Half-steps of items: 2n when item n reads, 2n + 1 when it writes.
struct Interval {
    int first = -1, last = -1;
    void extend(int to) {
        first = first < 0 ? to : std::min(first, to);
        last = std::max(last, to);
    }
};

struct Liveness {
    std::vector<RegisterSet> in, out; // of each block
};

Liveness liveness(std::span<const BasicBlock> blocks, std::span<const Access> items,
                  std::size_t registers) {
    const RegisterSet none(registers);
    const std::vector<RegisterSet> empty(blocks.size(), none);
    std::vector<RegisterSet> used = empty, written = empty;
    Liveness live{empty, empty};
    for (std::size_t b = 0; b < blocks.size(); ++b) {
        for (int n = blocks[b].first; n < blocks[b].past; ++n) {
            const Access& item = items[static_cast<std::size_t>(n)];
            for (const int r : item.reads) {
                if (!written[b].has(r)) {
                    used[b].add(r);
                }
            }
            for (const int r : item.writes) {
                written[b].add(r);
            }
        }
    }
    for (bool changed = true; changed;) {
        changed = false;
        for (std::size_t b = blocks.size(); b-- > 0;) {
            for (const int next : blocks[b].next) {
                live.out[b].join(live.in[static_cast<std::size_t>(next)]);
            }
            changed |= live.in[b].flow(used[b], live.out[b], written[b]);
        }
    }
    return live;
}

} // namespace

Places assign_places(std::span<const BasicBlock> blocks, std::span<const Access> items,
                     std::span<const Width> widths) {
    std::vector<Interval> intervals(widths.size());
    const Liveness live = liveness(blocks, items, widths.size());
    for (std::size_t b = 0; b < blocks.size(); ++b) {
        const auto whole = [&](int at) {
            return [&intervals, at](int r) { intervals[static_cast<std::size_t>(r)].extend(at); };
        };
        live.in[b].each(whole(2 * blocks[b].first));
        live.out[b].each(whole(2 * blocks[b].past));
        for (int n = blocks[b].first; n < blocks[b].past; ++n) {
            const Access& item = items[static_cast<std::size_t>(n)];
            std::for_each(item.reads.begin(), item.reads.end(), whole(2 * n));
            std::for_each(item.writes.begin(), item.writes.end(), whole(2 * n + 1));
        }
    }
    if (!blocks.empty()) {
        live.in[0].each([&](int r) {
            intervals[static_cast<std::size_t>(r)] = {0, 2 * static_cast<int>(items.size())};
        });
    }
    std::vector<int> order(widths.size());
    for (std::size_t r = 0; r < order.size(); ++r) {
        order[r] = static_cast<int>(r);
    }
    std::sort(order.begin(), order.end(), [&](int a, int b) {
        return intervals[static_cast<std::size_t>(a)].first <
               intervals[static_cast<std::size_t>(b)].first;
    });
    // Wide ones first, so that every place is aligned.
    Places places{std::vector<Place>(widths.size()), 0};
    for (const Width width : {Width::bits64, Width::bits32, Width::bits16, Width::predicate}) {
        using Busy = std::pair<int, Place>; // until when
        std::priority_queue<Busy, std::vector<Busy>, std::greater<>> busy;
        for (const int r : order) {
            const auto index = static_cast<std::size_t>(r);
            if (widths[index] != width) {
                continue;
            }
            const Interval& interval = intervals[index];
            Place place;
            if (!busy.empty() && busy.top().first < interval.first) {
                place = busy.top().second;
                busy.pop();
            } else {
                place = static_cast<Place>(places.bytes);
                places.bytes += bytes_of(width);
            }
            busy.emplace(interval.last, place);
            places.of[index] = place;
        }
    }
    return places;
}

} // namespace ptx
