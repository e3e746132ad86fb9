// Logits of attacks (formulas in kernels/operations/perturb.h): a thread a row, 4 or 8 B a logit. A
// batch has a few hundred rows of a few classes, so the launch should cost more than the work.
#include "kernels/cuda/cuda_backend.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/instructions.h"

namespace patchforge::cuda {
namespace {

constexpr unsigned threads = 128;

__device__ std::int64_t row_of_thread() {
    return std::int64_t{blockIdx.x} * threads + threadIdx.x;
}

__global__ void __launch_bounds__(threads)
    margin_loss_kernel(float* d_logit, float* loss, const float* logit, const std::int32_t* label,
                       RowValue scale, float low, float high, std::int64_t rows,
                       std::int64_t classes) {
    begin_kernel();
    const std::int64_t row = row_of_thread();
    if (row < rows) {
        const float* z = logit + row * classes;
        const int own = label[row];
        int rival = own == 0 ? 1 : 0;
        for (int c = rival + 1; c < classes; ++c) {
            rival = c != own && z[c] > z[rival] ? c : rival;
        }
        const float margin = z[rival] - z[own];
        if (loss) {
            loss[row] = margin;
        }
        if (d_logit) {
            const float slope = margin <= low || margin >= high ? 0.0f : scale.at(row);
            for (int c = 0; c < classes; ++c) {
                d_logit[row * classes + c] = c == rival ? slope : c == own ? -slope : 0.0f;
            }
        }
    }
}

struct Softmax {
    float largest;
    float total;

    __device__ Softmax(const float* z, std::int64_t classes) : largest(z[0]), total(0.0f) {
        for (int c = 1; c < classes; ++c) {
            largest = fmaxf(largest, z[c]);
        }
        for (int c = 0; c < classes; ++c) {
            total += expf(z[c] - largest);
        }
    }
    __device__ float of(float z) const { return expf(z - largest) / total; }
};

__device__ float distance_slope(float d, int power) {
    return power == 1 ? static_cast<float>((d > 0.0f) - (d < 0.0f)) : 2.0f * d;
}

__global__ void __launch_bounds__(threads)
    probability_distance_kernel(float* d_logit, float* loss, const float* logit,
                                const std::int32_t* label, int power, float scale,
                                std::int64_t rows, std::int64_t classes) {
    begin_kernel();
    const std::int64_t row = row_of_thread();
    if (row < rows) {
        const float* z = logit + row * classes;
        const int own = label[row];
        const Softmax softmax(z, classes);
        // 1 - p of the label as the sum of the others': no digits are lost when p is near 1.
        float others = 0.0f;
        for (int c = 0; c < classes; ++c) {
            others += c == own ? 0.0f : softmax.of(z[c]);
        }
        float sum = 0.0f;
        float mean_slope = 0.0f;
        for (int c = 0; c < classes; ++c) {
            const float p = softmax.of(z[c]);
            const float d = c == own ? -others : p;
            sum += power == 1 ? fabsf(d) : d * d;
            mean_slope += p * distance_slope(d, power);
        }
        if (loss) {
            loss[row] = sum;
        }
        if (d_logit) {
            for (int c = 0; c < classes; ++c) {
                const float p = softmax.of(z[c]);
                const float d = c == own ? -others : p;
                d_logit[row * classes + c] = scale * p * (distance_slope(d, power) - mean_slope);
            }
        }
    }
}

__global__ void __launch_bounds__(threads)
    combine_logits_kernel(float* total, const float* member, float weight, bool accumulate,
                          std::int64_t rows, std::int64_t classes, bool binary) {
    begin_kernel();
    const std::int64_t row = row_of_thread();
    if (row < rows) {
        for (int c = 0; c < classes; ++c) {
            const float logit = !binary ? member[row * classes + c] : c == 1 ? member[row] : 0.0f;
            float* sum = total + row * classes + c;
            *sum = (accumulate ? *sum : 0.0f) + weight * logit;
        }
    }
}

__global__ void __launch_bounds__(threads)
    split_logit_gradient_kernel(float* d_member, const float* d_total, float weight,
                                std::int64_t rows, std::int64_t classes, bool binary) {
    begin_kernel();
    const std::int64_t row = row_of_thread();
    if (row < rows) {
        if (binary) {
            d_member[row] = weight * d_total[row * classes + 1];
        } else {
            for (int c = 0; c < classes; ++c) {
                d_member[row * classes + c] = weight * d_total[row * classes + c];
            }
        }
    }
}

__global__ void __launch_bounds__(threads)
    softmax_rows_kernel(float* probability, const float* logit, std::int64_t rows,
                        std::int64_t classes) {
    begin_kernel();
    const std::int64_t row = row_of_thread();
    if (row < rows) {
        const float* z = logit + row * classes;
        const Softmax softmax(z, classes);
        for (int c = 0; c < classes; ++c) {
            probability[row * classes + c] = softmax.of(z[c]);
        }
    }
}

__global__ void __launch_bounds__(threads)
    argmax_rows_kernel(std::int32_t* out, const float* values, std::int64_t rows,
                       std::int64_t columns) {
    begin_kernel();
    const std::int64_t row = row_of_thread();
    if (row < rows) {
        int best = 0;
        for (int c = 1; c < columns; ++c) {
            best = values[row * columns + c] > values[row * columns + best] ? c : best;
        }
        out[row] = best;
    }
}

LaunchShape logit_shape(std::int64_t rows, std::int64_t columns, Stream stream, const char* name) {
    const auto size = static_cast<double>(rows * columns);
    return {.grid = blocks_for(rows, threads),
            .block = threads,
            .stream = stream,
            .name = name,
            .work = {8.0 * size, 10.0 * size}};
}

} // namespace

void CudaBackend::margin_loss(Matrix<float> d_logit, Vector<float> loss, Matrix<const float> logit,
                              Vector<const std::int32_t> label, RowValue scale, float low,
                              float high) {
    launch(margin_loss_kernel, logit_shape(logit.rows, logit.columns, stream_, "margin_loss"),
           d_logit.data, loss.data, logit.data, label.data, scale, low, high, logit.rows,
           logit.columns);
}

void CudaBackend::probability_distance(Matrix<float> d_logit, Vector<float> loss,
                                       Matrix<const float> logit, Vector<const std::int32_t> label,
                                       int power, float scale) {
    launch(probability_distance_kernel,
           logit_shape(logit.rows, logit.columns, stream_, "probability_distance"), d_logit.data,
           loss.data, logit.data, label.data, power, scale, logit.rows, logit.columns);
}

void CudaBackend::combine_logits(Matrix<float> total, Matrix<const float> member, float weight,
                                 bool accumulate) {
    launch(combine_logits_kernel, logit_shape(total.rows, total.columns, stream_, "combine_logits"),
           total.data, member.data, weight, accumulate, total.rows, total.columns,
           member.columns != total.columns);
}

void CudaBackend::split_logit_gradient(Matrix<float> d_member, Matrix<const float> d_total,
                                       float weight) {
    launch(split_logit_gradient_kernel,
           logit_shape(d_total.rows, d_total.columns, stream_, "split_logit_gradient"),
           d_member.data, d_total.data, weight, d_total.rows, d_total.columns,
           d_member.columns != d_total.columns);
}

void CudaBackend::softmax_rows(Matrix<float> probability, Matrix<const float> logit) {
    launch(softmax_rows_kernel, logit_shape(logit.rows, logit.columns, stream_, "softmax_rows"),
           probability.data, logit.data, logit.rows, logit.columns);
}

void CudaBackend::argmax_rows(Vector<std::int32_t> out, Matrix<const float> values) {
    launch(argmax_rows_kernel, logit_shape(values.rows, values.columns, stream_, "argmax_rows"),
           out.data, values.data, values.rows, values.columns);
}

} // namespace patchforge::cuda
