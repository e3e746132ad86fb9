// Random fills. A thread draws the four words of one Philox counter and writes the four elements
// that belong to them: 4 B written and about 20 integer operations an element. The latent vectors
// of a batch of 64 are 4096 elements, less than a microsecond, predicted: what they cost is their launch.
#include "kernels/cuda/cuda_backend.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/instructions.h"
#include "kernels/cuda/philox.h"

namespace patchforge::cuda {
namespace {

template <bool vectors>
__global__ void __launch_bounds__(256)
    fill_uniform_kernel(float* out, std::int64_t count, float low, float high,
                        RandomStream random) {
    begin_kernel();
    const std::int64_t group = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
    std::uint32_t word[4];
    PhiloxDraw(random).words(word, static_cast<std::uint32_t>(group));
    float value[4];
    PATCHFORGE_UNROLL
    for (int i = 0; i < 4; ++i) {
        value[i] = fmaf(high - low, uniform_from_word(word[i]), low);
    }
    store_quad<vectors>(out + 4 * group, value, count - 4 * group);
}

template <bool vectors>
__global__ void __launch_bounds__(256)
    fill_normal_kernel(float* out, std::int64_t count, float mean, float deviation,
                       RandomStream random) {
    begin_kernel();
    const std::int64_t group = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
    std::uint32_t word[4];
    PhiloxDraw(random).words(word, static_cast<std::uint32_t>(group));
    float value[4];
    standard_normals(value, word);
    PATCHFORGE_UNROLL
    for (int i = 0; i < 4; ++i) {
        value[i] = fmaf(deviation, value[i], mean);
    }
    store_quad<vectors>(out + 4 * group, value, count - 4 * group);
}

template <bool vectors>
__global__ void __launch_bounds__(256) fill_kernel(float* out, std::int64_t count, float value) {
    begin_kernel();
    const std::int64_t first = 4 * (std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x);
    const float quad[4] = {value, value, value, value};
    store_quad<vectors>(out + first, quad, count - first);
}

LaunchShape fill_shape(Vector<float> out, Stream stream, const char* name) {
    return {.grid = blocks_for(out.size, 4 * 256),
            .stream = stream,
            .name = name,
            .work = {4.0 * out.size, 0}};
}

} // namespace

void CudaBackend::fill_uniform(Vector<float> out, float low, float high,
                               const RandomStream& random) {
    const bool vectors = quad_access(out.size, {out.data});
    launch(vectors ? fill_uniform_kernel<true> : fill_uniform_kernel<false>,
           fill_shape(out, stream_, "fill_uniform"), out.data, out.size, low, high, random);
}

void CudaBackend::fill_normal(Vector<float> out, float mean, float deviation,
                              const RandomStream& random) {
    const bool vectors = quad_access(out.size, {out.data});
    launch(vectors ? fill_normal_kernel<true> : fill_normal_kernel<false>,
           fill_shape(out, stream_, "fill_normal"), out.data, out.size, mean, deviation, random);
}

void CudaBackend::fill(Vector<float> out, float value) {
    const bool vectors = quad_access(out.size, {out.data});
    launch(vectors ? fill_kernel<true> : fill_kernel<false>, fill_shape(out, stream_, "fill"),
           out.data, out.size, value);
}

} // namespace patchforge::cuda
