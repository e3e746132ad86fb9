// Layers to test convolutions on: the sizes that tissue, its networks and their tails come in, around
// every tile and vector width, and what only rare layers have.
#pragma once

#include <vector>

#include "kernels/convolution_shape.h"

namespace patchforge::testing {

struct ConvolutionCase {
    std::int64_t batch;
    ConvolutionShape shape;
};

inline const std::vector<ConvolutionCase>& convolution_cases() {
    using enum ConvolutionKind;
    // kind, in channels, height, width, out channels, kernel height, width, stride, padding, dilation,
    // groups, output padding
    static const std::vector<ConvolutionCase> cases{
        {1, {convolution, 1, 1, 1, 1, 1, 1}},
        {3, {convolution, 5, 1, 1, 7, 3, 3, 1, 1}},
        {2, {convolution, 3, 50, 50, 16, 4, 4, 2, 1}},
        {1, {convolution, 3, 49, 49, 5, 3, 3, 1, 1}},
        {1, {convolution, 3, 50, 49, 19, 3, 3, 1, 1}},
        {1, {convolution, 4, 48, 48, 3, 7, 7, 1, 3}},
        {2, {convolution, 16, 28, 28, 3, 3, 3, 1, 1}},
        {1, {convolution, 3, 96, 96, 8, 3, 3, 2, 1}},
        {1, {convolution, 16, 32, 32, 16, 3, 3, 1, 1}},
        {2, {convolution, 16, 25, 25, 32, 3, 3, 2, 1}},
        {5, {convolution, 17, 7, 7, 33, 3, 3, 2, 1}},
        {3, {convolution, 32, 13, 13, 48, 3, 3, 1, 1}},
        {17, {convolution, 16, 7, 7, 16, 3, 3, 1, 1}},
        {65, {convolution, 24, 4, 4, 20, 3, 3, 1, 1}},
        {9, {convolution, 20, 4, 4, 19, 4, 4, 1, 0}},
        {2, {convolution, 33, 12, 12, 16, 4, 4, 2, 1}},
        {2, {convolution, 16, 25, 25, 16, 4, 4, 1, 1}},
        {2, {convolution, 6, 11, 9, 7, 3, 3, 1, 2, 2}},
        {2, {convolution, 16, 13, 11, 16, 5, 5, 2, 2}},
        {2, {convolution, 3, 4, 7, 4, 1, 5, 1, 2}},
        {2, {convolution, 18, 9, 10, 16, 1, 1, 1, 0}},
        {2, {convolution, 16, 9, 10, 8, 1, 1, 2, 0}},
        {1, {convolution, 3, 20, 17, 4, 2, 2, 3, 0}},
        {1, {convolution, 2, 3, 5, 3, 3, 3, 1, 4}},
        {1, {convolution, 8, 46, 46, 65, 1, 1, 1, 0}},
        {1, {convolution, 65, 46, 46, 8, 1, 1, 1, 0}},
        {1, {convolution, 1, 20, 18, 2, 17, 16, 1, 8}},
        {2, {convolution, 32, 25, 25, 32, 3, 3, 1, 1, 1, 32}},
        {3, {convolution, 5, 8, 9, 5, 3, 3, 2, 1, 1, 5}},
        {9, {transposed, 20, 1, 1, 24, 4, 4, 1, 0}},
        {2, {transposed, 32, 7, 7, 16, 3, 3, 2, 1}},
        {1, {transposed, 16, 25, 25, 8, 3, 3, 2, 1, 1, 1, 1}},
        {2, {transposed, 16, 25, 25, 3, 4, 4, 2, 1}},
        {2, {transposed, 3, 6, 5, 17, 5, 5, 2, 2, 1, 1, 1}},
        {1, {transposed, 2, 5, 3, 4, 3, 2, 3, 0, 1, 1, 2}},
        {1, {transposed, 4, 5, 6, 3, 3, 3, 1, 1, 2, 1, 1}},
        {2, {transposed, 6, 7, 5, 6, 4, 4, 2, 1, 1, 6}},
        {3, {upsampled, 1, 1, 1, 1, 3, 3, 1, 1, 1, 1, -1}},
        {3, {upsampled, 32, 7, 7, 16, 3, 3, 1, 1, 1, 1, -1}},
        {2, {upsampled, 17, 6, 5, 16, 3, 3, 1, 1}},
        {1, {upsampled, 16, 25, 25, 3, 3, 3, 1, 1}},
        {2, {upsampled, 3, 13, 13, 9, 3, 3, 1, 1, 1, 1, -1}},
        {1, {convolution, 16, 5, 7, 40, 3, 3, 1, 1}},
        {1, {convolution, 2, 11, 13, 3, 3, 3, 5, 1}},
        // Batches that fill a vector, and almost, with maps that do not.
        {31, {convolution, 20, 7, 7, 24, 3, 3, 2, 1}},
        {16, {convolution, 9, 5, 6, 10, 3, 3, 1, 1}},
        {31, {transposed, 12, 7, 7, 9, 3, 3, 2, 1}},
        {16, {upsampled, 16, 7, 7, 8, 3, 3, 1, 1, 1, 1, -1}},
        // More channels of interleaved pictures than are laid out at once, for a few of them and for many.
        {15, {convolution, 37, 13, 13, 9, 3, 3, 2, 1}},
        {49, {convolution, 37, 13, 13, 2, 3, 3, 2, 1}},
        // One picture with few positions.
        {1, {convolution, 19, 7, 7, 37, 3, 3, 2, 1}},
        {1, {upsampled, 18, 3, 4, 21, 3, 3, 1, 1, 1, 1, -1}},
        // Few channels to which all classes of a scatter go as rows of one product; many channels read at once.
        {5, {transposed, 6, 12, 11, 2, 6, 3, 3, 1}},
        {4, {upsampled, 5, 9, 9, 3, 3, 3, 1, 1, 1, 1, -1}},
        {4, {convolution, 2, 21, 20, 19, 4, 4, 2, 1}},
        // Interleaved pictures that each thread lays out, block by block of channels.
        {15, {convolution, 37, 13, 13, 20, 3, 3, 2, 1}},
    };
    return cases;
}

} // namespace patchforge::testing
