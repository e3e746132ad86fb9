#include "kernels/cpu/window_maps.h"

#include <algorithm>

namespace patchforge {
namespace {

std::vector<float>& line_buffer(std::size_t size) {
    thread_local std::vector<float> buffer;
    buffer.resize(std::max(buffer.size(), size));
    return buffer;
}

} // namespace

void lay_out(const VectorKernels& vector, const WindowLayout& layout, float* to, int place,
             ChannelOf<const float> from) {
    const int stride = layout.from_stride, lanes = layout.lanes, width = layout.from.width;
    for (const WindowLayout::Phase& phase : layout.phases) {
        // What taps read past the planes is zero as well.
        std::fill_n(to + phase.base + place * layout.picture,
                    place == 0 ? layout.plane : layout.picture, 0.0f);
    }
    if (lanes == 1 && stride == 1) {
        const WindowLayout::Phase& phase = layout.phases.front();
        float* at = to + place * layout.picture + phase.top * layout.pitch + phase.left;
        for (int line = 0; line < phase.lines; ++line, at += layout.pitch) {
            std::copy_n(from.first + std::int64_t{line} * width, phase.columns, at);
        }
        return;
    }
    // A line of all pictures, or its even and odd numbers.
    const std::size_t half = static_cast<std::size_t>((width + 1) / 2);
    std::vector<float>& line = line_buffer(static_cast<std::size_t>(width * lanes) + 1);
    for (int row = 0; row < layout.from.height; ++row) {
        const float* const source = from.first + std::int64_t{row} * width;
        const int u = row / stride;
        bool fetched = false;
        for (const WindowLayout::Phase& phase : layout.phases) {
            if (phase.row != row % stride || u >= phase.lines) {
                continue;
            }
            if (!fetched && lanes > 1) {
                vector.interleave_pictures(line.data(), source, from.picture_stride, from.pictures,
                                           width);
            } else if (!fetched && stride == 2) {
                vector.deal_line(line.data(), line.data() + half, source, width);
            }
            fetched = true;
            float* const target = to + phase.base + place * layout.picture +
                                  (std::int64_t{u + phase.top} * layout.pitch + phase.left) * lanes;
            if (lanes > 1) {
                for (int c = 0; c < phase.columns; ++c) {
                    std::copy_n(line.data() + (c * stride + phase.column) * lanes, lanes,
                                target + c * lanes);
                }
            } else if (stride == 2) {
                std::copy_n(line.data() + static_cast<std::size_t>(phase.column) * half,
                            phase.columns, target);
            } else {
                for (int c = 0; c < phase.columns; ++c) {
                    target[c] = source[c * stride + phase.column];
                }
            }
        }
    }
}

void lay_out_result(const VectorKernels& vector, const WindowLayout& layout, float* to,
                    ChannelOf<const float> from) {
    const int lanes = layout.lanes, width = layout.to.width;
    std::fill_n(to, layout.picture, 0.0f);
    for (int line = 0; line < layout.to.height; ++line, to += layout.pitch * lanes) {
        const float* const source = from.first + std::int64_t{line} * width;
        if (lanes > 1) {
            vector.interleave_pictures(to, source, from.picture_stride, from.pictures, width);
        } else {
            std::copy_n(source, width, to);
        }
    }
}

void take_result(const VectorKernels& vector, const WindowLayout& layout, ChannelOf<float> to,
                 const float* sums, std::int64_t class_stride, int first_line, int lines) {
    const int stride = layout.to_stride, lanes = layout.lanes, width = layout.to.width;
    const std::int64_t part = (width + stride - 1) / stride; // numbers of a class in a line
    std::vector<float>& separated =
        line_buffer(static_cast<std::size_t>(part * stride * lanes) + 1);
    const int last = std::min(stride * (first_line + lines), layout.to.height);
    for (int line = stride * first_line; line < last; ++line) {
        float* const target = to.first + std::int64_t{line} * width;
        const float* const source = sums + line % stride * stride * class_stride +
                                    std::int64_t{line / stride - first_line} * layout.pitch * lanes;
        if (stride == 1 && lanes == 1) {
            std::copy_n(source, width, target);
            continue;
        }
        if (stride == 1) {
            vector.separate_pictures(target, to.picture_stride, source, to.pictures, width);
            continue;
        }
        const float* from[2] = {source, source + class_stride};
        for (int c = 0; lanes > 1 && c < stride; ++c) {
            vector.separate_pictures(separated.data() + c * lanes * part, part,
                                     source + c * class_stride, to.pictures,
                                     (width - c + stride - 1) / stride);
        }
        for (std::int64_t picture = 0; picture < to.pictures; ++picture) {
            float* const at = target + picture * to.picture_stride;
            if (lanes > 1) {
                from[0] = separated.data() + picture * part;
                from[1] = from[0] + lanes * part;
            }
            if (stride == 2) {
                vector.join_lines(at, from[0], from[1], width);
                continue;
            }
            for (int c = 0; c < width; ++c) {
                at[c] = from[0][c % stride * (from[1] - from[0]) + c / stride];
            }
        }
    }
}

} // namespace patchforge
