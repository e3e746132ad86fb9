#include "kernels/cpu/window_plan.h"

#include <algorithm>

namespace patchforge {
namespace {

// Sums of a tile's channels that are worked on together: 64 KiB, or, of several classes before they are joined, 256.
constexpr std::int64_t sums_of_block = 1 << 14, sums_of_classes = 1 << 16;
// Interleaved pictures have to be transposed, there and back.
constexpr double worth_interleaving = 1.1;
// Products for a number that is read from which on each thread lays out for itself what others lay out, too: what
// another core wrote takes longer to fetch than to make.
constexpr double products_worth_own_maps = 32;
// More shapes than any network has; beyond them all are forgotten.
constexpr std::size_t most_shapes = 1024;

std::int64_t round_up(std::int64_t size) {
    return pieces(size, 16) * 16 + 16;
}

std::int64_t weights_of_window(const WindowLayout& layout) {
    return layout.taps() * layout.from.channels * layout.to.channels;
}

// For a number that is read.
double products_of(const WindowLayout& layout, std::int64_t depth) {
    double products = 0;
    for (const WindowLayout::Class& result : layout.classes) {
        products += static_cast<double>(result.tap.size()) * result.lines * result.columns;
    }
    return products * static_cast<double>(depth * layout.to.channels) /
           static_cast<double>(layout.from.size());
}

} // namespace

WindowPlan::WindowPlan(const VectorKernels& vector, WindowLayout layout_, std::int64_t depth_,
                       std::int64_t weight_channel, bool in_order)
    : layout(std::move(layout_)), depth(depth_),
      packed_tile(layout.in_step || (in_order && layout.classes.size() == 1 &&
                                     weights_of_window(layout) <= weights_at_hand)
                      ? layout.to.channels
                      : channels_of_tile),
      packed_rows(in_order
                      ? pieces(layout.to.channels, pieces(layout.to.channels, packed_tile)) *
                            (layout.in_step ? static_cast<std::int64_t>(layout.classes.size()) : 1)
                      : 0),
      position_lines(std::ranges::max(layout.classes, {}, &WindowLayout::Class::lines).lines),
      tile(depth < layout.from.channels // groups
               ? 1
               : std::min<std::int64_t>(channels_of_tile, layout.to.channels)),
      lines(std::clamp<std::int64_t>(
          (layout.classes.size() > 1 ? sums_of_classes : sums_of_block) /
              (tile * static_cast<std::int64_t>(layout.classes.size()) * layout.pitch),
          1, layout.lines)),
      worth_own_maps(products_of(layout, depth) >= products_worth_own_maps),
      channel_of_sums(layout.lanes > 1 ? static_cast<std::int64_t>(layout.classes.size()) *
                                             round_up(layout.picture)
                                       : round_up(lines * layout.pitch)),
      class_of_sums(layout.lanes > 1 ? round_up(layout.picture) : tile * channel_of_sums),
      maps(vector, layout, class_of_sums) {
    if (layout.lanes > 1) {
        add_patches(weight_channel);
    } else {
        add_classes(weight_channel);
    }
}

WindowPlan::Weights WindowPlan::weights_of(std::size_t of_class,
                                           std::int64_t weight_channel) const {
    const WindowLayout::Class& result = layout.classes[of_class];
    const auto taps = static_cast<std::int64_t>(result.tap.size());
    std::int64_t before = 0; // of other classes
    for (std::size_t c = 0; !layout.in_step && c < of_class; ++c) {
        before += static_cast<std::int64_t>(layout.classes[c].tap.size());
    }
    Weights found{{}, packed_rows > 0 ? taps * packed_rows : weight_channel};
    for (std::size_t t = 0; t < result.tap.size(); ++t) {
        const std::int64_t at = packed_rows > 0
                                    ? (before * depth + static_cast<std::int64_t>(t)) * packed_rows
                                    : result.tap[t];
        found.taps.push_back({at, result.offset[t]});
    }
    return found;
}

void WindowPlan::add_patches(std::int64_t weight_channel) {
    for (std::size_t c = 0; c < layout.classes.size(); ++c) {
        const Weights weights = weights_of(c, weight_channel);
        for (const WindowLayout::Patch& patch : layout.patches(c)) {
            std::vector<WindowTap> taps;
            for (const std::size_t tap : patch.taps) {
                taps.push_back(weights.taps[tap]);
            }
            std::vector<std::int64_t> place;
            for (int line = 0; line < patch.lines; ++line) {
                for (int column = 0; column < patch.columns; ++column) {
                    place.push_back((std::int64_t{patch.first_line + line} * layout.pitch +
                                     patch.first_column + column) *
                                    layout.lanes);
                }
            }
            parts.push_back({static_cast<std::int64_t>(c), patch.lines, patch.columns,
                             weights.channel, place,
                             WindowSteps(taps, weights.channel, layout.channel(), depth)});
        }
    }
}

void WindowPlan::add_classes(std::int64_t weight_channel) {
    const auto count = static_cast<std::int64_t>(layout.classes.size());
    for (std::int64_t c = 0; c < (layout.in_step ? 1 : count); ++c) {
        const WindowLayout::Class& result = layout.classes[static_cast<std::size_t>(c)];
        const Weights weights = weights_of(static_cast<std::size_t>(c), weight_channel);
        parts.push_back({c,
                         result.lines,
                         result.columns,
                         weights.channel,
                         {},
                         WindowSteps(weights.taps, weights.channel, layout.channel(), depth)});
    }
    if (layout.in_step) { // one of them may have a line or column more
        parts.front().lines = position_lines;
        parts.front().columns =
            std::ranges::max(layout.classes, {}, &WindowLayout::Class::columns).columns;
    }
}

const WindowPlan& WindowPlans::find(const VectorKernels& vector, const ConvolutionWindow& w,
                                    WindowUse use, std::int64_t rows) {
    const std::array<int, 13> key = {
        w.large.channels, w.large.height,  w.large.width,        w.small.channels, w.small.height,
        w.small.width,    w.kernel_height, w.kernel_width,       w.stride,         w.padding,
        w.dilation,       w.groups,        static_cast<int>(use)};
    const int lanes = vector.lanes;
    const auto layout = [&](int interleaved, bool in_step) {
        return use == WindowUse::gather ? WindowLayout::gather(w, 1, interleaved)
                                        : WindowLayout::scatter(w, interleaved, in_step);
    };
    auto found = shapes_.find(key);
    if (found == shapes_.end()) {
        if (shapes_.size() == most_shapes) {
            shapes_.clear();
        }
        found = shapes_
                    .emplace(key, Shape{layout(1, false).used(lanes),
                                        layout(lanes, false).used(lanes), nullptr, nullptr})
                    .first;
    }
    Shape& shape = found->second;
    const double filled =
        static_cast<double>(rows) / static_cast<double>(pieces(rows, lanes) * lanes);
    const bool interleaves =
        filled * shape.used_interleaved > worth_interleaving * shape.used_alone;
    std::unique_ptr<WindowPlan>& plan = interleaves ? shape.interleaved : shape.alone;
    if (!plan) {
        const bool in_step =
            !interleaves && use == WindowUse::packed_scatter && w.large.channels <= few_channels;
        WindowLayout chosen = layout(interleaves ? lanes : 1, in_step);
        const std::int64_t taps = w.kernel_height * w.kernel_width;
        const std::int64_t inputs = w.large.channels;
        const std::int64_t weight_channel =
            use == WindowUse::gather    ? taps
            : use == WindowUse::scatter ? inputs * taps
                                        : pieces(inputs, pieces(inputs, channels_of_tile)) * taps;
        const bool in_order =
            use == WindowUse::packed_scatter && (chosen.in_step || orders_weights(vector));
        const std::int64_t depth = chosen.from.channels / w.groups;
        plan = std::make_unique<WindowPlan>(vector, std::move(chosen), depth, weight_channel,
                                            in_order);
    }
    return *plan;
}

} // namespace patchforge
