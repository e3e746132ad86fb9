// y [B, O] = epilogue(x [B, I] weight^T [I, O] + bias): 2 B I O operations, 4 (O I + B I + B O)
// bytes.
//
// The wide layers of the default networks hold 7500 x 256 weights, 7.7 MB: predicted 2.6 us at 3.0
// TB/s, less when L2 still has them. The operations take that long at 60 TFLOP/s from B = 40 on.
//
//   B <= 32   Lanes along the inputs. A warp owns four rows of the weights and reads them once, 512
//             bytes a row and instruction, straight to registers; x comes from L1, shared by the
//             eight warps of a block. A lane multiplies its 4 x 4 weights with its four inputs of
//             every row of x; at the end the 4 B sums are added over the lanes. Nothing passes
//             through shared memory, and no block waits. 7500 inputs are split among 15 blocks
//             (split_sum.h).
//   B > 32    Tiles of 64 x 64 or 128 x 128 in shared memory (matrix_tile.h), split along the
//             inputs while there are fewer tiles than multiprocessors.
//   B > 8     the same on tensor cores where the precision is tf32 or bf16, with tiles as high as
//             the batch (tensor_tile.h).
//
// Within a tier the bits of a row of y do not depend on the other rows, nor on B while it asks for
// as many tiles of the same size; beyond that they do.
#include "kernels/cuda/cuda_backend.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/epilogue.h"
#include "kernels/cuda/instructions.h"
#include "kernels/cuda/split_sum.h"
#include "kernels/cuda/tensor_tile.h"

namespace patchforge::cuda {
namespace {

struct ForwardArguments {
    float* y;
    const float* x;
    const float* weight;
    const float* bias; // may be null
    int rows;
    int inputs;
    int outputs;
    int split_length;  // of the inputs
    bool quad_outputs; // y takes 16-byte stores
    Epilogue epilogue;
    SplitWorkspace workspace;
};

constexpr int weight_rows_per_warp = 4;
constexpr int weight_rows_per_block = 8 * weight_rows_per_warp;

// Adds each of value[0 ... count - 1] over the 32 lanes; lane l gets sum number l / (32 / count).
// In each of log2(count) steps a lane hands half of its sums to a partner and takes over the other
// half: 31 shuffles for 32 sums, where adding them one by one takes 160.
template <int count, int distance = 16>
__device__ __forceinline__ float sum_over_lanes(float* value) {
    static_assert((count & (count - 1)) == 0);
    if constexpr (distance == 0) {
        return value[0];
    } else if constexpr (count == 1) {
        value[0] += __shfl_xor_sync(0xffffffffu, value[0], distance);
        return sum_over_lanes<1, distance / 2>(value);
    } else {
        const bool takes_upper = threadIdx.x & distance;
        PATCHFORGE_UNROLL
        for (int i = 0; i < count / 2; ++i) {
            const float handed = takes_upper ? value[i] : value[i + count / 2];
            const float kept = takes_upper ? value[i + count / 2] : value[i];
            value[i] = kept + __shfl_xor_sync(0xffffffffu, handed, distance);
        }
        return sum_over_lanes<count / 2, distance / 2>(value);
    }
}

// Blocks for whose 4 B sums a thread, and as many weights, a multiprocessor has registers.
constexpr int lanes_resident_blocks(std::int64_t batch) {
    return batch <= 8 ? 2 : 1;
}

// Grid: x over groups of 32 outputs, y over splits of the inputs. rows <= batch.
template <int batch, bool vectors>
__global__ void __launch_bounds__(256, lanes_resident_blocks(batch))
    forward_lanes_kernel(ForwardArguments arguments) {
    begin_kernel();
    constexpr int sums = weight_rows_per_warp * batch;
    constexpr int sums_at_once = sums < 32 ? sums : 32;
    constexpr int owned = sums / sums_at_once; // by a lane, at the end

    const int lane = static_cast<int>(threadIdx.x % 32);
    const int first_output = static_cast<int>(blockIdx.x * weight_rows_per_block +
                                              threadIdx.x / 32 * weight_rows_per_warp);
    const int begin = static_cast<int>(blockIdx.y) * arguments.split_length;
    const int end = min(begin + arguments.split_length, arguments.inputs);

    // The lane's next weights. Rows beyond the last repeat it: their sums are not written.
    const float* weight_row[weight_rows_per_warp];
    PATCHFORGE_UNROLL
    for (int r = 0; r < weight_rows_per_warp; ++r) {
        weight_row[r] = arguments.weight +
                        static_cast<std::int64_t>(min(first_output + r, arguments.outputs - 1)) *
                            arguments.inputs +
                        begin + 4 * lane;
    }

    float sum[sums] = {}; // of row b and weight row r: number 4 b + r
    float next[weight_rows_per_warp][4];
    const auto load_weights = [&](int input) {
        PATCHFORGE_UNROLL
        for (int r = 0; r < weight_rows_per_warp; ++r) {
            load_quad<vectors>(next[r], weight_row[r], end - input);
            weight_row[r] += 4 * 32;
        }
    };
    load_weights(begin + 4 * lane);
    for (int input = begin + 4 * lane; input < end; input += 4 * 32) {
        float weight[weight_rows_per_warp][4];
        PATCHFORGE_UNROLL
        for (int r = 0; r < weight_rows_per_warp; ++r) {
            PATCHFORGE_UNROLL
            for (int e = 0; e < 4; ++e) {
                weight[r][e] = next[r][e];
            }
        }
        load_weights(input + 4 * 32); // on their way while these are multiplied
        PATCHFORGE_UNROLL
        for (int b = 0; b < batch; ++b) {
            const int row = min(b, arguments.rows - 1);
            float x[4]; // at most 32 rows: 32 bits address them
            load_quad<vectors>(x, arguments.x + (row * arguments.inputs + input), end - input);
            PATCHFORGE_UNROLL
            for (int r = 0; r < weight_rows_per_warp; ++r) {
                PATCHFORGE_UNROLL
                for (int e = 0; e < 4; ++e) {
                    float& total = sum[weight_rows_per_warp * b + r];
                    total = fmaf(weight[r][e], x[e], total);
                }
            }
        }
    }

    float total[owned];
    PATCHFORGE_UNROLL
    for (int i = 0; i < owned; ++i) {
        total[i] = sum_over_lanes<sums_at_once>(sum + i * sums_at_once);
    }
    if (sum_over_splits(total, arguments.workspace, blockIdx.x, blockIdx.y, gridDim.y)) {
        constexpr int lanes_per_sum = 32 / sums_at_once;
        const ElementEpilogue epilogue(arguments.epilogue);
        PATCHFORGE_UNROLL
        for (int i = 0; i < owned; ++i) {
            const int number = i * sums_at_once + lane / lanes_per_sum;
            const int row = number / weight_rows_per_warp;
            const int output = first_output + number % weight_rows_per_warp;
            if (lane % lanes_per_sum == 0 && row < arguments.rows && output < arguments.outputs) {
                const std::int64_t element =
                    static_cast<std::int64_t>(row) * arguments.outputs + output;
                const float bias = arguments.bias != nullptr ? arguments.bias[output] : 0.0f;
                arguments.y[element] = epilogue.apply(total[i] + bias, element);
            }
        }
    }
}

// Grid: x over tiles of outputs, y over tiles of rows, z over splits of the inputs.
template <class Product, bool vectors>
__global__ void __launch_bounds__(tile_threads, Product::resident_blocks)
    forward_tile_kernel(ForwardArguments arguments) {
    begin_kernel();
    auto& storage = shared<typename Product::Storage>();

    const int first_row = static_cast<int>(blockIdx.y) * Product::A::size;
    const int first_output = static_cast<int>(blockIdx.x) * Product::B::size;
    const int begin = static_cast<int>(blockIdx.z) * arguments.split_length;
    const int end = min(begin + arguments.split_length, arguments.inputs);
    Product::template multiply<vectors>(
        storage, {arguments.x, arguments.rows, arguments.inputs}, first_row,
        {arguments.weight, arguments.outputs, arguments.inputs}, first_output, begin, end,
        [](const typename Product::A::Stage&) {});

    const unsigned tile = blockIdx.y * gridDim.x + blockIdx.x;
    if (sum_tile_over_splits<Product::B::size>(storage.result, arguments.workspace, tile,
                                               blockIdx.z, gridDim.z)) {
        const ElementEpilogue epilogue(arguments.epilogue);
        visit_quads<Product::B::size>(
            storage.result, [&](int tile_row, int tile_column, float(&z)[4]) {
                const int row = first_row + tile_row;
                const int output = first_output + tile_column;
                const int available = row < arguments.rows ? arguments.outputs - output : 0;
                const std::int64_t element =
                    static_cast<std::int64_t>(row) * arguments.outputs + output;
                if (arguments.bias != nullptr) {
                    float bias[4];
                    load_quad<false>(bias, arguments.bias + output, available);
                    PATCHFORGE_UNROLL
                    for (int i = 0; i < 4; ++i) {
                        z[i] += bias[i];
                    }
                }
                epilogue.apply_quad(z, element);
                if (arguments.quad_outputs) {
                    store_quad<true>(arguments.y + element, z, available);
                } else {
                    store_quad<false>(arguments.y + element, z, available);
                }
            });
    }
}

using ForwardKernel = void (*)(ForwardArguments);

// Rows whose length is not a multiple of four (no layer of the default networks) get one kernel.
ForwardKernel forward_lanes(std::int64_t rows, bool vectors) {
    return !vectors     ? forward_lanes_kernel<32, false>
           : rows <= 1  ? forward_lanes_kernel<1, true>
           : rows <= 2  ? forward_lanes_kernel<2, true>
           : rows <= 4  ? forward_lanes_kernel<4, true>
           : rows <= 8  ? forward_lanes_kernel<8, true>
           : rows <= 16 ? forward_lanes_kernel<16, true>
           : rows <= 24 ? forward_lanes_kernel<24, true>
                        : forward_lanes_kernel<32, true>;
}

template <Precision precision>
void launch_forward_tiles(LaunchShape shape, ForwardArguments arguments, bool vectors) {
    with_batch_tile<precision, ByDepth, ByDepth>(
        arguments.rows, arguments.outputs, vectors, [&](auto product, auto wide) {
            using Product = decltype(product);
            const dim3 tiles = {blocks_for(arguments.outputs, Product::B::size),
                                blocks_for(arguments.rows, Product::A::size)};
            const SplitPlan plan =
                plan_splits(arguments.inputs, tiles.x * tiles.y, least_split_depth, tile_depth);
            arguments.split_length = plan.length;
            shape.grid = {tiles.x, tiles.y, plan.splits};
            shape.splits = plan.splits;
            shape.shared_bytes = sizeof(typename Product::Storage);
            shape.resident_blocks = Product::resident_blocks;
            launch(forward_tile_kernel<Product, decltype(wide)::value>, shape, arguments);
        });
}

} // namespace

void CudaBackend::linear_forward(Matrix<float> y, Matrix<const float> x, Matrix<const float> weight,
                                 Vector<const float> bias, const Epilogue& epilogue) {
    require_narrow("linear_forward", {x.columns, weight.rows});
    if (cublas_) {
        return cublas_forward(y, x, weight, bias, epilogue);
    }
    const bool vectors = quad_access(x.columns, {x.data, weight.data});
    ForwardArguments arguments = {y.data,
                                  x.data,
                                  weight.data,
                                  bias.data_or_null(),
                                  static_cast<int>(x.rows),
                                  static_cast<int>(x.columns),
                                  static_cast<int>(weight.rows),
                                  0,
                                  quad_access(y.columns, {y.data}),
                                  epilogue,
                                  workspace_};
    LaunchShape shape = {.block = 256,
                         .stream = stream_,
                         .name = "linear_forward",
                         .work = {4.0 * (weight.size() + x.size() + y.size() + bias.size),
                                  2.0 * x.size() * weight.rows}};
    if (x.rows <= 32 && precision_of(x.rows) == Precision::float32) {
        const unsigned groups = blocks_for(weight.rows, weight_rows_per_block);
        const SplitPlan plan = plan_splits(x.columns, groups, 256, 4 * 32);
        arguments.split_length = plan.length;
        shape.grid = {groups, plan.splits};
        shape.splits = plan.splits;
        shape.resident_blocks = vectors ? lanes_resident_blocks(x.rows) : 1;
        launch(forward_lanes(x.rows, vectors), shape, arguments);
    } else {
        with_precision(precision_, [&](auto precision) {
            launch_forward_tiles<decltype(precision)::value>(shape, arguments, vectors);
        });
    }
}

} // namespace patchforge::cuda
