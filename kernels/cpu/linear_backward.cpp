// Gradients of a fully connected layer, and the Adam step that follows at once.
//
// The weights are cut into blocks that stay in the second-level cache while everything that reads
// or changes them happens: first the input gradient from the old weights, then the weight gradient,
// tile by tile in registers, handed to Adam. So each weight and moment crosses the memory once: 24
// bytes a parameter. Sums over the batch and over the outputs run in their order.
#include "kernels/cpu/cpu_backend.h"

#include <algorithm>
#include <stdexcept>
#include <string>
#include <vector>

namespace patchforge {
namespace {

constexpr std::int64_t outputs_of_block = 64;                 // when cut along the outputs
constexpr std::int64_t rows_of_update = 4 * outputs_of_block; // for which x is laid out once
constexpr std::int64_t slices = 16;
constexpr std::int64_t row_piece = 16; // of the batch, for sums of slices

// Columns of x that a task takes: their [batch, columns] stays within 192 KiB. A multiple of 48,
// the width of the widest tile.
constexpr std::int64_t most_columns = 480;
std::int64_t columns_of_block(std::int64_t batch) {
    return std::clamp<std::int64_t>(49152 / batch / 48, 1, most_columns / 48) * 48;
}

// A wide layer is cut along its inputs, a tall one along its outputs.
bool is_tall(Matrix<const float> weight) {
    return weight.rows > 2 * weight.columns;
}

} // namespace

void CpuBackend::linear_input_gradient(Matrix<float> dx, Matrix<const float> dz,
                                       Matrix<const float> weight, Matrix<const float> x,
                                       const Epilogue& previous) {
    backward(dx, nullptr, rounded(dz, dz.rows, rounded_left_),
             rounded(weight, dz.rows, rounded_right_), x, previous, nullptr);
}

void CpuBackend::linear_backward_adam(Matrix<float> dx, AdamTensor weight, AdamTensor bias,
                                      Matrix<const float> dz, Matrix<const float> x,
                                      const Epilogue& previous, const Adam& adam) {
    const Matrix<const float> weight_before = {weight.value.data, dz.columns, x.columns};
    if (rounds(x.rows)) {
        linear_input_gradient(dx, dz, weight_before, x, previous);
        linear_weight_gradient_adam(weight, bias, dz, x, adam);
        return;
    }
    const AdamArguments arguments = adam_arguments(adam);
    backward(dx, &weight, dz, weight_before, x, previous, &arguments);
    bias_gradient_adam(bias, dz, arguments);
}

void CpuBackend::backward(Matrix<float> dx, const AdamTensor* updated, Matrix<const float> dz,
                          Matrix<const float> weight, Matrix<const float> x,
                          const Epilogue& previous, const AdamArguments* adam) {
    if (is_tall(weight)) {
        backward_by_outputs(dx, updated, dz, weight, x, previous, adam);
    } else {
        backward_by_inputs(dx, updated, dz, weight, x, previous, adam);
    }
}

// A task owns some columns of the weights: all that their part of dx needs.
void CpuBackend::backward_by_inputs(Matrix<float> dx, const AdamTensor* updated,
                                    Matrix<const float> dz, Matrix<const float> weight,
                                    Matrix<const float> x, const Epilogue& previous,
                                    const AdamArguments* adam) {
    const EpilogueArguments epilogue = epilogue_arguments(previous);
    const std::int64_t batch = dz.rows;
    const std::int64_t outputs = weight.rows;
    const std::int64_t inputs = weight.columns;
    const std::int64_t eighth = pieces(pieces(inputs, 8), 16) * 16;
    const std::int64_t widest = updated                ? columns_of_block(std::max(batch, outputs))
                                : batch <= direct_rows ? eighth
                                                       : most_columns;
    const std::int64_t piece = std::min(widest, eighth);
    for_pieces(inputs, piece, [&](std::int64_t first, std::int64_t count) {
        float* const scratch =
            thread_scratch(scratch_size(std::max(batch + adam_strips, depth_piece), count));
        vector_.multiply(dx.data + first, inputs, dz.data, outputs, weight.data + first, inputs,
                         batch, count, outputs, false, scratch);
        if (!previous.is_identity()) {
            for (std::int64_t b = 0; b < batch; ++b) {
                const std::int64_t at = b * inputs + first;
                vector_.activation_gradient(dx.data + at, dx.data + at, x.data + at, count,
                                            static_cast<std::uint64_t>(at), epilogue);
            }
        }
        if (updated) {
            vector_.multiply_outer_adam(
                updated->value.data + first, updated->first_moment.data + first,
                updated->second_moment.data + first, inputs, dz.data, outputs, x.data + first,
                inputs, outputs, count, batch, *adam, scratch);
        }
    });
}

// A task owns some rows of the weights, and sums what they add to dx in a slice of its own.
void CpuBackend::backward_by_outputs(Matrix<float> dx, const AdamTensor* updated,
                                     Matrix<const float> dz, Matrix<const float> weight,
                                     Matrix<const float> x, const Epilogue& previous,
                                     const AdamArguments* adam) {
    const EpilogueArguments epilogue = epilogue_arguments(previous);
    const std::int64_t batch = dz.rows;
    const std::int64_t outputs = weight.rows;
    const std::int64_t inputs = weight.columns;
    const std::int64_t outputs_of_slice = pieces(outputs, slices);
    const std::int64_t used = pieces(outputs, outputs_of_slice);
    float* const partial = workspace(used * batch * inputs);
    for_pieces(outputs, outputs_of_slice, [&](std::int64_t first, std::int64_t count) {
        float* const slice = partial + first / outputs_of_slice * batch * inputs;
        float* const scratch =
            thread_scratch(scratch_size(std::max(batch + adam_strips, outputs_of_block), inputs));
        const std::int64_t end = first + count;
        for (std::int64_t o = first; o < end; o += rows_of_update) {
            const std::int64_t rows = std::min(rows_of_update, end - o);
            for (std::int64_t k = o; k < o + rows; k += outputs_of_block) {
                vector_.multiply(slice, inputs, dz.data + k, outputs, weight.data + k * inputs,
                                 inputs, batch, inputs, std::min(outputs_of_block, o + rows - k),
                                 k > first, scratch);
            }
            if (updated) {
                const std::int64_t at = o * inputs;
                vector_.multiply_outer_adam(
                    updated->value.data + at, updated->first_moment.data + at,
                    updated->second_moment.data + at, inputs, dz.data + o, outputs, x.data, inputs,
                    rows, inputs, batch, *adam, scratch);
            }
        }
    });
    for_pieces(batch, row_piece, [&](std::int64_t first, std::int64_t count) {
        const std::int64_t at = first * inputs;
        vector_.column_sums(dx.data + at, partial + at, batch * inputs, used, count * inputs,
                            false);
        if (!previous.is_identity()) {
            vector_.activation_gradient(dx.data + at, dx.data + at, x.data + at, count * inputs,
                                        static_cast<std::uint64_t>(at), epilogue);
        }
    });
}

void CpuBackend::linear_weight_gradient(Matrix<float> d_weight, Vector<float> d_bias,
                                        Matrix<const float> dz, Matrix<const float> x,
                                        bool accumulate) {
    multiply_weight_gradient(d_weight, rounded(dz, dz.rows, rounded_left_),
                             rounded(x, dz.rows, rounded_right_), accumulate);
    for_pieces(d_bias.size, 512, [&](std::int64_t first, std::int64_t count) {
        vector_.column_sums(d_bias.data + first, dz.data + first, dz.columns, dz.rows, count,
                            accumulate);
    });
}

void CpuBackend::multiply_weight_gradient(Matrix<float> d_weight, Matrix<const float> dz,
                                          Matrix<const float> x, bool accumulate) {
    const std::int64_t columns = columns_of_block(dz.rows);
    const std::int64_t column_blocks = pieces(x.columns, columns);
    const std::int64_t rows = is_tall(d_weight) ? outputs_of_block : 256;
    pool_.parallel_for(column_blocks * pieces(dz.columns, rows), [&](std::int64_t task) {
        const std::int64_t i = task % column_blocks * columns;
        const std::int64_t o = task / column_blocks * rows;
        const std::int64_t count = std::min(columns, x.columns - i);
        vector_.multiply_outer(d_weight.data + o * x.columns + i, x.columns, dz.data + o,
                               dz.columns, x.data + i, x.columns, std::min(rows, dz.columns - o),
                               count, dz.rows, accumulate,
                               thread_scratch(scratch_size(dz.rows, count)));
    });
}

void CpuBackend::linear_weight_gradient_adam(AdamTensor weight, AdamTensor bias,
                                             Matrix<const float> dz, Matrix<const float> x,
                                             const Adam& adam) {
    const AdamArguments arguments = adam_arguments(adam);
    const std::int64_t columns = columns_of_block(dz.rows);
    const std::int64_t column_blocks = pieces(x.columns, columns);
    const std::int64_t rows = dz.columns > 2 * x.columns ? outputs_of_block : 256;
    const Matrix<const float> left = rounded(dz, dz.rows, rounded_left_);
    x = rounded(x, dz.rows, rounded_right_);
    pool_.parallel_for(column_blocks * pieces(dz.columns, rows), [&](std::int64_t task) {
        const std::int64_t i = task % column_blocks * columns;
        const std::int64_t o = task / column_blocks * rows;
        const std::int64_t at = o * x.columns + i;
        const std::int64_t count = std::min(columns, x.columns - i);
        vector_.multiply_outer_adam(weight.value.data + at, weight.first_moment.data + at,
                                    weight.second_moment.data + at, x.columns, left.data + o,
                                    dz.columns, x.data + i, x.columns,
                                    std::min(rows, dz.columns - o), count, dz.rows, arguments,
                                    thread_scratch(scratch_size(dz.rows + adam_strips, count)));
    });
    bias_gradient_adam(bias, dz, arguments);
}

void CpuBackend::linear_shards_adam(AdamTensor weight, AdamTensor bias,
                                    std::span<const LinearShard> shards, float weight_decay,
                                    WorkPiece piece, const Adam& adam) {
    if (shards.empty() || std::ssize(shards) > most_outer_shards) {
        throw std::invalid_argument("linear_shards_adam: takes 1 to 4096 shards, not " +
                                    std::to_string(shards.size()));
    }
    const AdamArguments arguments = adam_arguments(adam);
    std::vector<AlignedFloats> copies(2 * shards.size()); // where products round their operands
    // A bias is the weight of an input that is always 1.
    static constexpr float one = 1;
    std::vector<OuterShard> of_weights, of_biases;
    std::int64_t depth = 0;
    for (std::size_t s = 0; s < shards.size(); ++s) {
        const auto& [dz, x, share] = shards[s];
        of_weights.push_back({rounded(dz, dz.rows, copies[2 * s]).data, dz.columns,
                              rounded(x, dz.rows, copies[2 * s + 1]).data, x.columns, dz.rows,
                              share});
        of_biases.push_back({&one, 0, dz.data, dz.columns, dz.rows, share});
        depth += dz.rows;
    }
    // Rows and columns of `tensor`, [rows, columns], in blocks: those of `piece`.
    const auto update = [&](const AdamTensor& tensor, const std::vector<OuterShard>& all,
                            std::int64_t rows, std::int64_t columns) {
        const std::int64_t block_columns = columns_of_block(depth);
        const std::int64_t across = pieces(columns, block_columns);
        const std::int64_t block_rows = across < 8 ? outputs_of_block : 256;
        const std::int64_t tasks = across * pieces(rows, block_rows);
        const std::int64_t begin = tasks * piece.number / piece.count;
        const std::int64_t end = tasks * (piece.number + 1) / piece.count;
        pool_.parallel_for(end - begin, [&](std::int64_t task) {
            const std::int64_t column = (begin + task) % across * block_columns;
            const std::int64_t row = (begin + task) / across * block_rows;
            const std::int64_t count = std::min(block_columns, columns - column);
            std::vector<OuterShard> own = all;
            for (OuterShard& shard : own) {
                shard.a += row;
                shard.b += column;
            }
            const std::int64_t at = row * columns + column;
            vector_.multiply_shards_adam(tensor.value.data + at, tensor.first_moment.data + at,
                                         tensor.second_moment.data + at, columns, own.data(),
                                         std::ssize(own), std::min(block_rows, rows - row), count,
                                         weight_decay, arguments,
                                         thread_scratch(scratch_size(depth + adam_strips, count)));
        });
    };
    const LinearShard& any = shards.front();
    update(weight, of_weights, any.dz.columns, any.x.columns);
    if (bias.value.size > 0) {
        update(bias, of_biases, 1, any.dz.columns);
    }
}

void CpuBackend::bias_gradient_adam(const AdamTensor& bias, Matrix<const float> dz,
                                    const AdamArguments& adam) {
    for_pieces(bias.value.size, 512, [&](std::int64_t first, std::int64_t count) {
        float gradient[512];
        vector_.column_sums(gradient, dz.data + first, dz.columns, dz.rows, count, false);
        vector_.adam(bias.value.data + first, bias.first_moment.data + first,
                     bias.second_moment.data + first, gradient, count, adam);
    });
}

} // namespace patchforge
