// Losses on logits with their gradients (formulas in kernels/operations/loss.h).
//
//     discriminator_loss, generator_loss   one block: a few thousand logits at most, 8 B each, and
//                                          five sums. The launch costs more, predicted.
//     binary_cross_entropy                 a thread a row, about 16 B a row
//     softmax_cross_entropy                a warp a row, 8 B a logit
#include "kernels/cuda/block_sum.h"
#include "kernels/cuda/cuda_backend.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/instructions.h"

namespace patchforge::cuda {
namespace {

__global__ void __launch_bounds__(reduction_block)
    discriminator_loss_kernel(float* d_logit, float* metrics, const float* logit,
                              std::int64_t real_count, std::int64_t fake_count, GanLoss loss,
                              float real_label) {
    begin_kernel();
    using Metric = DiscriminatorMetrics;
    auto& storage = shared<BlockSumStorage<Metric::count>>();
    double total[Metric::count] = {};
    for (std::int64_t i = threadIdx.x; i < real_count + fake_count; i += blockDim.x) {
        const bool is_real = i < real_count;
        const float value = logit[i];
        const auto term = gan_loss::discriminator_term(loss, value, is_real, real_label);
        const float rows = static_cast<float>(is_real ? real_count : fake_count);
        d_logit[i] = term.slope / rows;
        total[Metric::loss_real] += is_real ? term.loss : 0.0f;
        total[Metric::loss_fake] += is_real ? 0.0f : term.loss;
        total[Metric::probability_real] += is_real ? gan_loss::sigmoid(value) : 0.0f;
        total[Metric::probability_fake] += is_real ? 0.0f : gan_loss::sigmoid(value);
        total[Metric::accuracy] += (is_real ? value > 0.0f : value <= 0.0f) ? 1.0 : 0.0;
    }
    sum_over_block(total, storage);
    if (threadIdx.x == 0) {
        const double real_rows = static_cast<double>(real_count);
        const double fake_rows = static_cast<double>(fake_count);
        const double rows[Metric::count] = {real_rows, fake_rows, real_rows, fake_rows,
                                            real_rows + fake_rows};
        for (int i = 0; i < Metric::count; ++i) {
            metrics[i] = static_cast<float>(total[i] / rows[i]);
        }
    }
}

__global__ void __launch_bounds__(reduction_block)
    generator_loss_kernel(float* d_logit, float* metrics, const float* logit, std::int64_t count,
                          GanLoss loss) {
    begin_kernel();
    using Metric = GeneratorMetrics;
    auto& storage = shared<BlockSumStorage<Metric::count>>();
    double total[Metric::count] = {};
    for (std::int64_t i = threadIdx.x; i < count; i += blockDim.x) {
        const auto term = gan_loss::generator_term(loss, logit[i]);
        d_logit[i] = term.slope / static_cast<float>(count);
        total[Metric::loss] += term.loss;
        total[Metric::probability_fake] += gan_loss::sigmoid(logit[i]);
    }
    sum_over_block(total, storage);
    if (threadIdx.x == 0) {
        for (int i = 0; i < Metric::count; ++i) {
            metrics[i] = static_cast<float>(total[i] / static_cast<double>(count));
        }
    }
}

__global__ void __launch_bounds__(256)
    binary_cross_entropy_kernel(float* d_logit, float* loss, const float* logit,
                                const std::int32_t* label, const float* class_weight, float scale,
                                std::int64_t count) {
    begin_kernel();
    const std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
    if (i < count) {
        const auto term = gan_loss::cross_entropy(logit[i], static_cast<float>(label[i]));
        if (loss != nullptr) {
            loss[i] = term.loss;
        }
        if (d_logit != nullptr) {
            const float weight = class_weight != nullptr ? class_weight[label[i]] : 1.0f;
            d_logit[i] = scale * weight * term.slope;
        }
    }
}

__global__ void __launch_bounds__(256)
    softmax_cross_entropy_kernel(float* d_logit, float* loss, const float* logit,
                                 const std::int32_t* label, const float* class_weight, float scale,
                                 std::int64_t rows, std::int64_t classes) {
    begin_kernel();
    const std::int64_t row = std::int64_t{blockIdx.x} * (blockDim.x / 32) + threadIdx.x / 32;
    if (row >= rows) {
        return; // a whole warp, and there are no barriers
    }
    const unsigned lane = threadIdx.x % 32;
    const float* of_row = logit + row * classes;
    float highest = -INFINITY;
    for (std::int64_t k = lane; k < classes; k += 32) {
        highest = fmaxf(highest, of_row[k]);
    }
    for (int distance = 16; distance > 0; distance /= 2) {
        highest = fmaxf(highest, __shfl_xor_sync(0xffffffffu, highest, distance));
    }
    float total = 0.0f;
    for (std::int64_t k = lane; k < classes; k += 32) {
        total += expf(of_row[k] - highest);
    }
    for (int distance = 16; distance > 0; distance /= 2) {
        total += __shfl_xor_sync(0xffffffffu, total, distance);
    }
    const std::int32_t truth = label[row];
    if (loss != nullptr && lane == 0) {
        loss[row] = logf(total) + (highest - of_row[truth]);
    }
    if (d_logit != nullptr) {
        const float factor = scale * (class_weight != nullptr ? class_weight[truth] : 1.0f);
        for (std::int64_t k = lane; k < classes; k += 32) {
            const float probability = expf(of_row[k] - highest) / total;
            d_logit[row * classes + k] = factor * (probability - (k == truth ? 1.0f : 0.0f));
        }
    }
}

} // namespace

void CudaBackend::discriminator_loss(Vector<float> d_logit, Vector<float> metrics,
                                     Vector<const float> logit, std::int64_t real_count,
                                     GanLoss loss, float real_label) {
    launch(discriminator_loss_kernel,
           {.grid = 1,
            .block = reduction_block,
            .shared_bytes = sizeof(BlockSumStorage<DiscriminatorMetrics::count>),
            .stream = stream_,
            .name = "discriminator_loss",
            .work = {8.0 * logit.size, 30.0 * logit.size}},
           d_logit.data, metrics.data, logit.data, real_count, logit.size - real_count, loss,
           real_label);
}

void CudaBackend::generator_loss(Vector<float> d_logit, Vector<float> metrics,
                                 Vector<const float> logit, GanLoss loss) {
    launch(generator_loss_kernel,
           {.grid = 1,
            .block = reduction_block,
            .shared_bytes = sizeof(BlockSumStorage<GeneratorMetrics::count>),
            .stream = stream_,
            .name = "generator_loss",
            .work = {8.0 * logit.size, 30.0 * logit.size}},
           d_logit.data, metrics.data, logit.data, logit.size, loss);
}

void CudaBackend::binary_cross_entropy(Vector<float> d_logit, Vector<float> loss,
                                       Vector<const float> logit, Vector<const std::int32_t> label,
                                       Vector<const float> class_weight, float scale) {
    launch(binary_cross_entropy_kernel,
           {.grid = blocks_for(logit.size, 256),
            .stream = stream_,
            .name = "binary_cross_entropy",
            .work = {8.0 * logit.size + 4.0 * d_logit.size + 4.0 * loss.size, 30.0 * logit.size}},
           d_logit.data_or_null(), loss.data_or_null(), logit.data, label.data,
           class_weight.data_or_null(), scale, logit.size);
}

void CudaBackend::softmax_cross_entropy(Matrix<float> d_logit, Vector<float> loss,
                                        Matrix<const float> logit, Vector<const std::int32_t> label,
                                        Vector<const float> class_weight, float scale) {
    launch(softmax_cross_entropy_kernel,
           {.grid = blocks_for(logit.rows, 256 / 32),
            .stream = stream_,
            .name = "softmax_cross_entropy",
            .work = {4.0 * logit.size() + 4.0 * d_logit.size() + 8.0 * logit.rows,
                     20.0 * logit.size()}},
           d_logit.data_or_null(), loss.data_or_null(), logit.data, label.data,
           class_weight.data_or_null(), scale, logit.rows, logit.columns);
}

} // namespace patchforge::cuda
