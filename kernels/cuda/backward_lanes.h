// The backward pass of a linear layer for batches of at most 32 rows: input gradient, weight
// gradient, or both from one pass over the weights.
//
//     dx (b, i) = derivative(b, i) * sum over o of dz (b, o) weight (o, i)
//     gradient (o, i) = sum over b of dz (b, o) x (b, i), then a step of Adam or a store
//
// Lanes along the inputs: sixteen lanes own 64 neighbouring inputs, four each, and walk down the
// weight rows, two rows at a time and sixteen such groups a block. A lane holds in registers the 4
// x 4 weights (and moments) it works on, those it works on next, already under way from memory, and
// its 4 B sums of dx. Both gradients use the same two operands, from shared memory:
//
//     x [B][64]            loaded once: all rows of the block's 64 inputs
//     dz [128][B]          128 weight rows at a time; one 16-byte load gives a weight row's dz for
//     four b
//
//     one lane, one weight row, four b:   1 load of dz, 4 of x; 16 multiply-adds for the gradient,
//     16 for dx
//
// At the end the sixteen groups' sums of dx are added up in the order of warps, then those of the
// splits along the outputs in theirs (split_sum.h). Weights and moments are read and written in
// 256-byte pieces.
#pragma once

#include "kernels/cuda/cuda_backend.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/epilogue.h"
#include "kernels/cuda/instructions.h"
#include "kernels/cuda/split_sum.h"
#include "kernels/cuda/weight_update.h"

namespace patchforge::cuda {

constexpr int lanes_batch_limit = 32;

template <class Update>
struct BackwardArguments {
    float* dx; // not used without input gradient
    const float* dz;
    const float* x; // may be null where nobody needs it
    int rows;
    int inputs;
    int outputs;
    int split_length; // of the outputs
    Epilogue previous;
    Update update;
    SplitWorkspace workspace;
};

namespace backward_lanes {

constexpr int columns = 64;     // inputs of a block
constexpr int groups = 16;      // of lanes, each with other weight rows
constexpr int rows_at_once = 2; // of the weights, by a group
constexpr int rows_of_block = groups * rows_at_once;
constexpr int staged_rows = 128; // of dz^T, in shared memory

// Blocks for which a multiprocessor has registers.
template <int batch, bool input_gradient, class Update, bool vectors>
constexpr int resident_blocks = batch <= 8 || (!input_gradient && vectors) ||
                                        (batch <= 16 && !Update::wants_gradient && vectors)
                                    ? 2
                                    : 1;

template <int batch, bool input_gradient>
struct Storage {
    float x[batch][columns];
    union {
        float dz[staged_rows][batch + 4]; // + 4: rows of 16 bytes, and banks apart
        float dx[input_gradient ? 8 : 1][batch][columns];
    };
};

// Grid: x over groups of 64 inputs, y over splits of the outputs. rows <= batch.
template <int batch, bool input_gradient, class Update, bool vectors>
__global__ void __launch_bounds__(256, (resident_blocks<batch, input_gradient, Update, vectors>))
    kernel(BackwardArguments<Update> arguments) {
    begin_kernel();
    static_assert(batch % 4 == 0);
    using Thread = typename Update::Thread;
    auto& storage = shared<Storage<batch, input_gradient>>();

    const int group = static_cast<int>(threadIdx.x / 16);
    const int first_column = static_cast<int>(blockIdx.x) * columns;
    const int lane_column = static_cast<int>(threadIdx.x % 16) * 4;
    const int column = first_column + lane_column;
    const int available = arguments.inputs - column;
    const int begin = static_cast<int>(blockIdx.y) * arguments.split_length;
    const int end = min(begin + arguments.split_length, arguments.outputs);
    const Thread update(arguments.update);

    typename Thread::Quad next[rows_at_once];
    const auto begin_rows = [&](int first_row) {
        PATCHFORGE_UNROLL
        for (int r = 0; r < rows_at_once; ++r) {
            const int row = first_row + r * groups + group;
            update.template begin<vectors>(
                next[r], static_cast<std::int64_t>(row) * arguments.inputs + column,
                row < end ? available : 0);
        }
    };
    begin_rows(begin);

    if constexpr (Update::wants_gradient) {
        for (int quad = static_cast<int>(threadIdx.x); quad < batch * columns / 4; quad += 256) {
            const int b = quad / (columns / 4);
            const int c = quad % (columns / 4) * 4;
            float x[4];
            load_quad<vectors>(
                x, arguments.x + static_cast<std::int64_t>(b) * arguments.inputs + first_column + c,
                b < arguments.rows ? arguments.inputs - (first_column + c) : 0);
            store_quad<true>(&storage.x[b][c], x, 4);
        }
    }

    float dx[batch][4] = {};
    for (int first_row = begin; first_row < end; first_row += rows_of_block) {
        const int staged = (first_row - begin) % staged_rows;
        if (staged == 0) {
            __syncthreads(); // the rows before have been read
            for (int i = static_cast<int>(threadIdx.x); i < batch * staged_rows; i += 256) {
                const int b = i / staged_rows;
                const int row = first_row + i % staged_rows;
                storage.dz[i % staged_rows][b] =
                    b < arguments.rows && row < end
                        ? arguments.dz[static_cast<std::int64_t>(b) * arguments.outputs + row]
                        : 0.0f;
            }
            __syncthreads();
            if constexpr (Update::wants_gradient) {
                const int row = first_row + static_cast<int>(threadIdx.x);
                if (blockIdx.x == 0 && threadIdx.x < staged_rows && row < end) {
                    float sum = 0.0f;
                    for (int b = 0; b < batch; ++b) {
                        sum += storage.dz[threadIdx.x][b];
                    }
                    update.finish_bias(sum, row);
                }
            }
        }

        typename Thread::Quad current[rows_at_once];
        PATCHFORGE_UNROLL
        for (int r = 0; r < rows_at_once; ++r) {
            current[r] = next[r];
        }
        begin_rows(first_row + rows_of_block);

        float gradient[rows_at_once][4] = {};
        PATCHFORGE_UNROLL
        for (int four = 0; four < batch; four += 4) {
            float dz[rows_at_once][4];
            PATCHFORGE_UNROLL
            for (int r = 0; r < rows_at_once; ++r) {
                load_shared(dz[r], &storage.dz[staged + r * groups + group][four]);
            }
            PATCHFORGE_UNROLL
            for (int b = 0; b < 4; ++b) {
                float x[4];
                if constexpr (Update::wants_gradient) {
                    load_shared(x, &storage.x[four + b][lane_column]);
                }
                PATCHFORGE_UNROLL
                for (int r = 0; r < rows_at_once; ++r) {
                    PATCHFORGE_UNROLL
                    for (int i = 0; i < 4; ++i) {
                        if constexpr (Update::wants_gradient) {
                            gradient[r][i] = fmaf(dz[r][b], x[i], gradient[r][i]);
                        }
                        if constexpr (input_gradient) {
                            dx[four + b][i] = fmaf(dz[r][b], current[r].value[i], dx[four + b][i]);
                        }
                    }
                }
            }
        }

        if constexpr (Update::wants_gradient) {
            PATCHFORGE_UNROLL
            for (int r = 0; r < rows_at_once; ++r) {
                const int row = first_row + r * groups + group;
                update.template finish<vectors>(current[r], gradient[r],
                                                static_cast<std::int64_t>(row) * arguments.inputs +
                                                    column,
                                                row < end ? available : 0);
            }
        }
    }

    if constexpr (input_gradient) {
        __syncthreads(); // dz has been read, and its place is taken
        PATCHFORGE_UNROLL
        for (int b = 0; b < batch; ++b) {
            PATCHFORGE_UNROLL
            for (int i = 0; i < 4; ++i) {
                dx[b][i] += __shfl_xor_sync(0xffffffffu, dx[b][i], 16); // the warp's other group
            }
            if (threadIdx.x % 32 < 16) {
                store_quad<true>(&storage.dx[threadIdx.x / 32][b][lane_column], dx[b], 4);
            }
        }
        __syncthreads();
        constexpr int owned = batch * columns / 256;
        float total[owned];
        PATCHFORGE_UNROLL
        for (int i = 0; i < owned; ++i) {
            const int b = static_cast<int>(threadIdx.x / columns) + i * (256 / columns);
            total[i] = 0.0f;
            PATCHFORGE_UNROLL
            for (int warp = 0; warp < 8; ++warp) {
                total[i] += storage.dx[warp][b][threadIdx.x % columns];
            }
        }
        if (sum_over_splits(total, arguments.workspace, blockIdx.x, blockIdx.y, gridDim.y)) {
            const ElementEpilogue previous(arguments.previous);
            const int input = first_column + static_cast<int>(threadIdx.x) % columns;
            PATCHFORGE_UNROLL
            for (int i = 0; i < owned; ++i) {
                const int b = static_cast<int>(threadIdx.x / columns) + i * (256 / columns);
                if (b < arguments.rows && input < arguments.inputs) {
                    const std::int64_t element =
                        static_cast<std::int64_t>(b) * arguments.inputs + input;
                    const float factor = previous.is_identity()
                                             ? 1.0f
                                             : previous.derivative(arguments.x[element], element);
                    arguments.dx[element] = total[i] * factor;
                }
            }
        }
    }
}

template <int batch, bool input_gradient, class Update, bool vectors>
void launch_kernel(LaunchShape shape, BackwardArguments<Update> arguments, int multiprocessors) {
    constexpr int resident = resident_blocks<batch, input_gradient, Update, vectors>;
    const unsigned tiles = blocks_for(arguments.inputs, columns);
    // Without dx the parts share no sum, and the device says how many there are.
    const SplitPlan plan =
        input_gradient
            ? plan_splits(arguments.outputs, tiles, rows_of_block, rows_of_block)
            : plan_parts(arguments.outputs, tiles, rows_of_block, resident * multiprocessors);
    arguments.split_length = plan.length;
    shape.grid = {tiles, plan.splits};
    shape.splits = input_gradient ? plan.splits : 1;
    shape.block = 256;
    shape.resident_blocks = resident;
    shape.shared_bytes = sizeof(Storage<batch, input_gradient>);
    launch(kernel<batch, input_gradient, Update, vectors>, shape, arguments);
}

} // namespace backward_lanes

// Starts the kernel for arguments.rows <= 32. `shape` brings stream, name and work.
template <bool input_gradient, class Update>
void launch_backward_lanes(const LaunchShape& shape, const BackwardArguments<Update>& arguments,
                           bool vectors, int multiprocessors) {
    using namespace backward_lanes;
    const int rows = arguments.rows;
    if (!vectors) {
        launch_kernel<32, input_gradient, Update, false>(shape, arguments, multiprocessors);
    } else if (rows <= 4) {
        launch_kernel<4, input_gradient, Update, true>(shape, arguments, multiprocessors);
    } else if (rows <= 8) {
        launch_kernel<8, input_gradient, Update, true>(shape, arguments, multiprocessors);
    } else if (rows <= 16) {
        launch_kernel<16, input_gradient, Update, true>(shape, arguments, multiprocessors);
    } else if (rows <= 24) {
        launch_kernel<24, input_gradient, Update, true>(shape, arguments, multiprocessors);
    } else {
        launch_kernel<32, input_gradient, Update, true>(shape, arguments, multiprocessors);
    }
}

} // namespace patchforge::cuda
