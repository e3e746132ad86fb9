#include "kernels/convolution_shape.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>
#include <tuple>

#include "kernels/precision.h"

namespace patchforge {
namespace {

// So that no size overflows an int.
constexpr int most_lines = 1 << 16;
constexpr int widest = 1 << 12;
constexpr int fewest_rounded_channels = 8; // the depth of a product of tensor cores in tf32

int reach(int kernel, int dilation) {
    return dilation * (kernel - 1) + 1;
}

int out_size(const ConvolutionShape& shape, int in, int kernel) {
    switch (shape.kind) {
    case ConvolutionKind::convolution:
        return (in + 2 * shape.padding - reach(kernel, shape.dilation)) / shape.stride + 1;
    case ConvolutionKind::transposed:
        return (in - 1) * shape.stride - 2 * shape.padding + reach(kernel, shape.dilation) +
               shape.output_padding;
    case ConvolutionKind::upsampled:
        return 2 * in + shape.output_padding;
    }
    return 0;
}

const char* name(ConvolutionKind kind) {
    return kind == ConvolutionKind::convolution  ? "convolution"
           : kind == ConvolutionKind::transposed ? "transposed convolution"
                                                 : "upsampled convolution";
}

} // namespace

Extent ConvolutionShape::out() const {
    return {out_channels, out_size(*this, in.height, kernel_height),
            out_size(*this, in.width, kernel_width)};
}

std::int64_t ConvolutionShape::weights() const {
    return std::int64_t{in.channels} * out_channels / groups * kernel_height * kernel_width;
}

double ConvolutionShape::operations(std::int64_t batch) const {
    const ConvolutionWindow window = convolution_window(*this);
    return 2.0 * static_cast<double>(batch) * static_cast<double>(window.weights()) *
           static_cast<double>(window.small.plane());
}

bool ConvolutionShape::rounds(std::int64_t batch) const {
    return groups == 1 && std::min(in.channels, out_channels) >= fewest_rounded_channels &&
           batch * out().plane() >= rounded_from_rows;
}

std::string ConvolutionShape::text() const {
    std::string text =
        fmt::format("{} {}x{}x{} > {}x{}x{}, kernel {}x{}", name(kind), in.channels, in.height,
                    in.width, out_channels, out().height, out().width, kernel_height, kernel_width);
    const auto add = [&](const char* what, int value, int usual) {
        if (value != usual) {
            text += fmt::format(", {} {}", what, value);
        }
    };
    add("stride", stride, 1);
    add("padding", padding, 0);
    add("dilation", dilation, 1);
    add("groups", groups, 1);
    add("output padding", output_padding, 0);
    return text;
}

void ConvolutionShape::validate() const {
    const auto refuse = [](const std::string& of, const std::string& why) {
        throw std::invalid_argument(of + ": " + why);
    };
    for (const auto& [what, value, least, most] :
         {std::tuple{"input channels", in.channels, 1, most_lines},
          {"input height", in.height, 1, most_lines},
          {"input width", in.width, 1, most_lines},
          {"output channels", out_channels, 1, most_lines},
          {"kernel height", kernel_height, 1, widest},
          {"kernel width", kernel_width, 1, widest},
          {"stride", stride, 1, widest},
          {"padding", padding, 0, widest},
          {"dilation", dilation, 1, widest},
          {"groups", groups, 1, most_lines}}) {
        if (value < least || value > most) {
            refuse(name(kind), fmt::format("{} {}; use {} to {}", what, value, least, most));
        }
    }
    if (groups != 1 && (groups != in.channels || groups != out_channels)) {
        refuse(
            name(kind),
            fmt::format("{} groups of {} > {} channels; use 1, or {} with as many channels out as "
                        "in (depthwise)",
                        groups, in.channels, out_channels, in.channels));
    }
    switch (kind) {
    case ConvolutionKind::convolution:
        if (output_padding != 0) {
            refuse(name(kind), fmt::format("output padding {}; only a transposed one has that",
                                           output_padding));
        }
        for (const auto& [axis, in, kernel] :
             {std::tuple{"high", in.height, kernel_height}, {"wide", in.width, kernel_width}}) {
            if (reach(kernel, dilation) > in + 2 * padding) {
                refuse(name(kind),
                       fmt::format("a kernel of {} with dilation {} is {} {}, the picture with "
                                   "padding {} only {}; use a smaller kernel or more padding",
                                   kernel, dilation, reach(kernel, dilation), axis, padding,
                                   in + 2 * padding));
            }
        }
        break;
    case ConvolutionKind::transposed:
        if (output_padding < 0 || output_padding >= std::max(stride, dilation)) {
            refuse(name(kind),
                   fmt::format("output padding {}; it is at least 0 and less than stride ({}) or "
                               "dilation ({})",
                               output_padding, stride, dilation));
        }
        if (out().height < 1 || out().width < 1) {
            refuse(name(kind),
                   fmt::format("{}x{} gives {}x{}; use less padding than {}, or a larger kernel",
                               in.height, in.width, out().height, out().width, padding));
        }
        break;
    case ConvolutionKind::upsampled:
        if (kernel_height != 3 || kernel_width != 3 || stride != 1 || padding != 1 ||
            dilation != 1 || groups != 1) {
            refuse(text(), "it takes kernel 3x3, stride 1, padding 1, dilation 1 and groups 1");
        }
        if (output_padding != 0 && output_padding != -1) {
            refuse(name(kind),
                   fmt::format("output padding {}; use 0, or -1 to crop the last row and column",
                               output_padding));
        }
        break;
    }
}

ConvolutionWindow convolution_window(const ConvolutionShape& shape) {
    const bool gathers = shape.kind == ConvolutionKind::convolution;
    const bool folds = shape.kind == ConvolutionKind::upsampled;
    return {
        .large = gathers ? shape.in : shape.out(),
        .small = gathers ? shape.out() : shape.in,
        .kernel_height = folds ? 4 : shape.kernel_height,
        .kernel_width = folds ? 4 : shape.kernel_width,
        .stride = folds ? 2 : shape.stride,
        .padding = folds ? 1 : shape.padding,
        .dilation = shape.dilation,
        .groups = shape.groups,
    };
}

} // namespace patchforge
