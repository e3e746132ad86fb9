// Augmentation by moving and cutting pictures, forward and backward. All but cutout lay pictures out anew
// (resample_kernel.h) under a rule that every picture draws.
#include "kernels/cuda/philox.h"
#include "kernels/cuda/resample_kernel.h"
#include "kernels/resample_taps.h"

namespace patchforge::cuda {
namespace {

template <bool transpose>
struct DrawnTurn {
    static constexpr int taps = 1;
    RandomStream random;
    Extent extent;
};

template <bool transpose>
__device__ TurnRule rule_of_picture(const DrawnTurn<transpose>& rule, std::int64_t row) {
    int turn = static_cast<int>(PhiloxDraw(rule.random).word(row) >> 29);
    turn = rule.extent.height == rule.extent.width ? turn : turn & 3;
    return {transpose ? inverse_turn(turn) : turn, rule.extent.height, rule.extent.width};
}

// A number in 0 ... choices - 1.
__device__ int choose(const PhiloxDraw& draw, std::int64_t element, int choices) {
    return static_cast<int>(std::uint64_t{draw.word(element)} * static_cast<unsigned>(choices) >>
                            32);
}

template <bool transpose>
struct DrawnShift {
    static constexpr int taps = 1;
    RandomStream random;
    Extent extent;
    int limit;
};

template <bool transpose>
__device__ AxesRule<ShiftedTaps> rule_of_picture(const DrawnShift<transpose>& rule,
                                                 std::int64_t row) {
    const PhiloxDraw draw(rule.random);
    const int down = choose(draw, 2 * row, 2 * rule.limit + 1) - rule.limit;
    const int right = choose(draw, 2 * row + 1, 2 * rule.limit + 1) - rule.limit;
    return {{transpose ? -down : down, rule.extent.height},
            {transpose ? -right : right, rule.extent.width}};
}

__global__ void __launch_bounds__(256)
    cutout_kernel(float* y, const float* x, Extent extent, int side, RandomStream random,
                  std::int64_t rows) {
    begin_kernel();
    const PhiloxDraw draw(random);
    const int e = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    for (std::int64_t row = blockIdx.y; row < rows && e < extent.size(); row += gridDim.y) {
        const int top = choose(draw, 2 * row, extent.height + 1 - side % 2) - side / 2;
        const int left = choose(draw, 2 * row + 1, extent.width + 1 - side % 2) - side / 2;
        const int i = e / extent.width % extent.height, j = e % extent.width;
        const bool cut = i >= top && i < top + side && j >= left && j < left + side;
        y[row * extent.size() + e] = cut ? 0.0f : x[row * extent.size() + e];
    }
}

} // namespace

void CudaBackend::dihedral(Matrix<float> y, Matrix<const float> x, Extent extent,
                           const RandomStream& random) {
    cuda::resample("dihedral", y, x, nullptr, extent, extent, DrawnTurn<false>{random, extent}, {},
                   extent.size(), stream_);
}

void CudaBackend::dihedral_gradient(Matrix<float> dx, Matrix<const float> dy, Extent extent,
                                    const RandomStream& random) {
    cuda::resample("dihedral_gradient", dx, dy, nullptr, extent, extent,
                   DrawnTurn<true>{random, extent}, {}, extent.size(), stream_);
}

void CudaBackend::translate(Matrix<float> y, Matrix<const float> x, Extent extent, int limit,
                            const RandomStream& random) {
    cuda::resample("translate", y, x, nullptr, extent, extent,
                   DrawnShift<false>{random, extent, limit}, {}, extent.size(), stream_);
}

void CudaBackend::translate_gradient(Matrix<float> dx, Matrix<const float> dy, Extent extent,
                                     int limit, const RandomStream& random) {
    cuda::resample("translate_gradient", dx, dy, nullptr, extent, extent,
                   DrawnShift<true>{random, extent, limit}, {}, extent.size(), stream_);
}

void CudaBackend::cutout(Matrix<float> y, Matrix<const float> x, Extent extent, int side,
                         const RandomStream& random) {
    launch(cutout_kernel,
           {.grid = {blocks_for(extent.size(), 256),
                     static_cast<unsigned>(std::min<std::int64_t>(y.rows, 65535))},
            .stream = stream_,
            .name = "cutout",
            .work = {8.0 * y.size(), 40.0 * y.size()}},
           y.data, x.data, extent, side, random, y.rows);
}

} // namespace patchforge::cuda
