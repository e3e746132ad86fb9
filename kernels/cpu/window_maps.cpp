#include "kernels/cpu/window_maps.h"

#include <algorithm>

namespace patchforge {

WindowMaps::WindowMaps(const VectorKernels& vector, const WindowLayout& layout,
                       std::int64_t class_stride)
    : vector_(vector), layout_(layout), class_stride_(class_stride) {
    if (layout.lanes > 1) {
        read_ = layout.places_read();
        result_ = layout.places_of_result(class_stride);
    }
}

void WindowMaps::lay_out(float* to, ChannelOf<const float> from) const {
    const WindowLayout& l = layout_;
    if (l.lanes > 1) { // zeros between them are never read (WindowLayout::Patch)
        vector_.interleave_maps(to, read_.data(), from.first, from.picture_stride, from.pictures,
                                l.from.plane());
        return;
    }
    for (const WindowLayout::Phase& phase : l.phases) {
        // Both phases of the same lines are dealt at once, with the first.
        const auto of_same_lines = [&](const WindowLayout::Phase& other) {
            return other.row == phase.row && other.lines == phase.lines &&
                   other.column != phase.column;
        };
        const auto sibling =
            l.from_stride == 2 ? std::ranges::find_if(l.phases, of_same_lines) : l.phases.end();
        const bool dealt_before = sibling != l.phases.end() && &*sibling < &phase;
        const auto head = [&](const WindowLayout::Phase& of) {
            return of.base + std::int64_t{of.top} * l.pitch + of.left;
        };
        const std::int64_t tail = std::int64_t{phase.top + phase.lines} * l.pitch + phase.left;
        for (std::int64_t picture = 0; picture < from.pictures; ++picture) {
            float* const at = to + picture * l.picture;
            std::fill(at + phase.base, at + head(phase), 0.0f);
            if (!dealt_before && phase.lines > 0) {
                lay_out_phase(at + head(phase), phase,
                              sibling == l.phases.end() ? nullptr : at + head(*sibling),
                              sibling == l.phases.end() ? 0 : sibling->columns,
                              from.first + picture * from.picture_stride);
            }
            const bool last = picture + 1 == from.pictures;
            float* const end = last ? to + phase.base + l.plane : at + phase.base + l.picture;
            std::fill(at + phase.base + tail, std::max(at + phase.base + tail, end), 0.0f);
        }
    }
}

void WindowMaps::lay_out_phase(float* to, const WindowLayout::Phase& phase, float* sibling,
                               std::int64_t sibling_columns, const float* from) const {
    const WindowLayout& l = layout_;
    const std::int64_t width = l.from.width;
    from += phase.row * width;
    if (l.from_stride == 1) {
        vector_.copy_lines(to, l.pitch, from, width, phase.lines, phase.columns, l.pitch);
    } else if (l.from_stride == 2) {
        float* const even = phase.column == 0 ? to : sibling;
        float* const odd = phase.column == 0 ? sibling : to;
        vector_.deal_lines(even, phase.column == 0 ? phase.columns : sibling_columns, odd,
                           phase.column == 0 ? sibling_columns : phase.columns, l.pitch, from,
                           2 * width, phase.lines, width);
    } else {
        for (int line = 0; line < phase.lines; ++line, from += l.from_stride * width) {
            for (int c = 0; c < l.pitch; ++c) {
                *to++ = c < phase.columns ? from[c * l.from_stride + phase.column] : 0.0f;
            }
        }
    }
}

void WindowMaps::lay_out_result(float* to, ChannelOf<const float> from) const {
    const WindowLayout& l = layout_;
    const std::int64_t written = std::int64_t{l.to.height} * l.pitch;
    for (std::int64_t picture = 0; picture < from.pictures; ++picture, to += l.picture) {
        vector_.copy_lines(to, l.pitch, from.first + picture * from.picture_stride, l.to.width,
                           l.to.height, l.to.width, l.pitch);
        std::fill_n(to + written, l.picture - written, 0.0f);
    }
    std::fill_n(to, vector_.lanes, 0.0f);
}

void WindowMaps::take_result(ChannelOf<float> to, const float* sums, int first_line,
                             int lines) const {
    const WindowLayout& l = layout_;
    if (l.lanes > 1) {
        vector_.separate_maps(to.first, to.picture_stride, sums, result_.data(), to.pictures,
                              l.to.plane());
        return;
    }
    const std::int64_t width = l.to.width;
    const auto class_of = [&](int row, int column) -> const WindowLayout::Class& {
        return l.classes[static_cast<std::size_t>(row * l.to_stride + column)];
    };
    for (int row = 0; row < l.to_stride; ++row) {
        const int skipped = class_of(row, 0).skipped_lines;
        const int first = std::max(first_line, skipped);
        const int count = std::min(first_line + lines, class_of(row, 0).lines) - first;
        if (count <= 0) {
            continue;
        }
        const auto sums_of = [&](int column) {
            return sums + (row * l.to_stride + column) * class_stride_ +
                   (first - first_line) * std::int64_t{l.pitch} +
                   class_of(row, column).skipped_columns;
        };
        float* const at = to.first + (std::int64_t{first - skipped} * l.to_stride + row) * width;
        if (l.to_stride == 1) {
            vector_.copy_lines(at, width, sums_of(0), l.pitch, count, width, width);
        } else if (l.to_stride == 2) {
            vector_.join_lines(at, 2 * width, sums_of(0), sums_of(1), l.pitch, count, width);
        } else {
            for (int column = 0; column < l.to_stride; ++column) {
                const float* const from = sums_of(column);
                for (int line = 0; line < count; ++line) {
                    for (std::int64_t c = column; c < width; c += l.to_stride) {
                        at[line * l.to_stride * width + c] = from[line * l.pitch + c / l.to_stride];
                    }
                }
            }
        }
    }
}

} // namespace patchforge
