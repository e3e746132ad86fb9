// Pictures turned and mirrored: a thread a pixel, 8 B moved each; writes are coalesced, reads of
// turned pictures are not, but a picture's plane of 10 KB stays in L1.
#include "kernels/cuda/cuda_backend.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/instructions.h"
#include "kernels/cuda/philox.h"

namespace patchforge::cuda {
namespace {

__global__ void __launch_bounds__(256)
    dihedral_kernel(float* y, const float* x, Extent shape, RandomStream random, std::int64_t rows,
                    std::int64_t columns) {
    begin_kernel();
    const std::int64_t e = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
    if (e < rows * columns) {
        const std::int64_t b = e / columns;
        const std::uint32_t drawn = PhiloxDraw(random).word(b);
        const int pixel = static_cast<int>(e % columns);
        const int plane = pixel / (shape.height * shape.width) * (shape.height * shape.width);
        const int i = (pixel - plane) / shape.width;
        const int j = (pixel - plane) % shape.width;
        const bool swapped = shape.height == shape.width && (drawn >> 31 & 1) != 0;
        int row = swapped ? j : i;
        int column = swapped ? i : j;
        row = (drawn >> 30 & 1) != 0 ? shape.height - 1 - row : row;
        column = (drawn >> 29 & 1) != 0 ? shape.width - 1 - column : column;
        y[e] = x[b * columns + plane + row * shape.width + column];
    }
}

} // namespace

void CudaBackend::dihedral(Matrix<float> y, Matrix<const float> x, Extent shape,
                           const RandomStream& random) {
    launch(dihedral_kernel,
           {.grid = blocks_for(x.size(), 256),
            .stream = stream_,
            .name = "dihedral",
            .work = {8.0 * x.size(), 80.0 * x.size()}},
           y.data, x.data, shape, random, x.rows, x.columns);
}

} // namespace patchforge::cuda
