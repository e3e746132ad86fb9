// What the sums of a window need beside numbers: how maps lie, which steps are taken. It depends on the shape
// alone and is worked out once for each; for one small picture that is as much work as the products.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <vector>

#include "kernels/cpu/window_maps.h"
#include "kernels/cpu/window_tiles.h"

namespace patchforge {

struct WindowPlan {
    // Some positions of the result, with the taps that reach them.
    struct Part {
        std::int64_t of_class;
        std::int64_t lines, columns;     // of a picture by itself
        std::int64_t weight_channel;     // numbers from one channel's weights to the next one's
        std::vector<std::int64_t> place; // of interleaved ones, each position's
        WindowSteps steps;
    };

    // Weights lie channel after channel of what is read, `weight_channel` numbers from one to the next, or in the order
    // of their use (CpuBackend::packed_weights).
    WindowPlan(const VectorKernels& vector, WindowLayout layout, std::int64_t depth,
               std::int64_t weight_channel, bool in_order);
    WindowPlan(const WindowPlan&) = delete;

    const WindowLayout layout;
    const std::int64_t depth; // channels of what is read that a sum is over
    std::int64_t packed_tile; // channels of the result whose weights are packed together, at most
    std::int64_t packed_rows; // and how many weights of a tap lie side by side; 0: not in order
    std::int64_t position_lines; // of the result
    std::int64_t tile;           // its channels that are worked on together, at most
    std::int64_t lines;          // and its lines: as many as a cache has room for
    bool worth_own_maps;         // for each thread that reads them
    // Of sums, for a channel and from one class to the next.
    std::int64_t channel_of_sums, class_of_sums;
    const WindowMaps maps;
    std::vector<Part> parts;

  private:
    struct Weights {
        std::vector<WindowTap> taps;
        std::int64_t channel;
    };
    Weights weights_of(std::size_t of_class, std::int64_t weight_channel) const;
    void add_patches(std::int64_t weight_channel);
    void add_classes(std::int64_t weight_channel);
};

enum class WindowUse { gather, scatter, packed_scatter };

// The plans of the shapes that were asked for.
class WindowPlans {
  public:
    // For `rows` pictures.
    const WindowPlan& find(const VectorKernels& vector, const ConvolutionWindow& window,
                           WindowUse use, std::int64_t rows);

  private:
    struct Shape {
        double used_alone, used_interleaved;
        std::unique_ptr<WindowPlan> alone, interleaved;
    };
    std::map<std::array<int, 13>, Shape> shapes_;
};

} // namespace patchforge
