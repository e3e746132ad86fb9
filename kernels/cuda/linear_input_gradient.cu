// dx [B, I] = (dz [B, O] weight [O, I]) * derivative of the epilogue that made x:
// 2 B I O operations, 4 (O I + B O + B I) bytes, and 4 B I for x where the epilogue is not the
// identity.
//
// The floor is that of the forward pass: predicted 2.6 us for 7500 x 256 weights at 3.0 TB/s. When the
// weights are updated in the same pass, linear_backward_adam (linear_weight_gradient.cu) reads them
// only once.
//
//   B <= 32   backward_lanes.h: weights to registers once, dz from shared memory.
//   B > 32    tiles (matrix_tile.h), split along the outputs while tiles are few.
//   B > 8     the same on tensor cores where the precision is tf32 or bf16 (tensor_tile.h).
#include "kernels/cuda/backward_lanes.h"
#include "kernels/cuda/instructions.h"
#include "kernels/cuda/tensor_tile.h"

namespace patchforge::cuda {
namespace {

// Grid: x over tiles of inputs, y over tiles of rows, z over splits of the outputs.
template <class Product, bool vectors>
__global__ void __launch_bounds__(tile_threads, Product::resident_blocks)
    input_gradient_tile_kernel(BackwardArguments<NoUpdate> arguments) {
    begin_kernel();
    auto& storage = shared<typename Product::Storage>();

    const int first_row = static_cast<int>(blockIdx.y) * Product::A::size;
    const int first_input = static_cast<int>(blockIdx.x) * Product::B::size;
    const int begin = static_cast<int>(blockIdx.z) * arguments.split_length;
    const int end = min(begin + arguments.split_length, arguments.outputs);
    Product::template multiply<vectors>(
        storage, {arguments.dz, arguments.rows, arguments.outputs}, first_row,
        {arguments.update.weight, arguments.outputs, arguments.inputs}, first_input, begin, end,
        [](const typename Product::A::Stage&) {});

    const unsigned tile = blockIdx.y * gridDim.x + blockIdx.x;
    if (sum_tile_over_splits<Product::B::size>(storage.result, arguments.workspace, tile,
                                               blockIdx.z, gridDim.z)) {
        const ElementEpilogue previous(arguments.previous);
        visit_quads<Product::B::size>(storage.result, [&](int tile_row, int tile_column,
                                                          float(&dx)[4]) {
            const int row = first_row + tile_row;
            const int input = first_input + tile_column;
            const int available = row < arguments.rows ? arguments.inputs - input : 0;
            const std::int64_t element = static_cast<std::int64_t>(row) * arguments.inputs + input;
            if (!previous.is_identity()) {
                float x[4];
                load_quad<vectors>(x, arguments.x + element, available);
                previous.multiply_by_derivative(dx, x, element);
            }
            store_quad<vectors>(arguments.dx + element, dx, available);
        });
    }
}

template <Precision precision>
void launch_input_gradient_tiles(LaunchShape shape, BackwardArguments<NoUpdate> arguments,
                                 bool vectors) {
    with_batch_tile<precision, ByDepth, ByExtent>(
        arguments.rows, arguments.inputs, vectors, [&](auto product, auto wide) {
            using Product = decltype(product);
            const dim3 tiles = {blocks_for(arguments.inputs, Product::B::size),
                                blocks_for(arguments.rows, Product::A::size)};
            const SplitPlan plan =
                plan_splits(arguments.outputs, tiles.x * tiles.y, least_split_depth, tile_depth);
            arguments.split_length = plan.length;
            shape.grid = {tiles.x, tiles.y, plan.splits};
            shape.splits = plan.splits;
            shape.shared_bytes = sizeof(typename Product::Storage);
            shape.resident_blocks = Product::resident_blocks;
            launch(input_gradient_tile_kernel<Product, decltype(wide)::value>, shape, arguments);
        });
}

} // namespace

void CudaBackend::linear_input_gradient(Matrix<float> dx, Matrix<const float> dz,
                                        Matrix<const float> weight, Matrix<const float> x,
                                        const Epilogue& previous) {
    require_narrow("linear_input_gradient", {dx.columns, dz.columns});
    if (cublas_) {
        return cublas_input_gradient(dx, dz, weight, x, previous);
    }
    BackwardArguments<NoUpdate> arguments = {dx.data,
                                             dz.data,
                                             x.data,
                                             static_cast<int>(dx.rows),
                                             static_cast<int>(dx.columns),
                                             static_cast<int>(dz.columns),
                                             0,
                                             previous,
                                             {weight.data},
                                             workspace_};
    const double read_x = previous.is_identity() ? 0.0 : 4.0 * dx.size();
    LaunchShape shape = {.stream = stream_,
                         .name = "linear_input_gradient",
                         .work = {4.0 * (weight.size() + dz.size() + dx.size()) + read_x,
                                  2.0 * weight.size() * dx.rows}};
    const bool quad_inputs = quad_access(dx.columns, {dx.data, weight.data, x.data});
    if (dx.rows <= lanes_batch_limit && precision_of(dx.rows) == Precision::float32) {
        launch_backward_lanes<true>(shape, arguments, quad_inputs, multiprocessors_);
        return;
    }
    const bool vectors = quad_inputs && quad_access(dz.columns, {dz.data});
    with_precision(precision_, [&](auto precision) {
        launch_input_gradient_tiles<decltype(precision)::value>(shape, arguments, vectors);
    });
}

} // namespace patchforge::cuda
