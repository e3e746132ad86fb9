// How the sums of a window are cut into pieces of work, and what a piece needs (kernels/cpu/dispatch.h).
#pragma once

#include <algorithm>
#include <functional>
#include <vector>

#include "kernels/cpu/dispatch.h"

namespace patchforge {

// Rows of the result that are worked on together: as many as a tile of registers has.
constexpr std::int64_t channels_of_tile = 8;
// Of a scatter: so few that a tile has room for their classes beside each other.
constexpr int few_channels = 4;
constexpr std::int64_t steps_of_loop = 72;
// Weights that a first-level cache holds beside what they are multiplied by: 32 KiB. All of them meet some
// positions before the next ones.
constexpr std::int64_t weights_at_hand = 8 << 10;
// So many units (pictures, or as many interleaved ones as there are lanes) are a task each, which lays out its maps by
// itself; fewer are cut by tiles of channels.
constexpr std::int64_t tasks_by_unit_from = 4;

inline std::int64_t pieces(std::int64_t size, std::int64_t piece) {
    return (size + piece - 1) / piece;
}

// Whether packed weights go into the order of their use. It takes longer than a copy, and pays where tiles have up to four
// rows (all but AVX-512's): at equal distances weights spare them a load that counts (kernels/cpu/vector/window.cpp).
inline bool orders_weights(const VectorKernels& vector) {
    return vector.lanes < 16;
}

// `things` cut into pieces of at most `most`, all of nearly the same size.
struct Share {
    std::int64_t number, first, count;
    Share(std::int64_t things, std::int64_t most, std::int64_t piece) : number(piece) {
        const std::int64_t total = pieces(things, most);
        first = things * piece / total;
        count = things * (piece + 1) / total - first;
    }
};

// Where weights lie: those of a tile at data + first * before_row + number * before_tile, of them those of row r, as
// the plan's steps say, from r * row on.
struct WindowWeights {
    const float* data;
    std::int64_t before_row, before_tile;
    std::int64_t row;

    const float* of(const Share& tile) const {
        return data + tile.first * before_row + tile.number * before_tile;
    }
};

// Taps, of as many channels as steps_of_loop allows, so that the innermost loop is long.
class WindowSteps {
  public:
    WindowSteps(const std::vector<WindowTap>& taps, std::int64_t weight_stride,
                std::int64_t x_stride, std::int64_t channels)
        : taps_(static_cast<std::int64_t>(taps.size())),
          together_(std::clamp<std::int64_t>(steps_of_loop / std::max<std::int64_t>(taps_, 1), 1,
                                             channels)) {
        for (std::int64_t channel = 0; channel < together_; ++channel) {
            for (const WindowTap& tap : taps) {
                steps_.push_back(
                    {tap.weight + channel * weight_stride, tap.x + channel * x_stride});
            }
        }
        const auto step = [&](std::size_t s) { return steps_[s].weight - steps_[s - 1].weight; };
        weight_step_ = steps_.size() > 1 ? step(1) : 0;
        for (std::size_t s = 2; s < steps_.size(); ++s) {
            weight_step_ = step(s) == weight_step_ ? weight_step_ : 0;
        }
    }
    void put_into(WindowSums& sums) const {
        sums.tap = steps_.data();
        sums.weight_step = weight_step_;
        sums.taps = taps_;
        sums.together = together_;
    }

  private:
    std::int64_t taps_, together_, weight_step_;
    std::vector<WindowTap> steps_;
};

// Called once `count` numbers from `first` on of a picture's channel are complete.
using WindowFinish = std::function<void(std::int64_t picture, std::int64_t channel,
                                        std::int64_t first, std::int64_t count)>;

} // namespace patchforge
