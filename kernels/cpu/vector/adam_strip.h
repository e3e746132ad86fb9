// Adam on the parameters that lie under a strip of gradients.
#pragma once

#include "kernels/cpu/vector/adam_step.h"
#include "kernels/cpu/vector/products.h"

namespace patchforge::PATCHFORGE_ISA {

// Some rows of three matrices that share a stride, and their gradients, which share another.
struct AdamStrip {
    float* value;
    float* first_moment;
    float* second_moment;
    std::int64_t stride;
    std::int64_t rows;
    std::int64_t columns;
    float* gradient;
    std::int64_t gradient_stride;
};

// Where Adam is in a strip. It goes along the rows, panel_columns numbers at a time, and asks for those that come much
// later, below the strip's end, too: its three streams of memory are the larger part of an iteration of small batches,
// and the processor's own prefetchers lose them at the end of each row.
class AdamWalk {
  public:
    AdamWalk() = default;
    explicit AdamWalk(const AdamStrip& strip)
        : strip_(strip), rows_ahead_(numbers_ahead / strip.columns),
          columns_ahead_(numbers_ahead % strip.columns) {}

    void step(const AdamArguments& adam) {
        if (row_ == strip_.rows) {
            return;
        }
        prefetch_ahead();
        const std::int64_t at = row_ * strip_.stride + column_;
        float* const value = strip_.value + at;
        float* const first_moment = strip_.first_moment + at;
        float* const second_moment = strip_.second_moment + at;
        const float* const gradient = strip_.gradient + row_ * strip_.gradient_stride + column_;
        const std::int64_t left = strip_.columns - column_;
        if (left >= panel_columns) { // nearly always: without branches and masks
#pragma GCC unroll 4
            for (int i = 0; i < panel_columns; i += lanes) {
                adam_step_in_memory(value + i, first_moment + i, second_moment + i,
                                    load(gradient + i), lanes, adam);
            }
        } else {
            for (std::int64_t i = 0; i < left; i += lanes) {
                adam_step_in_memory(value + i, first_moment + i, second_moment + i,
                                    load(gradient + i), left - i, adam);
            }
        }
        column_ += panel_columns;
        if (column_ >= strip_.columns) {
            column_ = 0;
            ++row_;
        }
    }

    void finish(const AdamArguments& adam) {
        while (row_ < strip_.rows) {
            step(adam);
        }
    }

  private:
    static constexpr std::int64_t numbers_ahead = 576;

    // Always inlined: of a function that does nothing else GCC drops the calls.
    __attribute__((always_inline)) void prefetch_ahead() const {
        std::int64_t at = (row_ + rows_ahead_) * strip_.stride + column_ + columns_ahead_;
        if (column_ + columns_ahead_ >= strip_.columns) {
            at += strip_.stride - strip_.columns;
        }
        constexpr std::int64_t line = 16; // numbers
#pragma GCC unroll 4
        for (std::int64_t i = at; i < at + panel_columns; i += line) {
            __builtin_prefetch(strip_.value + i);
            __builtin_prefetch(strip_.first_moment + i);
            __builtin_prefetch(strip_.second_moment + i);
        }
    }

    AdamStrip strip_{};
    std::int64_t rows_ahead_ = 0;
    std::int64_t columns_ahead_ = 0;
    std::int64_t row_ = 0;
    std::int64_t column_ = 0;
};

// A matrix [rows, columns], strip after strip: while the gradients of one are made, those of the strip before go to
// Adam. `scratch` of scratch_size(adam_strips, columns) takes both.
class AdamStrips {
  public:
    AdamStrips(float* value, float* first_moment, float* second_moment, std::int64_t stride,
               std::int64_t rows, std::int64_t columns, float* scratch)
        : whole_{value, first_moment, second_moment, stride,
                 rows,  columns,      scratch,       (columns + lanes - 1) / lanes * lanes},
          heights_(rows) {}

    bool left() const { return number_ < heights_.count; }
    std::int64_t row() const { return heights_.first(number_); }
    int height() const { return heights_.rows(number_); }
    std::int64_t width() const { return whole_.gradient_stride; } // of lines of gradients
    float* gradient() const { return whole_.gradient + number_ % 2 * tile_rows * width(); }

    // Once the gradients of the strip have been made.
    void next(const AdamArguments& adam) {
        before.finish(adam);
        const std::int64_t at = row() * whole_.stride;
        before = AdamWalk({whole_.value + at, whole_.first_moment + at, whole_.second_moment + at,
                           whole_.stride, height(), whole_.columns, gradient(), width()});
        ++number_;
    }

    AdamWalk before;

  private:
    AdamStrip whole_;
    RowTiles heights_;
    std::int64_t number_ = 0;
};

} // namespace patchforge::PATCHFORGE_ISA
