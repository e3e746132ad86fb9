// Pictures laid out anew: a thread an output pixel, which adds the few input pixels that its rule names.
// 4 B written and mostly 4 B read an element; the lines around a pixel are in L1.
#pragma once

#include <algorithm>

#include "kernels/cuda/cuda_backend.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/epilogue.h"
#include "kernels/cuda/instructions.h"
#include "kernels/extent.h"

namespace patchforge::cuda {

struct Pixel {
    int channel, row, column;
};

// A rule has `taps`; read(pixel, t, weight) makes an output pixel the input pixel of its tap t, or says
// false where that tap reads nothing. Rules that every picture draws for itself are drawn here.
template <class Rule>
__device__ const Rule& rule_of_picture(const Rule& rule, std::int64_t) {
    return rule;
}

// The element [i, j] under a turn of kernels/resample.h; height and width are the input's.
struct TurnRule {
    static constexpr int taps = 1;
    int turn, height, width;

    __device__ bool read(Pixel& pixel, int, float&) const {
        const int row = turn & 4 ? pixel.column : pixel.row;
        const int column = turn & 4 ? pixel.row : pixel.column;
        pixel.row = turn & 2 ? height - 1 - row : row;
        pixel.column = turn & 1 ? width - 1 - column : column;
        return true;
    }
};

// Taps along both axes.
template <class Taps>
struct AxesRule {
    static constexpr int taps = Taps::taps * Taps::taps;
    Taps vertical, horizontal;

    __device__ bool read(Pixel& pixel, int t, float& weight) const {
        const int down = t / Taps::taps, right = t % Taps::taps;
        pixel.row = vertical.at(pixel.row, down);
        pixel.column = horizontal.at(pixel.column, right);
        weight = Taps::weight(down) * Taps::weight(right);
        return pixel.row >= 0 && pixel.column >= 0;
    }
};

// y = the sum of the taps, times previous'(origin) for the epilogue that made `origin`, if there is one.
// Grid x over the elements of a picture, y over the pictures.
template <class Rule>
__global__ void __launch_bounds__(256)
    resample_kernel(float* y, const float* x, const float* origin, Extent to, Extent from,
                    Rule rule_of_all, std::int64_t rows, Epilogue description) {
    begin_kernel();
    const ElementEpilogue previous(description);
    const int e = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    const int plane = to.height * to.width;
    for (std::int64_t row = blockIdx.y; row < rows && e < to.size(); row += gridDim.y) {
        const auto rule = rule_of_picture(rule_of_all, row);
        const Pixel pixel = {e / plane, e / to.width % to.height, e % to.width};
        const float* picture = x + row * from.size();
        float sum = 0.0f;
        PATCHFORGE_UNROLL
        for (int t = 0; t < Rule::taps; ++t) {
            Pixel read = pixel;
            float weight = 1.0f;
            if (rule.read(read, t, weight)) {
                sum += weight *
                       picture[(read.channel * from.height + read.row) * from.width + read.column];
            }
        }
        const std::int64_t element = row * to.size() + e;
        if (origin != nullptr) {
            sum *= previous.derivative(origin[element], element);
        }
        y[element] = sum;
    }
}

// `pixels` of x are read in every row.
template <class Rule>
void resample(const char* name, Matrix<float> y, Matrix<const float> x, const float* origin,
              Extent to, Extent from, const Rule& rule, const Epilogue& previous, double pixels,
              Stream stream) {
    launch(resample_kernel<Rule>,
           {.grid = {blocks_for(to.size(), 256),
                     static_cast<unsigned>(std::min<std::int64_t>(y.rows, 65535))},
            .stream = stream,
            .name = name,
            .work = {4.0 * x.rows * pixels + (origin ? 8.0 : 4.0) * y.size(),
                     2.0 * Rule::taps * y.size()}},
           y.data, x.data, origin, to, from, rule, y.rows, previous);
}

} // namespace patchforge::cuda
