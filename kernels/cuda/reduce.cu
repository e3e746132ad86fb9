// Reductions for metrics, and the bookkeeping at the end of an iteration. All sums are in float64
// and in an order that depends on the sizes alone.
//
//     sum, sum_of_squares   4 B an element, read once by up to 132 blocks; the block that arrives
//                           last adds the blocks' sums one after the other.
//     column_mean,          4 B an element; a block owns 32 columns, so every row is read in
//     count_dead_columns    128-byte pieces, and its eight warps take every eighth row.
//     finish_iteration      one block: 4 B a metric and the step; in a recording also the rates of
//                           Adam of the next iteration.
#include <algorithm>

#include "kernels/cuda/adam_rates.h"
#include "kernels/cuda/column_sum.h"
#include "kernels/cuda/cuda_backend.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/instructions.h"
#include "kernels/cuda/split_sum.h"

namespace patchforge::cuda {
namespace {

template <bool squares>
__global__ void __launch_bounds__(reduction_block)
    sum_kernel(double* out, const float* x, std::int64_t count, double* of_block,
               unsigned* arrived) {
    begin_kernel();
    auto& storage = shared<BlockSumStorage<1>>();
    double total[1] = {0.0};
    for (std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < count;
         i += std::int64_t{gridDim.x} * blockDim.x) {
        const double value = x[i];
        total[0] += squares ? value * value : value;
    }
    sum_over_block(total, storage);
    if (threadIdx.x == 0) {
        of_block[blockIdx.x] = total[0];
    }
    if (arrives_last(arrived, gridDim.x) && threadIdx.x == 0) {
        double all = 0.0;
        for (unsigned block = 0; block < gridDim.x; ++block) {
            all += __ldcg(of_block + block);
        }
        out[0] = all;
        *arrived = 0;
    }
}

__global__ void __launch_bounds__(reduction_block)
    column_mean_kernel(float* out, const float* x, std::int64_t rows, std::int64_t columns) {
    begin_kernel();
    auto& storage = shared<ColumnSumStorage<1>>();
    const unsigned warp = threadIdx.x / 32;
    const std::int64_t column = std::int64_t{blockIdx.x} * columns_per_block + threadIdx.x % 32;
    double total[1] = {0.0};
    if (column < columns) {
        for (std::int64_t row = warp; row < rows; row += warps_per_block) {
            total[0] += x[row * columns + column];
        }
    }
    sum_over_warps(total, storage);
    if (warp == 0 && column < columns) {
        out[column] = static_cast<float>(total[0] / static_cast<double>(rows));
    }
}

struct AliveStorage {
    bool of_warp[warps_per_block][columns_per_block];
};

__global__ void __launch_bounds__(reduction_block)
    count_dead_columns_kernel(float* out, const float* x, std::int64_t rows, std::int64_t columns,
                              unsigned* of_block, unsigned* arrived) {
    begin_kernel();
    auto& storage = shared<AliveStorage>();
    const unsigned lane = threadIdx.x % 32;
    const unsigned warp = threadIdx.x / 32;
    const std::int64_t column = std::int64_t{blockIdx.x} * columns_per_block + lane;
    bool alive = false;
    if (column < columns) {
        for (std::int64_t row = warp; row < rows && !alive; row += warps_per_block) {
            alive = x[row * columns + column] > 0.0f;
        }
    }
    storage.of_warp[warp][lane] = alive;
    __syncthreads();
    if (warp == 0) {
        bool dead = column < columns;
        for (unsigned other = 0; other < warps_per_block; ++other) {
            dead = dead && !storage.of_warp[other][lane];
        }
        const unsigned votes = __ballot_sync(0xffffffffu, dead);
        if (lane == 0) {
            of_block[blockIdx.x] = __popc(votes);
        }
    }
    if (arrives_last(arrived, gridDim.x) && threadIdx.x == 0) {
        unsigned all = 0;
        for (unsigned block = 0; block < gridDim.x; ++block) {
            all += __ldcg(of_block + block);
        }
        out[0] = static_cast<float>(all);
        *arrived = 0;
    }
}

__global__ void __launch_bounds__(reduction_block)
    finish_iteration_kernel(std::uint64_t* step, float* history, std::int64_t capacity,
                            const float* metrics, std::int64_t count, AdamRates* rates,
                            const __grid_constant__ AdamList list) {
    begin_kernel();
    const std::uint64_t finished = *step;
    float* row = history + static_cast<std::int64_t>(finished % capacity) * count;
    for (std::int64_t i = threadIdx.x; i < count; i += blockDim.x) {
        row[i] = metrics[i];
    }
    if (static_cast<int>(threadIdx.x) < list.count) {
        const Adam& adam = list.adam[threadIdx.x];
        if (adam.step.step == step) {
            rates[threadIdx.x] =
                adam_rates::of(adam, (finished + 1) * adam.step.stride + adam.step.offset);
        }
    }
    __syncthreads(); // everybody has read the step
    if (threadIdx.x == 0) {
        *step = finished + 1;
    }
}

LaunchShape sum_shape(Vector<const float> x, Stream stream, const char* name) {
    const std::int64_t blocks = (x.size + 4 * reduction_block - 1) / (4 * reduction_block);
    return {.grid = static_cast<unsigned>(std::clamp<std::int64_t>(blocks, 1, split_blocks)),
            .block = reduction_block,
            .shared_bytes = sizeof(BlockSumStorage<1>),
            .stream = stream,
            .name = name,
            .work = {4.0 * x.size, 2.0 * x.size}};
}

} // namespace

void CudaBackend::sum(Vector<double> out, Vector<const float> x) {
    launch(sum_kernel<false>, sum_shape(x, stream_, "sum"), out.data, x.data, x.size,
           reinterpret_cast<double*>(workspace_.partial), workspace_.arrived);
}

void CudaBackend::sum_of_squares(Vector<double> out, Vector<const float> x) {
    launch(sum_kernel<true>, sum_shape(x, stream_, "sum_of_squares"), out.data, x.data, x.size,
           reinterpret_cast<double*>(workspace_.partial), workspace_.arrived);
}

void CudaBackend::column_mean(Vector<float> out, Matrix<const float> x) {
    launch(column_mean_kernel,
           {.grid = blocks_for(x.columns, columns_per_block),
            .block = reduction_block,
            .shared_bytes = sizeof(ColumnSumStorage<1>),
            .stream = stream_,
            .name = "column_mean",
            .work = {4.0 * x.size() + 4.0 * x.columns, 1.0 * x.size()}},
           out.data, x.data, x.rows, x.columns);
}

void CudaBackend::count_dead_columns(Vector<float> out, Matrix<const float> x) {
    launch(count_dead_columns_kernel,
           {.grid = blocks_for(x.columns, columns_per_block),
            .block = reduction_block,
            .shared_bytes = sizeof(AliveStorage),
            .stream = stream_,
            .name = "count_dead_columns",
            .work = {4.0 * x.size(), 1.0 * x.size()}},
           out.data, x.data, x.rows, x.columns, reinterpret_cast<unsigned*>(workspace_.partial),
           workspace_.arrived);
}

void CudaBackend::finish_iteration(std::uint64_t* step, Matrix<float> history,
                                   Vector<const float> metrics) {
    const AdamList list = recorded_ ? recorded_->adams : AdamList{};
    launch(finish_iteration_kernel,
           {.grid = 1,
            .block = reduction_block,
            .stream = stream_,
            .name = "finish_iteration",
            .work = {8.0 * metrics.size + 16 + 8.0 * list.count, 0}},
           step, history.data, history.rows, metrics.data, metrics.size, adam_rates_, list);
    if (recorded_) {
        recorded_->finished = true;
    }
}

} // namespace patchforge::cuda
