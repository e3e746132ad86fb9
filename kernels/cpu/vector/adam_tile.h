// Adam on the parameters that lie under a tile of gradients.
#pragma once

#include "kernels/cpu/vector/adam_step.h"
#include "kernels/cpu/vector/products.h"

namespace patchforge::PATCHFORGE_ISA {

// [rows, columns] of three matrices that share a stride, and their gradients as a tile holds them (products.h).
struct AdamTile {
    float* value;
    float* first_moment;
    float* second_moment;
    std::int64_t stride;
    int rows;
    std::int64_t columns; // <= panel_columns
    const float* gradient;
};

// The tiles of a matrix [rows, columns], from left to right and then from top to bottom.
struct AdamTiles {
    AdamTiles(float* value, float* first_moment, float* second_moment, std::int64_t stride,
              std::int64_t rows, std::int64_t columns)
        : value(value), first_moment(first_moment), second_moment(second_moment), stride(stride),
          columns(columns), heights(rows), across((columns + panel_columns - 1) / panel_columns) {}

    float* value;
    float* first_moment;
    float* second_moment;
    std::int64_t stride;
    std::int64_t columns;
    RowTiles heights;
    std::int64_t across;

    std::int64_t count() const { return heights.count * across; }
    std::int64_t row(std::int64_t tile) const { return heights.first(tile / across); }
    std::int64_t column(std::int64_t tile) const { return tile % across * panel_columns; }
    // Without rows past the last one.
    AdamTile at(std::int64_t tile, const float* gradient = nullptr) const {
        if (tile >= count()) {
            return {};
        }
        const std::int64_t first = row(tile) * stride + column(tile), left = columns - column(tile);
        return {
            value + first, first_moment + first,        second_moment + first,
            stride,        heights.rows(tile / across), left < panel_columns ? left : panel_columns,
            gradient};
    }
};

static inline void prefetch_row(const AdamTile& tile, int row) {
    constexpr std::int64_t line = 16; // numbers
    const auto prefetch = [&](std::int64_t at) {
        __builtin_prefetch(tile.value + at);
        __builtin_prefetch(tile.first_moment + at);
        __builtin_prefetch(tile.second_moment + at);
    };
    const std::int64_t first = row * tile.stride;
#pragma GCC unroll 4
    for (std::int64_t column = 0; column < panel_columns; column += line) {
        prefetch(first + column);
    }
    prefetch(first + tile.columns - 1);
}

static inline void adam_row(const AdamTile& tile, int row, const AdamArguments& adam) {
    float* const value = tile.value + row * tile.stride;
    float* const first_moment = tile.first_moment + row * tile.stride;
    float* const second_moment = tile.second_moment + row * tile.stride;
    const std::int64_t columns = tile.columns;
    if (columns == panel_columns) { // nearly always: without branches and masks
        const float* const gradient = tile.gradient + row * panel_columns;
#pragma GCC unroll 4
        for (int at = 0; at < panel_columns; at += lanes) {
            adam_step_in_memory(value + at, first_moment + at, second_moment + at,
                                load(gradient + at), lanes, adam);
        }
        return;
    }
    const float* const gradient = tile.gradient + row * ((columns + lanes - 1) / lanes * lanes);
    for (std::int64_t at = 0; at < columns; at += lanes) {
        adam_step_in_memory(value + at, first_moment + at, second_moment + at, load(gradient + at),
                            columns - at, adam);
    }
}

static inline void adam_tile(const AdamTile& tile, const AdamArguments& adam) {
    for (int row = 0; row < tile.rows; ++row) {
        adam_row(tile, row, adam);
    }
}

} // namespace patchforge::PATCHFORGE_ISA
