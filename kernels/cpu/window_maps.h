// Maps on their way into a WindowLayout and results on their way out of it, a channel at a time, of one
// picture or of up to `lanes` interleaved ones.
#pragma once

#include "kernels/cpu/dispatch.h"
#include "kernels/cpu/window_layout.h"

namespace patchforge {

// Pictures of a map [picture, ...]: the first one's numbers of this channel, and how far the next
// one's are away.
template <class T>
struct ChannelOf {
    T* first;
    std::int64_t picture_stride;
    std::int64_t pictures;
};

// The map that is read, into its phases at `to`, as picture number `place`.
void lay_out(const VectorKernels& vector, const WindowLayout& layout, float* to, int place,
             ChannelOf<const float> from);

// A map of the size of the result, line under line of positions, zeros between them: what products
// with the above are summed over. For layouts with one class.
void lay_out_result(const VectorKernels& vector, const WindowLayout& layout, float* to,
                    ChannelOf<const float> from);

// Sums of positions `first_line` ... of every class, classes `class_stride` apart, into the lines of
// the map that they belong to.
void take_result(const VectorKernels& vector, const WindowLayout& layout, ChannelOf<float> to,
                 const float* sums, std::int64_t class_stride, int first_line, int lines);

} // namespace patchforge
