// Convolutional layers: sums over channels, then lines and columns of the kernel.
#include <algorithm>
#include <vector>

#include "kernels/cpu/cpu_backend.h"

namespace patchforge {
namespace {

// Of a folded axis: lines 2; 1, 2; 0, 1; 0 of the 3 (kernels/convolution_shape.h).
constexpr int folded_first[] = {2, 1, 0, 0};
constexpr int folded_last[] = {2, 2, 1, 0};

// folded [out, 4, 4] of an input channel from weight [out, in, 3, 3], lines first.
void fold(float* folded, const float* weight, int channel, const ConvolutionShape& shape) {
    for (int o = 0; o < shape.out_channels; ++o, folded += 16) {
        const float* const from = weight + (std::int64_t{o} * shape.in.channels + channel) * 9;
        for (int a = 0; a < 4; ++a) {
            float line[3];
            for (int b = 0; b < 3; ++b) {
                const float first = from[folded_first[a] * 3 + b];
                line[b] = a == 1 || a == 2 ? first + from[folded_last[a] * 3 + b] : first;
            }
            for (int b = 0; b < 4; ++b) {
                const float first = line[folded_first[b]];
                folded[a * 4 + b] = b == 1 || b == 2 ? first + line[folded_last[b]] : first;
            }
        }
    }
}

// Positions from which on it pays to copy a scatter's weights tile by tile.
constexpr std::int64_t positions_worth_packing = 256;
// Few pictures are cut into so many tasks each, at least.
constexpr std::int64_t tasks_of_few = 4;

} // namespace

// Weights of a scatter, tile after tile of the large map's channels: [small channels, tile, taps] each. In the order of
// their use: [classes, small channels, taps of a class, tile]; where classes are in step, [small channels, taps of a
// class, classes, large channels].
WindowWeights CpuBackend::packed_weights(const WindowPlan& plan, const float* weight) {
    const WindowLayout& layout = plan.layout;
    const std::int64_t inputs = layout.to.channels, outputs = layout.from.channels;
    const std::int64_t tiles = pieces(inputs, plan.packed_tile), rows = plan.packed_rows;
    const std::int64_t taps = layout.taps();
    const std::int64_t of_tile = outputs * taps * pieces(inputs, tiles);
    float* const packed = window_weights_.at_least(tiles * of_tile);
    pool_.parallel_for(tiles, [&](std::int64_t which) {
        const Share tile(inputs, plan.packed_tile, which);
        for (std::int64_t o = 0; o < outputs; ++o) {
            const float* const from = weight + (o * inputs + tile.first) * taps;
            if (rows == 0) {
                std::copy_n(from, tile.count * taps,
                            packed + which * of_tile + o * of_tile / outputs);
                continue;
            }
            float* of_class = packed + which * of_tile;
            for (const WindowLayout::Class& result : layout.classes) {
                const auto size = static_cast<std::int64_t>(result.tap.size()) * rows;
                float* to = of_class + o * size;
                for (const int tap : result.tap) {
                    for (std::int64_t i = 0; i < tile.count; ++i) {
                        to[i] = from[i * taps + tap];
                    }
                    to += rows;
                }
                of_class += layout.in_step ? inputs : outputs * size;
            }
        }
    });
    const std::int64_t row = rows == 0 ? taps : 1;
    return {packed, tiles > 1 ? 0 : row, tiles > 1 ? of_tile : 0, row};
}

// out = sums of a window over `from` (kernels/cpu/window_layout.h), each begun with its channel's
// bias, of pictures laid out one by one.
void CpuBackend::move_window(const WindowPlan& plan, Matrix<float> out, const float* from,
                             const WindowWeights& weights, const float* bias,
                             const WindowFinish& finish) {
    const WindowLayout& layout = plan.layout;
    const std::int64_t outputs = layout.to.channels;
    const auto line = static_cast<std::int64_t>(layout.pitch);
    const auto classes = static_cast<std::int64_t>(layout.classes.size());
    const bool grouped = plan.depth < layout.from.channels;
    const bool by_picture = out.rows >= tasks_by_unit_from;
    // Where lines of positions are lines of the map, sums go there at once.
    const bool in_place = classes == 1;
    const auto taps = static_cast<std::int64_t>(layout.classes.front().tap.size());
    const std::int64_t tile = in_place && by_picture && !grouped && weights.before_tile == 0 &&
                                      outputs * plan.depth * taps <= weights_at_hand
                                  ? outputs
                                  : plan.tile;
    const std::int64_t tiles = pieces(outputs, tile);
    const std::int64_t lines =
        by_picture ? plan.lines
                   : std::min(plan.lines,
                              pieces(plan.position_lines, pieces(tasks_of_few, out.rows * tiles)));
    const std::int64_t blocks = pieces(plan.position_lines, lines);
    const std::int64_t sums_size = in_place ? 0 : classes * plan.class_of_sums;
    const std::int64_t rows_of_part = layout.in_step ? classes : 1;
    std::vector<float> start; // of every class
    for (std::int64_t c = 0; bias && c < rows_of_part; ++c) {
        start.insert(start.end(), bias, bias + outputs);
    }
    const auto lay_out = [&](float* maps, std::int64_t picture, std::int64_t channel) {
        plan.maps.lay_out(maps + channel * layout.channel(),
                          {from + picture * layout.from.size() + channel * layout.from.plane(),
                           layout.from.size(), 1});
    };
    const auto work_on = [&](const float* maps, float* sums, std::int64_t picture,
                             std::int64_t block, std::int64_t which) {
        const Share share(outputs, tile, which);
        const float* const x = maps + (grouped ? share.first * layout.channel() : 0);
        float* const to = out.data + picture * layout.to.size() + share.first * layout.to.plane();
        const auto first_line = static_cast<int>(block * lines);
        const std::int64_t first = std::int64_t{layout.complete(first_line)} * layout.to.width;
        const std::int64_t end =
            std::int64_t{layout.complete(first_line + lines)} * layout.to.width;
        for (const WindowPlan::Part& part : plan.parts) {
            const std::int64_t height = std::min(lines, part.lines - first_line);
            if (height <= 0) {
                continue;
            }
            WindowSums of_part = {
                .out = in_place ? to + first : sums + part.of_class * plan.class_of_sums,
                .out_stride = in_place ? layout.to.plane() : plan.channel_of_sums,
                .x = x + first_line * line,
                .channel_stride = layout.channel(),
                .weight = weights.of(share),
                .weight_stride = weights.row,
                .weight_channel_stride = part.weight_channel,
                .channels = plan.depth,
                .start = bias ? start.data() + share.first : nullptr,
                .rows = rows_of_part * share.count,
                .count = layout.count(height, part.columns),
                .width = in_place ? part.columns : line,
                .pitch = line,
            };
            part.steps.put_into(of_part);
            vector_.window_sums(of_part);
        }
        for (std::int64_t r = 0; r < share.count; ++r) {
            if (!in_place) {
                plan.maps.take_result({to + r * layout.to.plane(), layout.to.size(), 1},
                                      sums + r * plan.channel_of_sums, first_line,
                                      static_cast<int>(lines));
            }
            finish(picture, share.first + r, first, end - first);
        }
    };
    if (by_picture) {
        pool_.parallel_for(out.rows, [&](std::int64_t picture) {
            float* const maps = thread_scratch(layout.size() + sums_size);
            float* const sums = maps + layout.size();
            for (std::int64_t channel = 0; channel < layout.from.channels; ++channel) {
                lay_out(maps, picture, channel);
            }
            for (std::int64_t task = 0; task < blocks * tiles; ++task) {
                work_on(maps, sums, picture, task / tiles, task % tiles);
            }
        });
        return;
    }
    const auto for_tasks = [&](const auto& body) { // body(picture, block of lines, tile)
        pool_.parallel_for(out.rows * blocks * tiles, [&](std::int64_t task) {
            body(task / (blocks * tiles), task / tiles % blocks, task % tiles);
        });
    };
    if (plan.worth_own_maps && blocks * tiles > 1) {
        const ScratchOwner owner;
        for_tasks([&](std::int64_t picture, std::int64_t block, std::int64_t which) {
            float* const maps = thread_scratch(layout.size() + sums_size);
            if (!owner.takes(picture)) {
                for (std::int64_t channel = 0; channel < layout.from.channels; ++channel) {
                    lay_out(maps, picture, channel);
                }
            }
            work_on(maps, maps + layout.size(), picture, block, which);
        });
        return;
    }
    float* const maps = window_maps_.at_least(out.rows * layout.size());
    pool_.parallel_for(out.rows * layout.from.channels, [&](std::int64_t task) {
        const std::int64_t picture = task / layout.from.channels;
        lay_out(maps + picture * layout.size(), picture, task % layout.from.channels);
    });
    for_tasks([&](std::int64_t picture, std::int64_t block, std::int64_t which) {
        work_on(maps + picture * layout.size(), thread_scratch(sums_size), picture, block, which);
    });
}

void CpuBackend::move_by(const WindowPlan& plan, Matrix<float> out, const float* from,
                         const WindowWeights& weights, const float* bias,
                         const WindowFinish& finish) {
    if (plan.layout.lanes > 1) {
        move_interleaved(plan, out, from, weights, bias, finish);
    } else {
        move_window(plan, out, from, weights, bias, finish);
    }
}

void CpuBackend::gather(const ConvolutionWindow& w, Matrix<float> small, const float* large,
                        const float* weight, const float* bias, const WindowFinish& finish) {
    if (w.is_product()) {
        multiply_forward(small, {large, small.rows, w.large.size()},
                         {weight, small.columns, w.large.size()}, {bias, bias ? small.columns : 0},
                         {});
        pool_.parallel_for(small.rows, [&](std::int64_t row) { finish(row, 0, 0, small.columns); });
        return;
    }
    const WindowPlan& plan = window_plans_.find(vector_, w, WindowUse::gather, small.rows);
    const std::int64_t row = plan.depth * w.kernel_height * w.kernel_width;
    move_by(plan, small, large, {weight, row, 0, row}, bias, finish);
}

void CpuBackend::scatter(const ConvolutionWindow& w, Matrix<float> large, const float* small,
                         const float* weight, const float* bias, const WindowFinish& finish) {
    const std::int64_t plane = w.large.plane();
    if (w.is_product()) {
        backward(large, nullptr, {small, large.rows, w.small.channels},
                 {weight, w.small.channels, large.columns}, {}, {}, nullptr);
        pool_.parallel_for(large.rows, [&](std::int64_t row) {
            float* const at = large.data + row * large.columns;
            for (std::int64_t e = 0; bias && e < large.columns; ++e) {
                at[e] += bias[e / plane];
            }
            finish(row, 0, 0, large.columns);
        });
        return;
    }
    const bool at_hand =
        w.stride == 1 && w.large.channels > few_channels && w.weights() <= weights_at_hand;
    const bool packs =
        w.groups == 1 && (at_hand ? orders_weights(vector_) && large.rows >= tasks_by_unit_from
                                  : large.rows * w.small.plane() >= positions_worth_packing);
    const WindowPlan& plan = window_plans_.find(
        vector_, w, packs ? WindowUse::packed_scatter : WindowUse::scatter, large.rows);
    const std::int64_t taps = w.kernel_height * w.kernel_width;
    move_by(plan, large, small,
            packs ? packed_weights(plan, weight) : WindowWeights{weight, taps, 0, taps}, bias,
            finish);
}

void CpuBackend::convolution_forward(Matrix<float> y, Matrix<const float> x,
                                     Vector<const float> weight, Vector<const float> bias,
                                     const Epilogue& epilogue, const ConvolutionShape& shape) {
    const EpilogueArguments arguments = epilogue_arguments(epilogue);
    const auto finish = [&](std::int64_t row, std::int64_t channel, std::int64_t first,
                            std::int64_t count) {
        if (!epilogue.is_identity()) {
            const std::int64_t at = row * y.columns + channel * shape.out().plane() + first;
            vector_.activate(y.data + at, y.data + at, nullptr, count,
                             static_cast<std::uint64_t>(at), arguments);
        }
    };
    const ConvolutionWindow window = convolution_window(shape);
    const Operands operands = window_operands(shape, weight, x);
    if (shape.kind == ConvolutionKind::convolution) {
        gather(window, y, operands.map, operands.weight, bias.data_or_null(), finish);
    } else {
        scatter(window, y, operands.map, operands.weight, bias.data_or_null(), finish);
    }
}

void CpuBackend::convolution_input_gradient(Matrix<float> dx, Matrix<const float> dz,
                                            Vector<const float> weight, Matrix<const float> x,
                                            const Epilogue& previous,
                                            const ConvolutionShape& shape) {
    const EpilogueArguments arguments = epilogue_arguments(previous);
    const auto finish = [&](std::int64_t row, std::int64_t channel, std::int64_t first,
                            std::int64_t count) {
        if (!previous.is_identity()) {
            const std::int64_t at = row * dx.columns + channel * shape.in.plane() + first;
            vector_.activation_gradient(dx.data + at, dx.data + at, x.data + at, count,
                                        static_cast<std::uint64_t>(at), arguments);
        }
    };
    const ConvolutionWindow window = convolution_window(shape);
    const Operands operands = window_operands(shape, weight, dz);
    if (shape.kind == ConvolutionKind::convolution) {
        scatter(window, dx, operands.map, operands.weight, nullptr, finish);
    } else {
        gather(window, dx, operands.map, operands.weight, nullptr, finish);
    }
}

CpuBackend::Operands CpuBackend::window_operands(const ConvolutionShape& shape,
                                                 Vector<const float> weight,
                                                 Matrix<const float> map) {
    Matrix<const float> weights = {weight.data, 1, weight.size};
    if (shape.kind == ConvolutionKind::upsampled) {
        weights.columns = convolution_window(shape).weights();
        float* const folded = workspace(weights.columns);
        pool_.parallel_for(shape.in.channels, [&](std::int64_t i) {
            fold(folded + i * shape.out_channels * 16, weight.data, static_cast<int>(i), shape);
        });
        weights.data = folded;
    }
    if (!shape.rounds(map.rows)) {
        return {weights.data, map.data};
    }
    return {rounded(weights, rounded_from_rows, rounded_left_).data,
            rounded(map, rounded_from_rows, rounded_right_).data};
}

} // namespace patchforge
