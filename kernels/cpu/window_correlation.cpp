#include "kernels/cpu/window_correlation.h"

#include <algorithm>

#include "kernels/cpu/cpu_backend.h"

namespace patchforge {
namespace {

constexpr std::int64_t most_rows_of_tile = 8, blocks_of_tile = 3;
constexpr std::int64_t floats_of_chunk = 1 << 17; // half of a second-level cache
// Channels that are read plane by plane: their lines of taps are runs with an address each.
constexpr std::int64_t most_planes = 3;
// Products of a sum, at least: of a chunk, whose sums are loaded and stored; and for taking the kernel's
// lines one by one to pay.
constexpr std::int64_t products_of_chunk = 256, products_of_line = 64;
// Vector operations: to lay a vector out, to take sixteen sums to their places, to fetch a vector that
// another core laid out; and how much more products take where vectors come one by one, too few sums under
// way and as many loads as products.
constexpr double cost_of_transposing = 11, cost_of_turning = 30, cost_of_fetching = 40;
constexpr double cost_of_lone_vector = 1.6;

// Pictures that are laid out together, each of `floats` numbers and `products` products a sum.
std::int64_t pictures_together(std::int64_t rows, std::int64_t floats, std::int64_t products) {
    return std::min(rows, std::max({std::int64_t{1}, floats_of_chunk / floats,
                                    products_of_chunk / std::max<std::int64_t>(products, 1)}));
}

// Every position of a window with stride 1, so that all numbers keep their order; those in between are
// stepped over.
ConvolutionWindow dense(ConvolutionWindow w) {
    const auto positions = [&](int large_size, int small_size, int kernel) {
        return std::max((small_size - 1) * w.stride + 1,
                        large_size + 2 * w.padding - w.dilation * (kernel - 1));
    };
    w.small.height = positions(w.large.height, w.small.height, w.kernel_height);
    w.small.width = positions(w.large.width, w.small.width, w.kernel_width);
    w.stride = 1;
    return w;
}

} // namespace

WindowCorrelation::WindowCorrelation(const VectorKernels& vector, const ConvolutionWindow& window)
    : vector_(vector), window_(window), layout_(WindowLayout::gather(dense(window))),
      maps_(vector, layout_, 0), small_plane_(window.small.plane() * vector.lanes) {
    const WindowLayout::Phase& phase = layout_.phases.front();
    positions_ = layout_.picture + std::int64_t{phase.top} * layout_.pitch + phase.left;
    tiles_ = find_tiles();
    for (int a = 0; a < window.kernel_height; ++a) {
        const int before = window.padding - a * window.dilation; // positions' lines before the map
        const int inside = before + window.large.height;
        const int first = before <= 0 ? 0 : (before + window.stride - 1) / window.stride;
        const int end = inside <= 0 ? 0 : (inside - 1) / window.stride + 1;
        lines_.push_back({first, std::max(0, std::min(window.small.height, end) - first)});
    }
}

WindowCorrelation::Tiles WindowCorrelation::find_tiles() const {
    const std::int64_t lanes = vector_.lanes;
    const std::int64_t inputs = window_.large.channels, outputs = window_.small.channels;
    const std::int64_t taps = window_.kernel_height * window_.kernel_width;
    const auto cost = [&](std::int64_t factors, std::int64_t blocks, std::int64_t beside) {
        return static_cast<double>(factors * blocks * taps) *
               (beside == 1 ? cost_of_lone_vector : 1);
    };
    const bool runs = inputs < lanes && window_.dilation == 1;
    const std::int64_t input_blocks = pieces(inputs, lanes), output_blocks = pieces(outputs, lanes);
    const double of_inputs = cost(outputs, input_blocks, taps);
    const double of_outputs =
        cost(inputs, output_blocks, runs ? window_.kernel_width : output_blocks);
    Tiles t;
    t.by_inputs = of_inputs <= of_outputs;
    t.planes = !t.by_inputs && runs && inputs <= most_planes &&
               (window_.kernel_width == 3 || window_.kernel_width == 4);
    t.runs = !t.by_inputs && runs && !t.planes;
    t.factors = t.by_inputs ? outputs : inputs;
    t.height = t.runs || t.planes ? inputs : std::min(most_rows_of_tile, lanes);
    t.blocks = t.by_inputs ? input_blocks : output_blocks;
    t.groups = t.by_inputs ? t.blocks : pieces(t.blocks, blocks_of_tile);
    t.count = pieces(t.factors, t.height) * t.groups;
    t.by_lines = t.by_inputs && outputs >= t.height && window_.kernel_width % 3 == 0;
    t.step = t.planes ? 1 : t.runs ? inputs : lanes;
    t.plane =
        t.planes ? inputs * layout_.channel() : pieces(positions_ * t.step + lanes, lanes) * lanes;
    t.large_blocks = t.runs || t.planes ? 1 : input_blocks;
    t.small_blocks = output_blocks;
    t.floats = t.large_blocks * t.plane + t.small_blocks * small_plane_;
    t.cost_of_sums = std::min(of_inputs, of_outputs);
    for (const std::int64_t tap : layout_.classes.front().offset) {
        t.tap_offset.push_back(tap * t.step);
    }
    for (std::int64_t tap = 0; t.planes && tap < taps; tap += window_.kernel_width) {
        for (std::int64_t i = 0; i < inputs; ++i) {
            t.run_offset.push_back(t.tap_offset[static_cast<std::size_t>(tap)] +
                                   i * layout_.channel());
        }
    }
    return t;
}

std::int64_t WindowCorrelation::together(std::int64_t rows) const {
    return pictures_together(rows, tiles_.floats, window_.small.plane());
}

double WindowCorrelation::cost(std::int64_t rows) const {
    const Tiles& t = tiles_;
    double positions = static_cast<double>(window_.small.plane());
    if (t.by_lines) {
        positions = 0;
        for (const Lines& lines : lines_) {
            positions += lines.count * window_.small.width / static_cast<double>(lines_.size());
        }
    }
    return t.cost_of_sums * (static_cast<double>(rows) * positions + cost_of_turning) +
           static_cast<double>(rows * t.floats) / vector_.lanes * cost_of_transposing;
}

double WindowCorrelation::cost_of_sharing(std::int64_t rows) const {
    return static_cast<double>(rows * tiles_.floats) / vector_.lanes * cost_of_fetching;
}

void WindowCorrelation::lay_out(float* x, float* dz, std::int64_t together, std::int64_t picture,
                                std::int64_t block, const float* small, const float* large) const {
    const Tiles& t = tiles_;
    const ConvolutionWindow& w = window_;
    const std::int64_t lanes = vector_.lanes;
    if (block < t.large_blocks && t.planes) {
        for (std::int64_t i = 0; i < w.large.channels; ++i) {
            maps_.lay_out(x + picture * t.plane + i * layout_.channel(),
                          {large + i * w.large.plane(), 0, 1});
        }
        return;
    }
    if (block < t.large_blocks) {
        const WindowLayout::Phase& phase = layout_.phases.front();
        const std::int64_t i = block * lanes;
        float* const to = x + (block * together + picture) * t.plane;
        const std::int64_t line = layout_.pitch * t.step;
        float* const first = to + phase.top * line + phase.left * t.step;
        float* zeros = to; // around the lines
        for (std::int64_t l = 0; l < phase.lines; ++l) {
            std::fill(zeros, first + l * line, 0.0f);
            zeros = first + l * line + w.large.width * t.step;
        }
        std::fill(zeros, to + t.plane, 0.0f);
        vector_.channels_last(first, line, t.step, large + i * w.large.plane(), w.large.plane(),
                              std::min(lanes, w.large.channels - i), phase.lines, w.large.width);
        return;
    }
    block -= t.large_blocks;
    const std::int64_t o = block * lanes;
    vector_.channels_last(dz + (block * together + picture) * small_plane_, 0, lanes,
                          small + o * w.small.plane(), w.small.plane(),
                          std::min(lanes, w.small.channels - o), 1, w.small.plane());
}

WindowCorrelation::Memory WindowCorrelation::memory(std::int64_t rows) const {
    const Tiles& t = tiles_;
    const std::int64_t most = together(rows);
    const std::int64_t block =
        t.height * window_.kernel_height * window_.kernel_width * vector_.lanes;
    const std::int64_t sums = (t.by_inputs ? 1 : blocks_of_tile) * block;
    const std::int64_t kept = most < rows ? t.count * sums : 0;
    return {most, sums, kept, most * t.floats + block + vector_.lanes + (kept > 0 ? 0 : sums)};
}

template <class ForEach>
void WindowCorrelation::sum(const ForEach& for_each, const Memory& memory, float* kept,
                            float* weight, const float* small, const float* large,
                            std::int64_t rows) const {
    const Tiles& t = tiles_;
    const std::int64_t most = memory.together;
    for (std::int64_t first = 0; first < rows; first += most) {
        const std::int64_t pictures = std::min(most, rows - first);
        const ScratchOwner owner;
        for_each(t.count, [&](std::int64_t tile) {
            float* const x = thread_scratch(memory.own);
            float* const dz = x + t.large_blocks * most * t.plane;
            float* const own = x + most * t.floats;
            const auto need = [&](std::int64_t block) {
                if (owner.takes(0, block)) {
                    return;
                }
                for (std::int64_t p = 0; p < pictures; ++p) {
                    lay_out(x, dz, most, p, block, small + (first + p) * window_.small.size(),
                            large + (first + p) * window_.large.size());
                }
            };
            const Place at(t, tile);
            const std::int64_t block_of_factor = at.factor / vector_.lanes;
            need(t.by_inputs ? at.block : block_of_factor);
            for (std::int64_t b = 0; b < (t.by_inputs ? 1 : at.blocks); ++b) {
                need(t.large_blocks + (t.by_inputs ? block_of_factor : at.block + b));
            }
            float* const sums = memory.kept > 0 ? kept + tile * memory.sums : own;
            multiply(sums, x, dz, tile, most, pictures, first > 0);
            if (first + pictures == rows) {
                take_sums(weight, sums, own + (memory.kept > 0 ? 0 : memory.sums), tile);
            }
        });
    }
}

void WindowCorrelation::sum(float* weight, const float* small, const float* large,
                            std::int64_t rows) const {
    Memory needed = memory(rows);
    const std::int64_t before = needed.own;
    needed.own += needed.kept;
    float* const kept = thread_scratch(needed.own) + before;
    const auto for_each = [](std::int64_t tasks, const auto& body) {
        for (std::int64_t task = 0; task < tasks; ++task) {
            body(task);
        }
    };
    sum(for_each, needed, kept, weight, small, large, rows);
}

void WindowCorrelation::sum(ThreadPool& pool, AlignedFloats& shared, float* weight,
                            const float* small, const float* large, std::int64_t rows) const {
    const Memory needed = memory(rows);
    const auto for_each = [&](std::int64_t tasks, const auto& body) {
        pool.parallel_for(tasks, body);
    };
    sum(for_each, needed, shared.at_least(needed.kept), weight, small, large, rows);
}

// A tile's sums: [blocks, channels of the other map, taps, lanes]; of runs [blocks, taps, channels, lanes]; of planes
// [blocks, lines of the kernel, channels, its columns, lanes].
void WindowCorrelation::multiply(float* sums, const float* x, const float* dz, std::int64_t tile,
                                 std::int64_t together, std::int64_t pictures,
                                 bool accumulate) const {
    const Tiles& t = tiles_;
    const ConvolutionWindow& w = window_;
    const std::int64_t lanes = vector_.lanes;
    const std::int64_t taps = w.kernel_height * w.kernel_width;
    const Place at(t, tile);
    const std::int64_t dz_block = together * small_plane_;
    const std::int64_t x_line = layout_.pitch * t.step;
    static_assert(blocks_of_tile == 3);
    const std::int64_t block_offset[] = {0, dz_block, 2 * dz_block};
    const std::int64_t block_of_factor = at.factor / lanes;
    OuterProducts products = {
        .sums = sums,
        .row_stride = t.runs || t.planes ? lanes : taps * lanes,
        .vector_stride = t.by_inputs ? lanes : t.height * taps * lanes,
        .rows = at.height,
        .vectors = t.by_inputs ? taps : at.blocks,
        .a = {dz + (t.by_inputs ? block_of_factor : at.block) * dz_block, lanes,
              w.small.width * lanes, small_plane_},
        .b = {x + (t.by_inputs ? at.block : block_of_factor) * together * t.plane,
              w.stride * t.step, w.stride * x_line, t.plane},
        .offset = t.by_inputs ? t.tap_offset.data() : block_offset,
        .pictures = pictures,
        .lines = w.small.height,
        .columns = w.small.width,
        .accumulate = accumulate,
    };
    (t.by_inputs ? products.a : products.b).first += at.factor % lanes;
    if (t.by_lines && pictures * w.small.plane() >= products_of_line) {
        for (const Lines& lines : lines_) {
            OuterProducts of_line = products;
            of_line.vectors = w.kernel_width;
            of_line.lines = lines.count;
            of_line.a.first += lines.first * of_line.a.line;
            of_line.b.first += lines.first * of_line.b.line;
            vector_.window_outer(of_line);
            products.sums += w.kernel_width * lanes;
            products.offset += w.kernel_width;
        }
        return;
    }
    if (t.by_inputs) {
        vector_.window_outer(products);
        return;
    }
    std::swap(products.a, products.b);
    if (t.planes) {
        products.rows *= taps;
        products.run = w.kernel_width;
        products.run_offset = t.run_offset.data();
        vector_.window_outer(products);
        return;
    }
    const std::int64_t run = t.runs ? w.kernel_width : 1;
    products.rows *= run;
    for (std::int64_t tap = 0; tap < taps; tap += run) {
        OuterProducts of_run = products;
        of_run.sums += tap * (t.runs ? at.height : 1) * lanes;
        of_run.a.first += t.tap_offset[static_cast<std::size_t>(tap)];
        vector_.window_outer(of_run);
    }
}

// To the weights' order: [outputs, inputs, taps].
void WindowCorrelation::take_sums(float* weight, const float* sums, float* turned,
                                  std::int64_t tile) const {
    const Tiles& t = tiles_;
    const std::int64_t lanes = vector_.lanes;
    const std::int64_t inputs = window_.large.channels, outputs = window_.small.channels;
    const std::int64_t taps = window_.kernel_height * window_.kernel_width;
    const Place at(t, tile);
    if (t.by_inputs) {
        const std::int64_t present = std::min(lanes, inputs - at.block * lanes);
        for (std::int64_t o = 0; o < at.height; ++o) {
            vector_.channels_last(turned, 0, taps, sums + o * taps * lanes, lanes, taps, 1,
                                  present);
            std::copy_n(turned, present * taps,
                        weight + ((at.factor + o) * inputs + at.block * lanes) * taps);
        }
        return;
    }
    const std::int64_t size = at.height * taps; // of an output
    for (std::int64_t v = 0; v < at.blocks; ++v) {
        const std::int64_t first = (at.block + v) * lanes;
        const std::int64_t present = std::min(lanes, outputs - first);
        vector_.channels_last(turned, 0, size, sums + v * t.height * taps * lanes, lanes, size, 1,
                              present);
        for (std::int64_t o = 0; o < present; ++o) {
            const float* const from = turned + o * size;
            float* const to = weight + ((first + o) * inputs + at.factor) * taps;
            if (t.planes) {
                const std::int64_t run = window_.kernel_width;
                const float* sum = from;
                for (std::int64_t tap = 0; tap < taps; tap += run) {
                    for (std::int64_t i = 0; i < at.height; ++i) {
                        for (std::int64_t b = 0; b < run; ++b) {
                            to[i * taps + tap + b] = *sum++;
                        }
                    }
                }
                continue;
            }
            if (!t.runs) {
                std::copy_n(from, size, to);
                continue;
            }
            for (std::int64_t i = 0; i < at.height; ++i) {
                for (std::int64_t tap = 0; tap < taps; ++tap) {
                    to[i * taps + tap] = from[tap * at.height + i];
                }
            }
        }
    }
}

} // namespace patchforge
