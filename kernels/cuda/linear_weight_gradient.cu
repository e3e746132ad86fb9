// The weight gradient of a linear layer, stored or handed straight to Adam:
//
//     d_weight [O, I] = dz^T [O, B] x [B, I], d_bias [O] = column sums of dz: 2 B I O operations
//     stored                        writes 4 B a weight (and reads 4 when accumulating)
//     linear_weight_gradient_adam   reads and writes w, m, v: 24 B a weight. Storing the gradient
//                                   and reading it back would make it 32.
//     linear_backward_adam          the same, and dx from the same reading of the weights
//
// The 4.0 M parameters of the default networks are 96 MB an iteration: predicted 32 us at 3.0 TB/s,
// which is the floor of training at small batches; the operations reach it at about B = 50 at 60 TFLOP/s.
//
//   B <= 32   backward_lanes.h
//   B > 32    tiles over (output, input) with the sum over the batch in registers (matrix_tile.h)
//             and the update as their epilogue. linear_backward_adam then runs the input gradient
//             first, while the weights are still the old ones: its operations outweigh a second
//             reading from L2.
//   B > 8     the same on tensor cores where the precision is tf32 or bf16 (tensor_tile.h). The
//             bias's gradient is summed from the stages, unrounded.
#include "kernels/cuda/backward_lanes.h"
#include "kernels/cuda/instructions.h"
#include "kernels/cuda/tensor_tile.h"

namespace patchforge::cuda {
namespace {

// Grid: x over tiles of inputs, y over tiles of outputs, z over splits of the rows of the batch.
template <class Product, class Update, bool vectors>
__global__ void __launch_bounds__(tile_threads, Product::resident_blocks)
    weight_gradient_tile_kernel(BackwardArguments<Update> arguments) {
    begin_kernel();
    auto& storage = shared<typename Product::Storage>();

    const int first_output = static_cast<int>(blockIdx.y) * Product::A::size;
    const int first_input = static_cast<int>(blockIdx.x) * Product::B::size;
    const int begin = static_cast<int>(blockIdx.z) * arguments.split_length;
    const int end = min(begin + arguments.split_length, arguments.rows);
    const bool sums_bias = blockIdx.x == 0 && threadIdx.x < Product::A::size;
    float bias = 0.0f;
    Product::template multiply<vectors>(
        storage, {arguments.dz, arguments.rows, arguments.outputs}, first_output,
        {arguments.x, arguments.rows, arguments.inputs}, first_input, begin, end,
        [&](const typename Product::A::Stage& dz) {
            if (sums_bias) {
                PATCHFORGE_UNROLL
                for (int k = 0; k < tile_depth; ++k) {
                    bias += dz.value[k][threadIdx.x];
                }
            }
        });

    const unsigned tile = blockIdx.y * gridDim.x + blockIdx.x;
    if (sum_tile_over_splits<Product::B::size>(storage.result, arguments.workspace, tile,
                                               blockIdx.z, gridDim.z, bias)) {
        const typename Update::Thread update(arguments.update);
        const int bias_output = first_output + static_cast<int>(threadIdx.x);
        if (sums_bias && bias_output < arguments.outputs) {
            update.finish_bias(bias, bias_output);
        }
        visit_quads<Product::B::size>(storage.result, [&](int tile_row, int tile_column,
                                                          float(&gradient)[4]) {
            const int output = first_output + tile_row;
            const int input = first_input + tile_column;
            const int available = output < arguments.outputs ? arguments.inputs - input : 0;
            const std::int64_t first = static_cast<std::int64_t>(output) * arguments.inputs + input;
            typename Update::Thread::Quad quad;
            update.template begin<vectors>(quad, first, available);
            update.template finish<vectors>(quad, gradient, first, available);
        });
    }
}

template <Precision precision, int side>
using WeightGradientProduct =
    std::conditional_t<precision == Precision::float32, TileProduct<ByExtent<side>, ByExtent<side>>,
                       TensorProduct<precision, ByExtent<side>, ByExtent<side>>>;

template <class Product, bool vectors, class Update>
void launch_weight_gradient_tiles(LaunchShape shape, BackwardArguments<Update> arguments) {
    const dim3 tiles = {blocks_for(arguments.inputs, Product::B::size),
                        blocks_for(arguments.outputs, Product::A::size)};
    const SplitPlan plan =
        plan_splits(arguments.rows, tiles.x * tiles.y, least_split_depth, tile_depth);
    arguments.split_length = plan.length;
    shape.grid = {tiles.x, tiles.y, plan.splits};
    shape.splits = plan.splits;
    shape.shared_bytes = sizeof(typename Product::Storage);
    shape.resident_blocks = Product::resident_blocks;
    launch(weight_gradient_tile_kernel<Product, Update, vectors>, shape, arguments);
}

template <Precision precision, class Update>
void launch_weight_gradient_tiles(const LaunchShape& shape,
                                  const BackwardArguments<Update>& arguments, bool quad_inputs) {
    using Small = WeightGradientProduct<precision, 64>;
    using Large = WeightGradientProduct<precision, 128>;
    const bool vectors = quad_inputs && quad_access(arguments.outputs, {arguments.dz});
    // Adam's bytes outweigh the operations until B is several hundred: small tiles, because one
    // block's update then overlaps with the others' products.
    if (!vectors) {
        launch_weight_gradient_tiles<Small, false>(shape, arguments);
    } else if (arguments.rows <= 512 ||
               tile_side(arguments.outputs, arguments.inputs, vectors) == 64) {
        launch_weight_gradient_tiles<Small, true>(shape, arguments);
    } else {
        launch_weight_gradient_tiles<Large, true>(shape, arguments);
    }
}

// `precision` is float32 where tensor cores do not pay.
template <class Update>
void launch_weight_gradient(const LaunchShape& shape, const BackwardArguments<Update>& arguments,
                            bool quad_inputs, Precision precision, int multiprocessors) {
    if (precision == Precision::float32 && arguments.rows <= lanes_batch_limit) {
        launch_backward_lanes<false>(shape, arguments, quad_inputs, multiprocessors);
        return;
    }
    with_precision(precision, [&](auto constant) {
        launch_weight_gradient_tiles<decltype(constant)::value>(shape, arguments, quad_inputs);
    });
}

template <class Update>
BackwardArguments<Update> backward_arguments(Matrix<float> dx, Matrix<const float> dz,
                                             Matrix<const float> x, const Epilogue& previous,
                                             const Update& update, SplitWorkspace workspace) {
    return {dx.data,
            dz.data,
            x.data,
            static_cast<int>(x.rows),
            static_cast<int>(x.columns),
            static_cast<int>(dz.columns),
            0,
            previous,
            update,
            workspace};
}

bool quad_tensor(std::int64_t row_length, const AdamTensor& tensor) {
    return quad_access(row_length,
                       {tensor.value.data, tensor.first_moment.data, tensor.second_moment.data});
}

} // namespace

void CudaBackend::linear_weight_gradient(Matrix<float> d_weight, Vector<float> d_bias,
                                         Matrix<const float> dz, Matrix<const float> x,
                                         bool accumulate) {
    require_narrow("linear_weight_gradient", {x.columns, dz.columns});
    if (cublas_) {
        return cublas_weight_gradient(d_weight, d_bias, dz, x, accumulate);
    }
    const double stored = static_cast<double>(d_weight.size() + d_bias.size);
    const LaunchShape shape = {
        .stream = stream_,
        .name = "linear_weight_gradient",
        .work = {4.0 * (dz.size() + x.size()) + (accumulate ? 8 : 4) * stored,
                 2.0 * x.size() * dz.columns}};
    launch_weight_gradient(
        shape,
        backward_arguments({}, dz, x, {},
                           StoreGradient{d_weight.data, d_bias.data_or_null(), accumulate},
                           workspace_),
        quad_access(x.columns, {d_weight.data, x.data}), precision_of(x.rows), multiprocessors_);
}

void CudaBackend::linear_weight_gradient_adam(AdamTensor weight, AdamTensor bias,
                                              Matrix<const float> dz, Matrix<const float> x,
                                              const Adam& adam) {
    require_narrow("linear_weight_gradient_adam", {x.columns, dz.columns});
    if (cublas_) {
        return cublas_weight_gradient_adam(weight, bias, dz, x, adam);
    }
    const double updated = static_cast<double>(weight.value.size + bias.value.size);
    const LaunchShape shape = {.stream = stream_,
                               .name = "linear_weight_gradient_adam",
                               .work = {4.0 * (dz.size() + x.size()) + 24.0 * updated,
                                        2.0 * x.size() * dz.columns + 12.0 * updated}};
    launch_weight_gradient(
        shape,
        backward_arguments({}, dz, x, {}, AdamStep{weight, bias, constants_of(adam)}, workspace_),
        quad_access(x.columns, {x.data}) && quad_tensor(x.columns, weight), precision_of(x.rows),
        multiprocessors_);
}

void CudaBackend::linear_backward_adam(Matrix<float> dx, AdamTensor weight, AdamTensor bias,
                                       Matrix<const float> dz, Matrix<const float> x,
                                       const Epilogue& previous, const Adam& adam) {
    require_narrow("linear_backward_adam", {x.columns, dz.columns});
    if (cublas_ || x.rows > lanes_batch_limit || precision_of(x.rows) != Precision::float32) {
        linear_input_gradient(dx, dz, {weight.value.data, dz.columns, x.columns}, x, previous);
        linear_weight_gradient_adam(weight, bias, dz, x, adam);
        return;
    }
    const double updated = static_cast<double>(weight.value.size + bias.value.size);
    const LaunchShape shape = {.stream = stream_,
                               .name = "linear_backward_adam",
                               .work = {4.0 * (dz.size() + x.size() + dx.size()) + 24.0 * updated,
                                        4.0 * x.size() * dz.columns + 12.0 * updated}};
    launch_backward_lanes<true>(
        shape,
        backward_arguments(dx, dz, x, previous, AdamStep{weight, bias, constants_of(adam)},
                           workspace_),
        quad_access(x.columns, {x.data}) && quad_tensor(x.columns, weight), multiprocessors_);
}

} // namespace patchforge::cuda
