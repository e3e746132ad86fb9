// kernels/operations/convolution.h in float64: every product of one picture is listed, and each
// operation adds them up by another of their three operands.
#pragma once

#include "kernels/operations/convolution.h"
#include "tests/oracle/linear.h"

namespace patchforge::oracle {

// Calls product(y, weight, x) with the indices of the three numbers of every product in a picture.
template <class Product>
void for_each_product(const ConvolutionShape& s, Product product) {
    const std::int64_t height = s.out().height, width = s.out().width;
    const bool depthwise = s.groups > 1;
    const auto inside = [](std::int64_t i, std::int64_t size) { return i >= 0 && i < size; };
    for (std::int64_t o = 0; o < s.out_channels; ++o) {
        for (std::int64_t i = depthwise ? o : 0; i < (depthwise ? o + 1 : s.in.channels); ++i) {
            for (std::int64_t a = 0; a < s.kernel_height; ++a) {
                for (std::int64_t b = 0; b < s.kernel_width; ++b) {
                    const auto add = [&](std::int64_t r, std::int64_t c, std::int64_t j,
                                         std::int64_t k) {
                        if (inside(r, height) && inside(c, width) && inside(j, s.in.height) &&
                            inside(k, s.in.width)) {
                            const std::int64_t pair = depthwise ? o
                                                      : s.kind == ConvolutionKind::transposed
                                                          ? i * s.out_channels + o
                                                          : o * s.in.channels + i;
                            product((o * height + r) * width + c,
                                    (pair * s.kernel_height + a) * s.kernel_width + b,
                                    (i * s.in.height + j) * s.in.width + k);
                        }
                    };
                    if (s.kind == ConvolutionKind::transposed) {
                        for (std::int64_t j = 0; j < s.in.height; ++j) {
                            for (std::int64_t k = 0; k < s.in.width; ++k) {
                                add(j * s.stride - s.padding + a * s.dilation,
                                    k * s.stride - s.padding + b * s.dilation, j, k);
                            }
                        }
                        continue;
                    }
                    for (std::int64_t r = 0; r < height; ++r) {
                        for (std::int64_t c = 0; c < width; ++c) {
                            if (s.kind == ConvolutionKind::upsampled) {
                                // -1 >> 1 is -1: above the first line.
                                add(r, c, (r + a - 1) >> 1, (c + b - 1) >> 1);
                            } else {
                                add(r, c, r * s.stride - s.padding + a * s.dilation,
                                    c * s.stride - s.padding + b * s.dilation);
                            }
                        }
                    }
                }
            }
        }
    }
}

// z [B, outputs] = convolution of x by weight [1, weights], plus bias (or none).
inline Products convolution(const DoubleMatrix& x, const DoubleMatrix& weight,
                            const std::vector<double>& bias, const ConvolutionShape& shape) {
    Products z(x.rows, shape.outputs());
    const std::int64_t pixels = shape.out().plane();
    for (std::int64_t row = 0; row < x.rows; ++row) {
        for_each_product(shape, [&](std::int64_t y, std::int64_t w, std::int64_t i) {
            z.add(row, y, weight(0, w) * x(row, i));
        });
        for (std::int64_t y = 0; !bias.empty() && y < shape.outputs(); ++y) {
            z.add(row, y, bias.at(static_cast<std::size_t>(y / pixels)));
        }
    }
    return z;
}

// dx [B, inputs]
inline Products convolution_input_gradient(const DoubleMatrix& dz, const DoubleMatrix& weight,
                                           const ConvolutionShape& shape) {
    Products dx(dz.rows, shape.inputs());
    for (std::int64_t row = 0; row < dz.rows; ++row) {
        for_each_product(shape, [&](std::int64_t y, std::int64_t w, std::int64_t i) {
            dx.add(row, i, weight(0, w) * dz(row, y));
        });
    }
    return dx;
}

// d_weight [1, weights]
inline Products convolution_weight_gradient(const DoubleMatrix& dz, const DoubleMatrix& x,
                                            const ConvolutionShape& shape) {
    Products d_weight(1, shape.weights());
    for (std::int64_t row = 0; row < dz.rows; ++row) {
        for_each_product(shape, [&](std::int64_t y, std::int64_t w, std::int64_t i) {
            d_weight.add(0, w, dz(row, y) * x(row, i));
        });
    }
    return d_weight;
}

// d_bias [1, out_channels]
inline Products convolution_bias_gradient(const DoubleMatrix& dz, const ConvolutionShape& shape) {
    Products d_bias(1, shape.out_channels);
    const std::int64_t pixels = shape.out().plane();
    for (std::int64_t row = 0; row < dz.rows; ++row) {
        for (std::int64_t y = 0; y < shape.outputs(); ++y) {
            d_bias.add(0, y / pixels, dz(row, y));
        }
    }
    return d_bias;
}

} // namespace patchforge::oracle
