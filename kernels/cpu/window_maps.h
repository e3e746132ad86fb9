// Maps on their way into a WindowLayout and results on their way out of it.
#pragma once

#include "kernels/cpu/dispatch.h"
#include "kernels/cpu/window_layout.h"

namespace patchforge {

// One channel of some pictures: the first one's numbers, and how far the next one's are away.
template <class T>
struct ChannelOf {
    T* first;
    std::int64_t picture_stride;
    std::int64_t pictures; // at most as many as the layout has together, or interleaves
};

// Moves single channels. One may be used by several threads.
class WindowMaps {
  public:
    // Sums of positions of a class lie class_stride after those of the class before.
    WindowMaps(const VectorKernels& vector, const WindowLayout& layout, std::int64_t class_stride);

    // A channel that is read, into the planes of its phases.
    void lay_out(float* to, ChannelOf<const float> from) const;
    // A channel of the size of the result as positions, with zeros between the lines and up to a
    // whole vector after the last: what products with the above are summed over. For one class, not
    // interleaved.
    void lay_out_result(float* to, ChannelOf<const float> from) const;
    // The sums of positions from line `first_line` of each class on into the lines of the map that
    // they belong to. Interleaved layouts: all lines at once.
    void take_result(ChannelOf<float> to, const float* sums, int first_line, int lines) const;

  private:
    // And, with stride 2, into the phase of the other columns of the same lines (or null).
    void lay_out_phase(float* to, const WindowLayout::Phase& phase, float* sibling,
                       std::int64_t sibling_columns, const float* from) const;

    const VectorKernels& vector_;
    const WindowLayout& layout_;
    std::int64_t class_stride_;
    std::vector<std::int32_t> read_, result_; // places, of interleaved layouts
};

} // namespace patchforge
