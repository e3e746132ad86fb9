// y = epilogue(x weight^T + bias).
//
// Few rows: each weight is used so few times that its way from memory is the cost. Rows of the
// weights are read in their own order and every sum runs lane by lane along them.
//
// More rows: register tiles of weights as they lie and transposed panels of x. A long, narrow layer (7500 ->
// 256) is cut along the depth, so that each slice of x and of the weights is read once; the slices'
// sums are added in their order.
#include "kernels/cpu/cpu_backend.h"

#include <algorithm>

namespace patchforge {
namespace {

// Sums of a layer that widens are short, and joining their lanes takes as long as they do: few rows are fewer there.
std::int64_t few_rows(std::int64_t inputs, std::int64_t outputs) {
    return outputs > inputs ? 6 : 16;
}
constexpr std::int64_t rows_of_block =
    256; // of x: 256 KiB a piece of the depth, within the second-level cache
constexpr std::int64_t slices = 8;
constexpr std::int64_t sliced_from = 2048;    // depth
constexpr std::int64_t sliced_columns = 1024; // at most

// Each block of columns lays out x anew: wide ones, but enough of them for several threads.
std::int64_t columns_of_block(std::int64_t outputs) {
    return std::clamp<std::int64_t>(pieces(outputs, 8), 64, 256);
}

} // namespace

void CpuBackend::linear_forward(Matrix<float> y, Matrix<const float> x, Matrix<const float> weight,
                                Vector<const float> bias, const Epilogue& epilogue) {
    multiply_forward(y, rounded(x, y.rows, rounded_left_), rounded(weight, y.rows, rounded_right_),
                     bias, epilogue);
}

void CpuBackend::multiply_forward(Matrix<float> y, Matrix<const float> x,
                                  Matrix<const float> weight, Vector<const float> bias,
                                  const Epilogue& epilogue) {
    const EpilogueArguments arguments = epilogue_arguments(epilogue);
    const std::int64_t batch = y.rows;
    const std::int64_t outputs = weight.rows;
    const std::int64_t inputs = weight.columns;
    const bool plain = epilogue.is_identity() && bias.empty();
    // y [rows, columns] from `first_row`, `first_column`, once its sums are complete.
    const auto finish = [&](std::int64_t first_row, std::int64_t rows, std::int64_t first_column,
                            std::int64_t columns) {
        for (std::int64_t r = first_row; !plain && r < first_row + rows; ++r) {
            const std::int64_t at = r * outputs + first_column;
            vector_.activate(y.data + at, y.data + at,
                             bias.empty() ? nullptr : bias.data + first_column, columns,
                             static_cast<std::uint64_t>(at), arguments);
        }
    };

    if (batch <= few_rows(inputs, outputs)) {
        // About 256 KiB of weights a task, and at least 8 tasks where there are as many fours.
        const std::int64_t wanted = std::min(65536 / inputs, pieces(outputs, 8));
        const std::int64_t columns_of_task = std::max<std::int64_t>(1, pieces(wanted, 4)) * 4;
        for_pieces(outputs, columns_of_task, [&](std::int64_t first, std::int64_t count) {
            vector_.multiply_few_rows(y.data + first, outputs, x.data, inputs,
                                      weight.data + first * inputs, inputs, batch, count, inputs);
            finish(0, batch, first, count);
        });
        return;
    }

    const std::int64_t row_blocks = pieces(batch, rows_of_block);
    if (inputs < sliced_from || outputs > sliced_columns) {
        const std::int64_t block = columns_of_block(outputs);
        pool_.parallel_for(row_blocks * pieces(outputs, block), [&](std::int64_t task) {
            const std::int64_t row = task % row_blocks * rows_of_block;
            const std::int64_t column = task / row_blocks * block;
            const std::int64_t rows = std::min(rows_of_block, batch - row);
            const std::int64_t columns = std::min(block, outputs - column);
            vector_.multiply_transposed(y.data + row * outputs + column, outputs,
                                        x.data + row * inputs, inputs,
                                        weight.data + column * inputs, inputs, rows, columns,
                                        inputs, thread_scratch(transposed_scratch(rows, columns)));
            finish(row, rows, column, columns);
        });
        return;
    }

    const std::int64_t depth_of_slice = pieces(pieces(inputs, slices), 16) * 16;
    float* const partial = workspace(slices * batch * outputs);
    pool_.parallel_for(row_blocks * slices, [&](std::int64_t task) {
        const std::int64_t row = task % row_blocks * rows_of_block;
        const std::int64_t slice = task / row_blocks;
        const std::int64_t first = slice * depth_of_slice;
        vector_.multiply_transposed(partial + (slice * batch + row) * outputs, outputs,
                                    x.data + row * inputs + first, inputs, weight.data + first,
                                    inputs, std::min(rows_of_block, batch - row), outputs,
                                    std::min(depth_of_slice, inputs - first),
                                    thread_scratch(transposed_scratch(rows_of_block, outputs)));
    });
    pool_.parallel_for(batch, [&](std::int64_t row) {
        vector_.column_sums(y.data + row * outputs, partial + row * outputs, batch * outputs,
                            slices, outputs, false);
        finish(row, 1, 0, outputs);
    });
}

} // namespace patchforge
