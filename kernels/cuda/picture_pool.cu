// The pool of earlier fakes: a thread a column goes through the rows in their order, so that a picture
// which one row leaves behind may be shown by the next. 12 B an element while the pool fills, and as many
// in the mean when it is full, where half of the rows read and write a picture of it.
#include "kernels/cuda/cuda_backend.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/instructions.h"
#include "kernels/cuda/philox.h"

namespace patchforge::cuda {
namespace {

__global__ void __launch_bounds__(256)
    exchange_pictures_kernel(float* shown, float* pool, const float* fresh, std::int64_t rows,
                             std::int64_t pixels, std::int64_t slots, RandomStream random) {
    begin_kernel();
    const std::int64_t c = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
    const PhiloxDraw draw(random);
    const std::uint64_t before = random.draw.value() * static_cast<std::uint64_t>(rows);
    for (std::int64_t b = 0; b < rows && c < pixels; ++b) {
        const std::uint64_t n = before + static_cast<std::uint64_t>(b);
        const float picture = fresh[b * pixels + c];
        float out = picture;
        if (n < static_cast<std::uint64_t>(slots)) {
            pool[static_cast<std::int64_t>(n) * pixels + c] = picture;
        } else {
            std::uint32_t four[4]; // of rows 2 k and 2 k + 1
            draw.words(four, static_cast<std::uint32_t>(b / 2));
            const std::uint32_t swaps = b % 2 ? four[2] : four[0];
            const std::uint64_t place = b % 2 ? four[3] : four[1];
            if (swaps >> 31) {
                float* const kept = pool + static_cast<std::int64_t>(
                                               place * static_cast<std::uint64_t>(slots) >> 32) *
                                               pixels;
                out = kept[c];
                kept[c] = picture;
            }
        }
        shown[b * pixels + c] = out;
    }
}

} // namespace

void CudaBackend::exchange_pictures(Matrix<float> shown, Matrix<float> pool,
                                    Matrix<const float> fresh, const RandomStream& random) {
    launch(exchange_pictures_kernel,
           {.grid = blocks_for(fresh.columns, 256),
            .stream = stream_,
            .name = "exchange_pictures",
            .work = {12.0 * fresh.size(), 0}},
           shown.data, pool.data, fresh.data, fresh.rows, fresh.columns, pool.rows, random);
}

} // namespace patchforge::cuda
