#include "kernels/cpu/vector/products.h"

#include "kernels/cpu/dispatch.h"
#include "kernels/cpu/vector/adam_strip.h"
#include "kernels/cpu/vector/functions.h"

namespace patchforge::PATCHFORGE_ISA {
namespace {

// Lines of weights are asked for so many before they are needed, as numbers of one are (numbers_ahead).
constexpr std::int64_t lines_ahead = 4;

// Always inlined: of a function that does nothing else GCC drops the calls.
inline __attribute__((always_inline)) void prefetch(const float* from, std::int64_t stride,
                                                    std::int64_t lines, std::int64_t count) {
    for (std::int64_t l = 0; l < lines; ++l) {
        for (std::int64_t at = 0; at < count; at += 16) {
            __builtin_prefetch(from + l * stride + at);
        }
    }
}

// b [depth, columns] into panels.
void pack(float* packed, const float* b, std::int64_t b_stride, std::int64_t depth,
          std::int64_t columns) {
    for (std::int64_t k = 0; k < depth; ++k) {
        const float* row = b + k * b_stride;
        for (std::int64_t first = 0; first < columns; first += panel_columns) {
            const Panel panel = panel_at(packed, depth, columns, first);
            float* to = packed + first * depth + k * panel.vectors * lanes;
            for (int v = 0; v < panel.vectors; ++v) {
                __builtin_prefetch(row + lines_ahead * b_stride + first + v * lanes);
                store(to + v * lanes,
                      load_up_to(row + first + v * lanes, panel.columns - v * lanes));
            }
        }
    }
}

// A square of lanes x lanes numbers, turned; what lies past `rows` and `columns` counts as zeros.
void load_turned(Floats (&square)[lanes], const float* from, std::int64_t stride, std::int64_t rows,
                 std::int64_t columns) {
    if (rows >= lanes && columns >= lanes) {
#pragma GCC unroll 16
        for (int i = 0; i < lanes; ++i) {
            square[i] = load(from + i * stride);
        }
    } else {
        for (int i = 0; i < lanes; ++i) {
            square[i] = i < rows ? load_up_to(from + i * stride, columns) : Floats{};
        }
    }
    transpose(square);
}

// b [columns, depth] turned: a panel of `vectors` vectors.
void pack_transposed(float* to, int vectors, const float* b, std::int64_t b_stride,
                     std::int64_t columns, std::int64_t depth) {
    for (int v = 0; v < vectors; ++v, to += lanes, b += lanes * b_stride, columns -= lanes) {
        for (std::int64_t k = 0; k < depth; k += lanes) {
            Floats square[lanes];
            for (int i = 0; i < lanes; ++i) {
                __builtin_prefetch(b + i * b_stride + k + numbers_ahead);
            }
            load_turned(square, b + k, b_stride, columns, depth - k);
            float* const line = to + k * vectors * lanes;
            for (int i = 0; i < lanes && k + i < depth; ++i) {
                store(line + i * vectors * lanes, square[i]);
            }
        }
    }
}

// c (+)= the tile of `functions` with so many rows, and of columns as many as the panel has.
void multiply_tile(const TileFunction (&functions)[tile_vectors][tile_rows], float* c,
                   std::int64_t c_stride, const float* a, std::int64_t a_stride, const Panel& panel,
                   int rows, std::int64_t depth, bool accumulate) {
    const TileFunction function = functions[panel.vectors - 1][rows - 1];
    if (panel.columns == panel.vectors * lanes) {
        function(c, c_stride, a, a_stride, panel, depth, accumulate);
        return;
    }
    alignas(64) float tile[tile_size];
    function(tile, panel_columns, a, a_stride, panel, depth, false);
    for (int r = 0; r < rows; ++r) {
        for (int v = 0; v < panel.vectors; ++v) {
            float* to = c + r * c_stride + v * lanes;
            const std::int64_t n = panel.columns - v * lanes;
            Floats sum = load(tile + r * panel_columns + v * lanes);
            if (accumulate) {
                sum += load_up_to(to, n);
            }
            store_up_to(to, sum, n);
        }
    }
}

// c (+)= a [rows, depth] * panel. Meanwhile the whole panel from `next` on, as deep and with the same stride, is asked for;
// null: nothing.
void multiply_panel(float* c, std::int64_t c_stride, const float* a, std::int64_t a_stride,
                    const Panel& panel, std::int64_t rows, std::int64_t depth, bool accumulate,
                    const float* next) {
    const RowTiles tiles(rows);
    for (std::int64_t t = 0; t < tiles.count; ++t) {
        const std::int64_t row = tiles.first(t);
        if (next) {
            const std::int64_t first = depth * t / tiles.count;
            prefetch(next + first * panel.stride, panel.stride,
                     depth * (t + 1) / tiles.count - first, panel_columns);
        }
        multiply_tile(multiply_rows, c + row * c_stride, c_stride, a + row * a_stride, a_stride,
                      panel, tiles.rows(t), depth, accumulate);
    }
}

// What is written + {} below is a sum with 0, which makes -0 a 0 and keeps products apart from sums: each is
// rounded, as where gradients of shards are summed in memory.
void add_tiles(float* tile, std::int64_t stride, float share, const float* other, float its_share,
               int rows, int vectors) {
    for (int r = 0; r < rows; ++r) {
        for (int v = 0; v < vectors; ++v) {
            float* const to = tile + r * stride + v * lanes;
            store(to, (load(to) * share + Floats{}) +
                          (load(other + r * panel_columns + v * lanes) * its_share + Floats{}) +
                          Floats{});
        }
    }
}

void add_decay(float* tile, std::int64_t tile_stride, const float* value, std::int64_t stride,
               const Panel& panel, int rows, float weight_decay) {
    for (int r = 0; weight_decay != 0 && r < rows; ++r) {
        for (int v = 0; v < panel.vectors; ++v) {
            float* const to = tile + r * tile_stride + v * lanes;
            const Floats w = load_up_to(value + r * stride + v * lanes, panel.columns - v * lanes);
            store(to, load(to) + (w * weight_decay + Floats{}));
        }
    }
}

} // namespace

// Rows of a lie side by side in panels, and the weights b are read as they lie, a tile of their rows after the other: so
// what is laid out anew is the smaller operand. c comes out transposed and is turned at the end.
void multiply_transposed(float* c, std::int64_t c_stride, const float* a, std::int64_t a_stride,
                         const float* b, std::int64_t b_stride, std::int64_t rows,
                         std::int64_t columns, std::int64_t depth, float* scratch) {
    const std::int64_t width = (rows + lanes - 1) / lanes * lanes;
    float* const turned = scratch; // c transposed, [columns, width]
    float* const packed = scratch + columns * width;
    const RowTiles tiles(columns), panels(width / lanes, tile_vectors);
    for (std::int64_t k = 0; k < depth; k += depth_piece) {
        const std::int64_t piece = smaller(depth_piece, depth - k);
        for (std::int64_t p = 0; p < panels.count; ++p) {
            const std::int64_t first = panels.first(p) * lanes, wide = panels.rows(p) * lanes;
            const Panel panel = {packed, wide, panels.rows(p), wide};
            pack_transposed(packed, panel.vectors, a + first * a_stride + k, a_stride, rows - first,
                            piece);
            for (std::int64_t t = 0; t < tiles.count; ++t) {
                const float* const weights = b + tiles.first(t) * b_stride + k;
                if (p == 0 && t + 1 < tiles.count) {
                    prefetch(weights + tiles.rows(t) * b_stride, b_stride, tiles.rows(t + 1),
                             piece);
                }
                multiply_tile(multiply_rows, turned + tiles.first(t) * width + first, width,
                              weights, b_stride, panel, tiles.rows(t), piece, k > 0);
            }
        }
    }
    for (std::int64_t first = 0; first < rows; first += lanes) {
        for (std::int64_t column = 0; column < columns; column += lanes) {
            Floats square[lanes];
            const std::int64_t valid = columns - column;
            load_turned(square, turned + column * width + first, width, valid, lanes);
            float* const to = c + first * c_stride + column;
            if (valid >= lanes && first + lanes <= rows) {
#pragma GCC unroll 16
                for (int i = 0; i < lanes; ++i) {
                    store(to + i * c_stride, square[i]);
                }
            } else {
                for (int i = 0; i < lanes && first + i < rows; ++i) {
                    store_up_to(to + i * c_stride, square[i], valid);
                }
            }
        }
    }
}

void multiply(float* c, std::int64_t c_stride, const float* a, std::int64_t a_stride,
              const float* b, std::int64_t b_stride, std::int64_t rows, std::int64_t columns,
              std::int64_t depth, bool accumulate, float* scratch) {
    if (rows <= direct_rows) {
        multiply_directly(c, c_stride, a, a_stride, b, b_stride, rows, columns, depth, accumulate);
        return;
    }
    // Whole panels are read as they lie, unless their rows would meet in few sets of the first-level cache.
    const std::int64_t direct_columns =
        b_stride % 64 == 0 ? 0 : columns / panel_columns * panel_columns;
    for (std::int64_t k = 0; k < depth; k += depth_piece) {
        const std::int64_t piece = smaller(depth_piece, depth - k);
        const float* const from = b + k * b_stride;
        pack(scratch, from + direct_columns, b_stride, piece, columns - direct_columns);
        for (std::int64_t first = 0; first < columns; first += panel_columns) {
            const float* next = nullptr;
            Panel panel = {from + first, b_stride, tile_vectors, panel_columns};
            if (first >= direct_columns) {
                panel = panel_at(scratch, piece, columns - direct_columns, first - direct_columns);
            } else if (first + panel_columns < direct_columns) {
                next = panel.data + panel_columns;
            } else if (k + piece < depth) {
                next = from + piece * b_stride;
            }
            multiply_panel(c + first, c_stride, a + k, a_stride, panel, rows, piece,
                           accumulate || k > 0, next);
        }
    }
}

void multiply_outer(float* c, std::int64_t c_stride, const float* a, std::int64_t a_stride,
                    const float* b, std::int64_t b_stride, std::int64_t rows, std::int64_t columns,
                    std::int64_t depth, bool accumulate, float* scratch) {
    pack(scratch, b, b_stride, depth, columns);
    const RowTiles tiles(rows);
    for (std::int64_t t = 0; t < tiles.count; ++t) {
        const std::int64_t row = tiles.first(t);
        for (std::int64_t first = 0; first < columns; first += panel_columns) {
            const Panel panel = panel_at(scratch, depth, columns, first);
            multiply_tile(multiply_columns, c + row * c_stride + first, c_stride, a + row, a_stride,
                          panel, tiles.rows(t), depth, accumulate);
        }
    }
}

void multiply_outer_adam(float* value, float* first_moment, float* second_moment,
                         std::int64_t stride, const float* a, std::int64_t a_stride, const float* b,
                         std::int64_t b_stride, std::int64_t rows, std::int64_t columns,
                         std::int64_t depth, const AdamArguments& adam, float* scratch) {
    AdamStrips strips(value, first_moment, second_moment, stride, rows, columns, scratch);
    float* const packed = scratch + scratch_size(adam_strips, columns);
    pack(packed, b, b_stride, depth, columns);
    for (; strips.left(); strips.next(adam)) {
        prefetch(a + strips.row() + tile_rows, a_stride, depth, tile_rows);
        for (std::int64_t first = 0; first < columns; first += panel_columns) {
            const Panel panel = panel_at(packed, depth, columns, first);
            multiply_columns_adam[panel.vectors - 1][strips.height() - 1](
                strips.gradient() + first, strips.width(), a + strips.row(), a_stride, panel, depth,
                strips.before, adam);
        }
    }
    strips.before.finish(adam);
}

// Tiles that wait for their neighbour lie in a stack: behind shard s come as many sums as s + 1 can be halved. A
// shard's share is multiplied in where it is first added to another; one alone has all.
void multiply_shards_adam(float* value, float* first_moment, float* second_moment,
                          std::int64_t stride, const OuterShard* shards, std::int64_t count,
                          std::int64_t rows, std::int64_t columns, float weight_decay,
                          const AdamArguments& adam, float* scratch) {
    constexpr int levels = 13;                    // log2(most_outer_shards) + 1
    alignas(64) float waiting[levels][tile_size]; // but the first level
    AdamStrips strips(value, first_moment, second_moment, stride, rows, columns, scratch);
    float* const packed = scratch + scratch_size(adam_strips, columns);
    std::int64_t whole_depth = 0;
    for (std::int64_t s = 0; s < count; ++s) {
        pack(packed + scratch_size(whole_depth, columns), shards[s].b, shards[s].b_stride,
             shards[s].depth, columns);
        whole_depth += shards[s].depth;
    }
    for (; strips.left(); strips.next(adam)) {
        const int height = strips.height();
        for (std::int64_t first = 0; first < columns; first += panel_columns) {
            float* const gradient = strips.gradient() + first;
            const auto tile = [&](int level) { return level == 0 ? gradient : waiting[level]; };
            const auto stride_of = [&](int level) {
                return level == 0 ? strips.width() : panel_columns;
            };
            Panel panel{};
            std::int64_t depth = 0;
            int top = -1;
            float share[levels] = {};
            for (std::int64_t s = 0; s < count; ++s) {
                const OuterShard& shard = shards[s];
                panel =
                    panel_at(packed + scratch_size(depth, columns), shard.depth, columns, first);
                ++top;
                const float* const a = shard.a + strips.row();
                if (s == 0) {
                    multiply_columns_adam[panel.vectors - 1][height - 1](
                        tile(top), stride_of(top), a, shard.a_stride, panel, shard.depth,
                        strips.before, adam);
                } else {
                    multiply_columns[panel.vectors - 1][height - 1](
                        tile(top), stride_of(top), a, shard.a_stride, panel, shard.depth, false);
                }
                share[top] = shard.share;
                depth += shard.depth;
                const bool last = s + 1 == count;
                for (std::int64_t n = s + 1; top > 0 && (last || n % 2 == 0); n /= 2, --top) {
                    add_tiles(tile(top - 1), stride_of(top - 1), share[top - 1], tile(top),
                              share[top], height, panel.vectors);
                    share[top - 1] = 1;
                }
            }
            add_decay(gradient, strips.width(), value + strips.row() * stride + first, stride,
                      panel, height, weight_decay);
        }
    }
    strips.before.finish(adam);
}

} // namespace patchforge::PATCHFORGE_ISA
