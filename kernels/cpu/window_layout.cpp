#include "kernels/cpu/window_layout.h"

#include <algorithm>

namespace patchforge {
namespace {

constexpr std::int64_t alignment = 16; // numbers; also what the last vector may read past the end

// A step of a tile fetches its weights whatever its width: as much as most of a vector.
constexpr std::int64_t vectors_of_tile = 3;
constexpr double cost_of_tile = 0.7;

int floor_divide(int a, int b) {
    return a >= 0 ? a / b : -((b - 1 - a) / b);
}

int ceil_divide(int a, int b) {
    return -floor_divide(-a, b);
}

std::int64_t round_up(std::int64_t size) {
    return (size + alignment - 1) / alignment * alignment;
}

} // namespace

WindowLayout WindowLayout::gather(const ConvolutionWindow& window, int together, int lanes) {
    return WindowLayout(window, true, together, lanes, false);
}

WindowLayout WindowLayout::scatter(const ConvolutionWindow& window, int lanes, bool in_step) {
    return WindowLayout(window, false, 1, lanes, in_step);
}

WindowLayout::WindowLayout(const ConvolutionWindow& w, bool gathers, int together_, int lanes_,
                           bool in_step_)
    : from(gathers ? w.large : w.small), to(gathers ? w.small : w.large), together(together_),
      lanes(lanes_), from_stride(gathers ? w.stride : 1), to_stride(gathers ? 1 : w.stride) {
    // What a tap reads for position 0 of a class: the position of the gather's window, or the one
    // whose tap meets the class's first number, where that is a whole number of strides away.
    const auto reads = [&](int first, int tap) {
        return gathers ? tap * w.dilation - w.padding : first + w.padding - tap * w.dilation;
    };
    for (int row = 0; row < to_stride; ++row) {
        for (int column = 0; column < to_stride; ++column) {
            std::vector<Tap> taps;
            for (int a = 0; a < w.kernel_height; ++a) {
                for (int b = 0; b < w.kernel_width; ++b) {
                    const int down = reads(row, a), right = reads(column, b);
                    if (down % to_stride == 0 && right % to_stride == 0) {
                        taps.push_back(
                            {down / to_stride, right / to_stride, a * w.kernel_width + b});
                    }
                }
            }
            add_class(row, column, taps);
        }
    }
    if (in_step_) {
        bring_in_step();
    }
    place();
}

void WindowLayout::bring_in_step() {
    std::vector<std::vector<Tap>> shifted = taps_;
    std::vector<Tap> first;
    for (std::vector<Tap>& taps : shifted) {
        if (taps.empty() || taps.size() != shifted.front().size()) {
            return;
        }
        first.push_back({std::ranges::max(taps, {}, &Tap::row).row,
                         std::ranges::max(taps, {}, &Tap::column).column, 0});
        for (std::size_t t = 0; t < taps.size(); ++t) {
            taps[t].row -= first.back().row;
            taps[t].column -= first.back().column;
            if (taps[t].row != shifted.front()[t].row ||
                taps[t].column != shifted.front()[t].column) {
                return;
            }
        }
    }
    // The least shift is that of nobody.
    const int row = std::ranges::min(first, {}, &Tap::row).row;
    const int column = std::ranges::min(first, {}, &Tap::column).column;
    for (std::size_t c = 0; c < classes.size(); ++c) {
        Class& result = classes[c];
        result.skipped_lines = first[c].row - row;
        result.skipped_columns = first[c].column - column;
        result.lines += result.skipped_lines;
        result.columns += result.skipped_columns;
        for (std::size_t t = 0; t < taps_[c].size(); ++t) {
            taps_[c][t].row = shifted[c][t].row + row;
            taps_[c][t].column = shifted[c][t].column + column;
        }
    }
    in_step = true;
}

void WindowLayout::add_class(int row, int column, const std::vector<Tap>& taps) {
    Class added{row,
                column,
                std::max(0, ceil_divide(to.height - row, to_stride)),
                std::max(0, ceil_divide(to.width - column, to_stride)),
                0,
                0,
                {},
                {}};
    for (const Tap& tap : taps) {
        added.tap.push_back(tap.index);
        const int phase_row = tap.row - floor_divide(tap.row, from_stride) * from_stride;
        const int phase_column = tap.column - floor_divide(tap.column, from_stride) * from_stride;
        if (std::ranges::none_of(phases, [&](const Phase& phase) {
                return phase.row == phase_row && phase.column == phase_column;
            })) {
            phases.push_back({phase_row, phase_column, 0, 0, 0, 0});
        }
    }
    classes.push_back(added);
    taps_.push_back(taps);
}

void WindowLayout::place() {
    pitch = lines = 1;
    for (const Class& result : classes) {
        pitch = std::max(pitch, result.columns);
        lines = std::max(lines, result.lines);
    }
    int most_top = 0, most_left = 0;
    for (Phase& phase : phases) {
        int needed_lines = 0, needed_columns = 0; // from the phase's first on
        for (std::size_t c = 0; c < classes.size(); ++c) {
            for (const Tap& tap : taps_[c]) {
                const int down = floor_divide(tap.row, from_stride);
                const int right = floor_divide(tap.column, from_stride);
                if (tap.row - down * from_stride == phase.row &&
                    tap.column - right * from_stride == phase.column) {
                    phase.top = std::max(phase.top, -down);
                    phase.left = std::max(phase.left, -right);
                    needed_lines = std::max(needed_lines, classes[c].lines + down);
                    needed_columns = std::max(needed_columns, classes[c].columns + right);
                }
            }
        }
        phase.lines =
            std::clamp(ceil_divide(from.height - phase.row, from_stride), 0, needed_lines);
        phase.columns =
            std::clamp(ceil_divide(from.width - phase.column, from_stride), 0, needed_columns);
        // A read past a line's numbers meets zeros: its own, or those before the next line.
        pitch = std::max({pitch, needed_columns, phase.left + phase.columns});
        lines = std::max({lines, needed_lines, phase.top + phase.lines});
        most_top = std::max(most_top, phase.top);
        most_left = std::max(most_left, phase.left);
    }
    picture = std::int64_t{lines} * pitch * lanes;
    plane = round_up(picture * together + (most_top * pitch + most_left) * lanes + alignment);
    for (std::size_t p = 0; p < phases.size(); ++p) {
        phases[p].base = static_cast<std::int64_t>(p) * plane;
    }
    for (std::size_t c = 0; c < classes.size(); ++c) {
        for (const Tap& tap : taps_[c]) {
            const int down = floor_divide(tap.row, from_stride);
            const int right = floor_divide(tap.column, from_stride);
            const auto phase = std::ranges::find_if(phases, [&](const Phase& candidate) {
                return tap.row - down * from_stride == candidate.row &&
                       tap.column - right * from_stride == candidate.column;
            });
            classes[c].offset.push_back(
                phase->base +
                (std::int64_t{down + phase->top} * pitch + right + phase->left) * lanes);
        }
    }
}

std::vector<std::int32_t> WindowLayout::places_read() const {
    std::vector<std::int32_t> places(static_cast<std::size_t>(from.plane()), -1);
    for (const Phase& phase : phases) {
        for (int line = 0; line < phase.lines; ++line) {
            for (int c = 0; c < phase.columns; ++c) {
                const std::int64_t row = line * from_stride + phase.row;
                const std::int64_t column = c * from_stride + phase.column;
                places[static_cast<std::size_t>(row * from.width + column)] =
                    static_cast<std::int32_t>(
                        phase.base +
                        ((line + phase.top) * std::int64_t{pitch} + c + phase.left) * lanes);
            }
        }
    }
    return places;
}

std::vector<std::int32_t> WindowLayout::places_of_result(std::int64_t class_stride) const {
    std::vector<std::int32_t> places;
    for (int row = 0; row < to.height; ++row) {
        for (int column = 0; column < to.width; ++column) {
            const int number = row % to_stride * to_stride + column % to_stride;
            places.push_back(static_cast<std::int32_t>(
                number * class_stride +
                (row / to_stride * std::int64_t{pitch} + column / to_stride) * lanes));
        }
    }
    return places;
}

std::int64_t WindowLayout::count(std::int64_t of_lines, std::int64_t columns) const {
    return ((of_lines - 1) * pitch + columns) * lanes;
}

int WindowLayout::complete(std::int64_t of_lines) const {
    std::int64_t least = to.height;
    for (const Class& result : classes) {
        if (result.column == 0) {
            least = std::min(least, (of_lines - result.skipped_lines) * to_stride + result.row);
        }
    }
    return static_cast<int>(std::max<std::int64_t>(least, 0));
}

std::vector<WindowLayout::Patch> WindowLayout::patches(std::size_t of_class) const {
    const Class& result = classes[of_class];
    const std::vector<Tap>& taps = taps_[of_class];
    const auto reaches = [&](int tap, int position, int size) {
        const int at = tap + position * from_stride;
        return at >= 0 && at < size;
    };
    // Taps enter and leave in order, so positions of equal taps are neighbours.
    const auto starts = [&](int positions, int size, int Tap::*along) {
        std::vector<int> starts;
        for (int p = 0; p < positions; ++p) {
            if (p == 0 || std::ranges::any_of(taps, [&](const Tap& tap) {
                    return reaches(tap.*along, p, size) != reaches(tap.*along, p - 1, size);
                })) {
                starts.push_back(p);
            }
        }
        starts.push_back(positions);
        return starts;
    };
    const std::vector<int> rows = starts(result.lines, from.height, &Tap::row);
    const std::vector<int> columns = starts(result.columns, from.width, &Tap::column);
    std::vector<Patch> found;
    for (std::size_t r = 0; r + 1 < rows.size(); ++r) {
        for (std::size_t c = 0; c + 1 < columns.size(); ++c) {
            Patch patch{
                rows[r], rows[r + 1] - rows[r], columns[c], columns[c + 1] - columns[c], {}};
            for (std::size_t t = 0; t < taps.size(); ++t) {
                if (reaches(taps[t].row, rows[r], from.height) &&
                    reaches(taps[t].column, columns[c], from.width)) {
                    patch.taps.push_back(t);
                }
            }
            found.push_back(patch);
        }
    }
    return found;
}

double WindowLayout::used(int vector) const {
    double counting = 0, worked = 0;
    const auto work = [&](std::size_t taps, std::int64_t vectors) {
        const std::int64_t tiles = (vectors + vectors_of_tile - 1) / vectors_of_tile;
        worked += static_cast<double>(taps) * vector *
                  (static_cast<double>(vectors) + cost_of_tile * static_cast<double>(tiles));
    };
    for (std::size_t c = 0; c < classes.size(); ++c) {
        const Class& result = classes[c];
        if (result.lines == 0 || result.columns == 0) {
            continue;
        }
        counting += static_cast<double>(result.tap.size()) * result.lines * result.columns * lanes;
        if (lanes == 1) {
            work(result.tap.size(), (count(result.lines, result.columns) + vector - 1) / vector);
            continue;
        }
        for (const Patch& patch : patches(c)) {
            work(patch.taps.size(), std::int64_t{patch.lines} * patch.columns);
        }
    }
    return worked > 0 ? counting / worked : 1;
}

} // namespace patchforge
