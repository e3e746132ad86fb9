// The arithmetic of convolutional layers: sizes of maps, of weights, and what they all are underneath.
#pragma once

#include <cstdint>
#include <string>

#include "kernels/extent.h"

namespace patchforge {

// Sizes as PyTorch's Conv2d, ConvTranspose2d, and Upsample(scale_factor=2, mode="nearest") followed by
// Conv2d(kernel_size=3, padding=1) have them. With k_eff = dilation (kernel - 1) + 1, along each axis:
//     convolution   out = floor((in + 2 padding - k_eff) / stride) + 1
//     transposed    out = (in - 1) stride - 2 padding + k_eff + output_padding
//     upsampled     out = 2 in + output_padding
enum class ConvolutionKind { convolution, transposed, upsampled };

struct ConvolutionShape {
    ConvolutionKind kind = ConvolutionKind::convolution;
    Extent in{1, 1, 1};
    int out_channels = 1;
    int kernel_height = 3, kernel_width = 3;
    int stride = 1;   // >= 1
    int padding = 0;  // lines of zeros around the input, >= 0
    int dilation = 1; // >= 1
    int groups = 1;   // 1, or all channels (depthwise): then in.channels = out_channels
    // Lines at the bottom and on the right that the formula leaves open. transposed: 0 <= op <
    // max(stride, dilation), which chooses among the sizes whose convolution gives `in`. upsampled: 0,
    // or -1, which crops the last ones (7 > 13). convolution: 0.
    int output_padding = 0;

    Extent out() const;
    std::int64_t inputs() const { return in.size(); }     // elements of a row of x
    std::int64_t outputs() const { return out().size(); } // elements of a row of y
    // Elements of the weights: [out, in / groups, kh, kw]; transposed [in, out / groups, kh, kw].
    std::int64_t weights() const;
    // Of one pass, forward or either gradient, a multiply-add counting two; upsampled as it is worked
    // out, with 4 weights an element and channel instead of 9. Taps in the padding count.
    double operations(std::int64_t batch) const;
    // Whether its products round their operands as the backend's precision says
    // (kernels/precision.h): those that fill tiles of tensor cores. Depthwise ones and those with few
    // channels are float32 in every precision.
    bool rounds(std::int64_t batch) const;

    // "convolution 3x50x50 > 16x25x25, kernel 4x4, stride 2, padding 1"
    std::string text() const;
    // std::invalid_argument with text(), what is wrong and what would do; a kernel larger than the
    // padded input among it.
    void validate() const;

    friend bool operator==(const ConvolutionShape&, const ConvolutionShape&) = default;
};

// All three are one thing: a window that moves over a large map and has an element of a small map for
// each of its positions.
//     gather      small[o, r, c] = sum over i, a, b of
//                 weight[o, i, a, b] large[i, stride r - padding + dilation a, stride c - padding + dilation b]
//     scatter     its transpose: large from small
//     correlate   weight[o, i, a, b] = sum over rows, r, c of small[o, r, c] large[i, ...]
// where what lies outside of the large map is zero. (Depthwise: o and i are one channel.)
//
//                 large, small    forward    input gradient    weights
//     convolution    x, y         gather     scatter           [small channels, large channels / groups, kh, kw]
//     transposed     y, x         scatter    gather            the same
//     upsampled      y, x         scatter    gather            folded
//
// The upsampled one folds its 3x3 into 4x4 with stride 2 and padding 1: along each axis, since input j
// stands at 2j and 2j + 1,
//     folded[i, o, .] = w[o, i, 2], w[o, i, 1] + w[o, i, 2], w[o, i, 0] + w[o, i, 1], w[o, i, 0]
// (16 products an input element and pair of channels instead of 36, and no upsampled map.) Its weight
// gradient is the folded one's, folded back.
struct ConvolutionWindow {
    Extent large, small;
    int kernel_height, kernel_width;
    int stride, padding, dilation, groups;

    std::int64_t weights() const {
        return std::int64_t{small.channels} * (large.channels / groups) * kernel_height *
               kernel_width;
    }
    // Whether it has one position, from which it sees all of the large map: a matrix product.
    bool is_product() const {
        return groups == 1 && padding == 0 && small.plane() == 1 && large.height == kernel_height &&
               large.width == kernel_width && (dilation == 1 || large.plane() == 1);
    }
};

ConvolutionWindow convolution_window(const ConvolutionShape& shape);

} // namespace patchforge
