// Adam for gradients that lie in memory (biases on their own, accumulated gradients), and the
// moving average of weights.
//
//     adam             reads w, m, v, g, writes w, m, v: 28 B an element. All 4.0 M parameters of
//                      the default GAN: 112 MB, predicted 37 us at 3.0 TB/s. The fused form in
//                      linear_weight_gradient.cu moves 24 B and is what training uses.
//     adam_rates       one block; see adam_rates.h
//     moving_average   reads both, writes one: 12 B an element.
//
// The moments are read and written with the evict-first hint: nothing reads them again before the
// next iteration, and 32 MB of them would push the weights out of L2.
#include "kernels/cuda/adam_rates.h"
#include "kernels/cuda/adam_update.h"
#include "kernels/cuda/cuda_backend.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/instructions.h"

namespace patchforge::cuda {
namespace {

template <bool vectors>
__global__ void __launch_bounds__(256)
    adam_kernel(AdamTensor tensor, const float* gradient, std::int64_t count, AdamConstants adam) {
    begin_kernel();
    const std::int64_t first = 4 * (std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x);
    const std::int64_t available = count - first;
    float w[4], m[4], v[4], g[4];
    load_quad<vectors>(w, tensor.value.data + first, available);
    load_quad<vectors, Reuse::none>(m, tensor.first_moment.data + first, available);
    load_quad<vectors, Reuse::none>(v, tensor.second_moment.data + first, available);
    load_quad<vectors, Reuse::none>(g, gradient + first, available);
    const AdamUpdate update(adam);
    update.apply(w, m, v, g);
    store_quad<vectors>(tensor.value.data + first, w, available);
    store_quad<vectors, Reuse::none>(tensor.first_moment.data + first, m, available);
    store_quad<vectors, Reuse::none>(tensor.second_moment.data + first, v, available);
}

__global__ void __launch_bounds__(32)
    adam_rates_kernel(AdamRates* rates, const __grid_constant__ AdamList list) {
    begin_kernel();
    if (static_cast<int>(threadIdx.x) < list.count) {
        const Adam& adam = list.adam[threadIdx.x];
        rates[threadIdx.x] = adam_rates::of(adam, adam.step.value());
    }
}

template <bool vectors>
__global__ void __launch_bounds__(256)
    moving_average_kernel(float* average, const float* value, std::int64_t count,
                          MovingAverage rule) {
    begin_kernel();
    const float decay = rule.kept();
    const std::int64_t first = 4 * (std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x);
    float mean[4], current[4];
    load_quad<vectors>(mean, average + first, count - first);
    load_quad<vectors>(current, value + first, count - first);
    PATCHFORGE_UNROLL
    for (int i = 0; i < 4; ++i) {
        mean[i] = fmaf(decay, mean[i], (1.0f - decay) * current[i]);
    }
    store_quad<vectors>(average + first, mean, count - first);
}

} // namespace

void CudaBackend::adam(AdamTensor tensor, Vector<const float> gradient, const Adam& adam) {
    const std::int64_t count = tensor.value.size;
    const bool vectors = quad_access(count, {tensor.value.data, tensor.first_moment.data,
                                             tensor.second_moment.data, gradient.data});
    launch(vectors ? adam_kernel<true> : adam_kernel<false>,
           {.grid = blocks_for(count, 4 * 256),
            .stream = stream_,
            .name = "adam",
            .work = {28.0 * count, 12.0 * count}},
           tensor, gradient.data, count, constants_of(adam));
}

void launch_adam_rates(AdamRates* rates, const AdamList& list, const Stream& stream) {
    if (list.count > 0) {
        launch(adam_rates_kernel,
               {.grid = 1,
                .block = 32,
                .stream = stream,
                .name = "adam_rates",
                .work = {16.0 * list.count, 0}},
               rates, list);
    }
}

void CudaBackend::moving_average(Vector<float> average, Vector<const float> value,
                                 const MovingAverage& rule) {
    const std::int64_t count = average.size;
    const bool vectors = quad_access(count, {average.data, value.data});
    launch(vectors ? moving_average_kernel<true> : moving_average_kernel<false>,
           {.grid = blocks_for(count, 4 * 256),
            .stream = stream_,
            .name = "moving_average",
            .work = {12.0 * count, 3.0 * count}},
           average.data, value.data, count, rule);
}

} // namespace patchforge::cuda
