// Convolutional layers: sums over channels, then lines and columns of the kernel.
#include <algorithm>
#include <type_traits>

#include "kernels/cpu/cpu_backend.h"
#include "kernels/cpu/window_maps.h"

namespace patchforge {
namespace {

// Of a folded axis: lines 2; 1, 2; 0, 1; 0 of the 3 (kernels/convolution_shape.h).
constexpr int folded_first[] = {2, 1, 0, 0};
constexpr int folded_last[] = {2, 2, 1, 0};

// folded [in, out, 4, 4] from weight [out, in, 3, 3], lines first.
void fold(float* folded, const float* weight, const ConvolutionShape& shape) {
    for (int i = 0; i < shape.in.channels; ++i) {
        for (int o = 0; o < shape.out_channels; ++o, folded += 16) {
            const float* const from = weight + (std::int64_t{o} * shape.in.channels + i) * 9;
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
}

// Rows of the result that are worked on together: as many as a tile of registers has.
constexpr std::int64_t channels_of_tile = 8;
// Sums of a tile's channels and all classes before they are moved: 64 KiB.
constexpr std::int64_t sums_of_block = 1 << 14;
// So many units are a task each, which lays out its maps by itself; fewer are cut further.
constexpr std::int64_t tasks_by_unit_from = 4;
constexpr std::int64_t steps_of_loop = 72;
// Interleaved pictures have to be transposed, there and back.
constexpr double worth_interleaving = 1.1;
constexpr double worth_interleaving_beyond_cache = 1.3;
constexpr std::int64_t numbers_of_cache = 5 << 16; // the second-level one, of 1 MiB and more

std::int64_t pieces(std::int64_t size, std::int64_t piece) {
    return (size + piece - 1) / piece;
}

// The layout of single pictures, or of interleaved ones where that pays.
WindowLayout better(const WindowLayout& alone, const WindowLayout& interleaved, std::int64_t rows,
                    int lanes) {
    const double filled =
        static_cast<double>(rows) / static_cast<double>(pieces(rows, lanes) * lanes);
    const double worth = interleaved.size() <= numbers_of_cache ? worth_interleaving
                                                                : worth_interleaving_beyond_cache;
    return filled * interleaved.used(lanes) > worth * alone.used(lanes) ? interleaved : alone;
}

// `things` cut into pieces of at most `most`, all of nearly the same size.
struct Share {
    std::int64_t first, count;
    Share(std::int64_t things, std::int64_t most, std::int64_t piece) {
        const std::int64_t total = pieces(things, most);
        first = things * piece / total;
        count = things * (piece + 1) / total - first;
    }
};

// The taps of a class in as many channels as steps_of_loop allows, so that the innermost loop is long.
struct Steps {
    std::int64_t channels = 1;
    std::vector<std::int64_t> offset;

    Steps(const WindowLayout& layout, const WindowLayout::Class& result, std::int64_t depth) {
        const auto taps = static_cast<std::int64_t>(result.offset.size());
        for (std::int64_t count = 1; count <= depth && count * taps <= steps_of_loop; ++count) {
            channels = depth % count == 0 ? count : channels;
        }
        for (std::int64_t channel = 0; channel < channels; ++channel) {
            for (const std::int64_t tap : result.offset) {
                offset.push_back(channel * layout.channel() + tap);
            }
        }
    }
};

} // namespace

// Weights of a scatter, by classes: [large channels, small channels, taps of the class] each.
const float* CpuBackend::weights_by_class(const ConvolutionWindow& w, const WindowLayout& layout,
                                          const float* weight) {
    const std::int64_t taps = w.kernel_height * w.kernel_width;
    const std::int64_t depth = w.groups > 1 ? 1 : w.small.channels;
    const std::int64_t inputs = w.large.channels / w.groups;
    float* const packed = window_weights_.at_least(w.weights());
    pool_.parallel_for(w.large.channels, [&](std::int64_t i) {
        std::int64_t before = 0; // taps of the classes before
        for (const WindowLayout::Class& result : layout.classes) {
            const auto count = static_cast<std::int64_t>(result.tap.size());
            float* to = packed + w.large.channels * depth * before + i * depth * count;
            for (std::int64_t o = 0; o < depth; ++o) {
                const float* const from = weight + (w.groups > 1 ? i : o * inputs + i) * taps;
                for (const int tap : result.tap) {
                    *to++ = from[tap];
                }
            }
            before += count;
        }
    });
    return packed;
}

// out = sums of a window over `from` (kernels/cpu/window_layout.h), each begun with its channel's
// bias; finish(picture, channel, first, count) once numbers of a map are complete.
template <class Finish>
void CpuBackend::move_window(const WindowLayout& layout, int groups, Matrix<float> out,
                             const float* from, const float* weight, const float* bias,
                             const Finish& finish) {
    const std::int64_t units = pieces(out.rows, layout.lanes);
    const std::int64_t depth = layout.from.channels / groups;
    const std::int64_t outputs = layout.to.channels;
    const std::int64_t line = std::int64_t{layout.pitch} * layout.lanes;
    const auto classes = static_cast<std::int64_t>(layout.classes.size());
    const std::int64_t tile = groups > 1 ? 1 : std::min<std::int64_t>(channels_of_tile, outputs);
    const std::int64_t lines =
        layout.lanes > 1
            ? layout.lines
            : std::clamp<std::int64_t>(sums_of_block / (tile * classes * line), 1, layout.lines);
    const std::int64_t blocks = pieces(layout.lines, lines);
    const std::int64_t tiles = pieces(outputs, tile);
    const std::int64_t channel_of_sums = pieces(lines * line, 16) * 16 + 16;
    const std::int64_t class_of_sums = tile * channel_of_sums;
    const WindowMaps arranged(vector_, layout, class_of_sums);
    std::vector<Steps> steps;
    for (const WindowLayout::Class& result : layout.classes) {
        steps.emplace_back(layout, result, depth);
    }
    // Where lines of positions are lines of the map, sums go there at once.
    const bool in_place = classes == 1 && layout.lanes == 1;
    const std::int64_t sums_size = in_place ? 0 : classes * class_of_sums;
    const auto of_unit = [&](auto* map, std::int64_t unit, const Extent& extent,
                             std::int64_t channel) {
        const std::int64_t first = unit * layout.lanes;
        return ChannelOf<std::remove_reference_t<decltype(*map)>>{
            map + first * extent.size() + channel * extent.plane(), extent.size(),
            std::min<std::int64_t>(layout.lanes, out.rows - first)};
    };
    const auto lay_out = [&](float* maps, std::int64_t unit, std::int64_t channel) {
        arranged.lay_out(maps + channel * layout.channel(),
                         of_unit(from, unit, layout.from, channel));
    };
    const auto work_on = [&](const float* maps, float* sums, std::int64_t unit, std::int64_t block,
                             std::int64_t which) {
        const Share share(outputs, tile, which);
        const float* const x = maps + (groups > 1 ? share.first * layout.channel() : 0);
        const auto first_line = static_cast<int>(block * lines);
        const int stride = layout.to_stride;
        const std::int64_t first = std::int64_t{stride} * first_line * layout.to.width;
        const std::int64_t end =
            std::min(first + stride * lines * layout.to.width, layout.to.plane());
        const float* weights = weight;
        for (std::int64_t c = 0; c < classes; ++c) {
            const WindowLayout::Class& result = layout.classes[static_cast<std::size_t>(c)];
            const Steps& of_class = steps[static_cast<std::size_t>(c)];
            const auto taps = static_cast<std::int64_t>(result.tap.size());
            const std::int64_t height = std::min<std::int64_t>(lines, result.lines - first_line);
            WindowSums of_run = {
                .out = in_place ? of_unit(out.data, unit, layout.to, share.first).first + first
                                : sums + c * class_of_sums,
                .out_stride = in_place ? layout.to.plane() : channel_of_sums,
                .x = x + first_line * line,
                .channel_stride = of_class.channels * layout.channel(),
                .channels = depth / of_class.channels,
                .offset = of_class.offset.data(),
                .taps = of_class.channels * taps,
                .weight = weights + share.first * depth * taps,
                .weight_stride = depth * taps,
                .start = bias ? bias + share.first : nullptr,
                .rows = share.count,
                .count = layout.count(result, height),
                .width = in_place ? result.columns : line,
                .pitch = line,
            };
            for (std::int64_t run = 0; height > 0 && run < layout.runs(result); ++run) {
                vector_.window_sums(of_run);
                of_run.out += line;
                of_run.x += line;
            }
            weights += outputs * depth * taps;
        }
        for (std::int64_t r = 0; r < share.count; ++r) {
            const auto to = of_unit(out.data, unit, layout.to, share.first + r);
            if (!in_place) {
                arranged.take_result(to, sums + r * channel_of_sums, first_line,
                                     static_cast<int>(lines));
            }
            for (std::int64_t picture = 0; picture < to.pictures; ++picture) {
                finish(unit * layout.lanes + picture, share.first + r, first, end - first);
            }
        }
    };
    if (units >= tasks_by_unit_from) {
        pool_.parallel_for(units, [&](std::int64_t unit) {
            float* const maps = thread_scratch(layout.size() + sums_size);
            float* const sums = maps + layout.size();
            for (std::int64_t channel = 0; channel < layout.from.channels; ++channel) {
                lay_out(maps, unit, channel);
            }
            for (std::int64_t task = 0; task < blocks * tiles; ++task) {
                work_on(maps, sums, unit, task / tiles, task % tiles);
            }
        });
        return;
    }
    float* const maps = window_maps_.at_least(units * layout.size());
    pool_.parallel_for(units * layout.from.channels, [&](std::int64_t task) {
        const std::int64_t unit = task / layout.from.channels;
        lay_out(maps + unit * layout.size(), unit, task % layout.from.channels);
    });
    pool_.parallel_for(units * blocks * tiles, [&](std::int64_t task) {
        const std::int64_t unit = task / (blocks * tiles);
        work_on(maps + unit * layout.size(), thread_scratch(sums_size), unit, task / tiles % blocks,
                task % tiles);
    });
}

template <class Finish>
void CpuBackend::gather(const ConvolutionWindow& w, Matrix<float> small, const float* large,
                        const float* weight, const float* bias, const Finish& finish) {
    if (w.is_product()) {
        multiply_forward(small, {large, small.rows, w.large.size()},
                         {weight, small.columns, w.large.size()}, {bias, bias ? small.columns : 0},
                         {});
        pool_.parallel_for(small.rows, [&](std::int64_t row) { finish(row, 0, 0, small.columns); });
        return;
    }
    move_window(better(WindowLayout::gather(w), WindowLayout::gather(w, 1, vector_.lanes),
                       small.rows, vector_.lanes),
                w.groups, small, large, weight, bias, finish);
}

template <class Finish>
void CpuBackend::scatter(const ConvolutionWindow& w, Matrix<float> large, const float* small,
                         const float* weight, const float* bias, const Finish& finish) {
    if (w.is_product()) {
        const std::int64_t plane = w.large.plane();
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
    const WindowLayout layout =
        better(WindowLayout::scatter(w), WindowLayout::scatter(w, vector_.lanes), large.rows,
               vector_.lanes);
    move_window(layout, w.groups, large, small, weights_by_class(w, layout, weight), bias, finish);
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
        fold(folded, weight.data, shape);
        weights.data = folded;
    }
    if (!shape.rounds(map.rows)) {
        return {weights.data, map.data};
    }
    return {rounded(weights, rounded_from_rows, rounded_left_).data,
            rounded(map, rounded_from_rows, rounded_right_).data};
}

} // namespace patchforge
