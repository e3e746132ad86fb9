// Sizes of maps, and layers that are refused.
#include "kernels/convolution_shape.h"

#include <gtest/gtest.h>

#include <stdexcept>

namespace patchforge {
namespace {

using enum ConvolutionKind;

int out_of(ConvolutionKind kind, int in, int kernel, int stride, int padding,
           int output_padding = 0) {
    const ConvolutionShape shape{kind,   1,      in,      in, 1, kernel,
                                 kernel, stride, padding, 1,  1, output_padding};
    shape.validate();
    EXPECT_EQ(shape.out().height, shape.out().width);
    return shape.out().height;
}

TEST(ConvolutionShape, HalvesFifty) {
    const int in[] = {50, 25, 13, 7, 12, 6};
    const int k4[] = {25, 12, 6, 3, 6, 3}, k3[] = {25, 13, 7, 4, 6, 3};
    for (int n = 0; n < 6; ++n) {
        EXPECT_EQ(out_of(convolution, in[n], 4, 2, 1), k4[n]) << in[n];
        EXPECT_EQ(out_of(convolution, in[n], 3, 2, 1), k3[n]) << in[n];
        EXPECT_EQ(out_of(convolution, in[n], 5, 2, 2), k3[n]) << in[n];
    }
}

TEST(ConvolutionShape, ComesBackToFifty) {
    const int in[] = {3, 4, 6, 7, 12, 13, 25};
    const int k4[] = {6, 8, 12, 14, 24, 26, 50}, k3[] = {5, 7, 11, 13, 23, 25, 49};
    for (int n = 0; n < 7; ++n) {
        EXPECT_EQ(out_of(transposed, in[n], 4, 2, 1), k4[n]) << in[n];
        EXPECT_EQ(out_of(transposed, in[n], 3, 2, 1), k3[n]) << in[n];
        EXPECT_EQ(out_of(transposed, in[n], 3, 2, 1, 1), k3[n] + 1) << in[n];
        EXPECT_EQ(out_of(upsampled, in[n], 3, 1, 1), 2 * in[n]) << in[n];
        EXPECT_EQ(out_of(upsampled, in[n], 3, 1, 1, -1), 2 * in[n] - 1) << in[n];
    }
}

TEST(ConvolutionShape, CountsWeightsAndOperations) {
    const ConvolutionShape first{convolution, 3, 50, 40, 16, 4, 4, 2, 1};
    EXPECT_EQ(first.inputs(), 6000);
    EXPECT_EQ(first.outputs(), 16 * 25 * 20);
    EXPECT_EQ(first.weights(), 768);
    EXPECT_EQ(first.operations(7), 2.0 * 7 * 768 * 500);
    const ConvolutionShape depthwise{convolution, 32, 25, 25, 32, 3, 3, 1, 1, 1, 32};
    EXPECT_EQ(depthwise.weights(), 288);
    EXPECT_EQ(depthwise.operations(1), 2.0 * 288 * 625);
    const ConvolutionShape upsampled_layer{upsampled, 8, 7, 6, 4, 3, 3, 1, 1};
    EXPECT_EQ(upsampled_layer.weights(), 288);
    EXPECT_EQ(upsampled_layer.operations(1), 2.0 * 8 * 4 * 16 * 42);
    EXPECT_TRUE((ConvolutionShape{convolution, 8, 3, 3, 8, 3, 3, 1, 1}.rounds(1)));
    EXPECT_FALSE((ConvolutionShape{convolution, 8, 3, 3, 8, 3, 3, 1, 0}.rounds(8)));
    EXPECT_FALSE((ConvolutionShape{convolution, 3, 50, 50, 64, 3, 3, 1, 1}.rounds(64)));
    EXPECT_FALSE(depthwise.rounds(64));
}

TEST(ConvolutionShape, KnowsMatrixProducts) {
    const auto is_product = [](const ConvolutionShape& shape) {
        return convolution_window(shape).is_product();
    };
    EXPECT_TRUE(is_product({convolution, 20, 4, 4, 19, 4, 4}));
    EXPECT_TRUE(is_product({transposed, 20, 1, 1, 19, 4, 3}));
    EXPECT_TRUE(is_product({convolution, 20, 1, 1, 19, 1, 1, 1, 0, 3}));
    EXPECT_FALSE(is_product({convolution, 20, 4, 4, 19, 3, 3, 2}));
    EXPECT_FALSE(is_product({convolution, 20, 4, 4, 19, 4, 4, 2, 1}));
    EXPECT_FALSE(is_product({convolution, 5, 4, 4, 5, 4, 4, 1, 0, 1, 5}));
    EXPECT_FALSE(is_product({transposed, 20, 1, 1, 19, 4, 3, 2, 0, 1, 1, 1}));
}

std::string refusal(const ConvolutionShape& shape) {
    try {
        shape.validate();
    } catch (const std::invalid_argument& error) {
        return error.what();
    }
    return "accepted";
}

TEST(ConvolutionShape, RefusesWhatCannotBe) {
    EXPECT_EQ(
        refusal({convolution, 3, 3, 3, 1, 4, 4}),
        "convolution: a kernel of 4 with dilation 1 is 4 high, the picture with padding 0 only "
        "3; use a smaller kernel or more padding");
    EXPECT_EQ(
        refusal({convolution, 3, 5, 4, 1, 3, 3, 1, 0, 2}),
        "convolution: a kernel of 3 with dilation 2 is 5 wide, the picture with padding 0 only "
        "4; use a smaller kernel or more padding");
    EXPECT_EQ(refusal({convolution, 3, 3, 3, 1, 4, 4, 1, 1}), "accepted");
    EXPECT_EQ(refusal({convolution, 0, 3, 3, 1, 3, 3}),
              "convolution: input channels 0; use 1 to 65536");
    EXPECT_EQ(refusal({convolution, 3, 3, 3, 1, 3, 3, 0}), "convolution: stride 0; use 1 to 4096");
    EXPECT_EQ(
        refusal({convolution, 4, 3, 3, 8, 3, 3, 1, 1, 1, 4}),
        "convolution: 4 groups of 4 > 8 channels; use 1, or 4 with as many channels out as in "
        "(depthwise)");
    EXPECT_EQ(refusal({convolution, 3, 5, 5, 1, 3, 3, 2, 1, 1, 1, 1}),
              "convolution: output padding 1; only a transposed one has that");
    EXPECT_EQ(
        refusal({transposed, 3, 5, 5, 1, 3, 3, 2, 1, 1, 1, 2}),
        "transposed convolution: output padding 2; it is at least 0 and less than stride (2) or "
        "dilation (1)");
    EXPECT_EQ(
        refusal({transposed, 3, 1, 1, 1, 3, 3, 1, 2}),
        "transposed convolution: 1x1 gives -1x-1; use less padding than 2, or a larger kernel");
    EXPECT_EQ(refusal({upsampled, 3, 5, 5, 1, 5, 5, 1, 2}),
              "upsampled convolution 3x5x5 > 1x10x10, kernel 5x5, padding 2: it takes kernel 3x3, "
              "stride 1, padding 1, dilation 1 and groups 1");
    EXPECT_EQ(
        refusal({upsampled, 3, 5, 5, 1, 3, 3, 1, 1, 1, 1, 1}),
        "upsampled convolution: output padding 1; use 0, or -1 to crop the last row and column");
}

} // namespace
} // namespace patchforge
