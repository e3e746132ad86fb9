// Convolutional layers. Sums run over channels, then lines and columns of the kernel; those of a
// weight over pictures, then lines and columns of the map.
#include <algorithm>

#include "kernels/cpu/cpu_backend.h"

namespace patchforge {
namespace {

// Of a folded axis: lines 2; 1, 2; 0, 1; 0 of the 3 (kernels/convolution_shape.h).
constexpr int folded_first[] = {2, 1, 0, 0};
constexpr int folded_last[] = {2, 2, 1, 0};

// folded [in, out, 4, 4] from weight [out, in, 3, 3], lines first.
void fold(float* folded, const float* weight, const ConvolutionShape& shape) {
    for (int i = 0; i < shape.in.channels; ++i) {
        for (int o = 0; o < shape.out_channels; ++o, folded += 16) {
            const float* const from = weight + (std::int64_t{o} * shape.in.channels + i) * 9;
            for (int a = 0; a < 4; ++a) {
                float line[3];
                for (int b = 0; b < 3; ++b) {
                    const float first = from[folded_first[a] * 3 + b];
                    line[b] = a == 1 || a == 2 ? first + from[folded_last[a] * 3 + b] : first;
                }
                for (int b = 0; b < 4; ++b) {
                    const float first = line[folded_first[b]];
                    folded[a * 4 + b] = b == 1 || b == 2 ? first + line[folded_last[b]] : first;
                }
            }
        }
    }
}

// The gradient of the 3x3 from the folded one's: each weight went into two lines and columns.
void fold_back(float* weight, const float* folded, const ConvolutionShape& shape) {
    for (int o = 0; o < shape.out_channels; ++o) {
        for (int i = 0; i < shape.in.channels; ++i) {
            const float* const from = folded + (std::int64_t{i} * shape.out_channels + o) * 16;
            for (int a = 0; a < 3; ++a) {
                for (int b = 0; b < 3; ++b, ++weight) {
                    const float* const at = from + (2 - a) * 4 + 2 - b;
                    *weight = at[0] + at[1] + (at[4] + at[5]);
                }
            }
        }
    }
}

// Positions n of the small map, in [first, last), whose place n * stride + offset lies in [0, size).
struct Range {
    int first, last;
    Range(int offset, int stride, int size, int positions)
        : first(offset >= 0 ? 0 : (-offset + stride - 1) / stride),
          last(std::clamp((size - 1 - offset) / stride + 1, 0, positions)) {
        if (offset > size - 1) {
            last = 0;
        }
        first = std::min(first, last);
    }
};

// Calls line(small offset, large offset, count) for the lines of two maps that a tap of the kernel
// brings together; along them the large map is read every `stride` elements.
template <class Line>
void for_lines(const ConvolutionWindow& w, int a, int b, Line line) {
    const int down = a * w.dilation - w.padding, right = b * w.dilation - w.padding;
    const Range rows(down, w.stride, w.large.height, w.small.height);
    const Range columns(right, w.stride, w.large.width, w.small.width);
    for (int r = rows.first; r < rows.last; ++r) {
        line(r * w.small.width + columns.first,
             (r * w.stride + down) * w.large.width + columns.first * w.stride + right,
             columns.last - columns.first);
    }
}

} // namespace

// The window's operations on all rows; finish(row, channel) when a map is complete.
template <class Finish>
void CpuBackend::gather(const ConvolutionWindow& w, float* small, const float* large,
                        const float* weight, std::int64_t rows, const Finish& finish) {
    const std::int64_t small_map = w.small.plane();
    const std::int64_t large_map = w.large.plane();
    const int inputs = w.large.channels / w.groups;
    pool_.parallel_for(rows * w.small.channels, [&](std::int64_t task) {
        const std::int64_t row = task / w.small.channels, o = task % w.small.channels;
        float* const to = small + task * small_map;
        std::fill_n(to, small_map, 0.0f);
        const float* tap = weight + o * inputs * w.kernel_height * w.kernel_width;
        for (int i = 0; i < inputs; ++i) {
            const float* const from =
                large + row * w.large.size() + (w.groups > 1 ? o : i) * large_map;
            for (int a = 0; a < w.kernel_height; ++a) {
                for (int b = 0; b < w.kernel_width; ++b, ++tap) {
                    for_lines(w, a, b, [&](int s, int l, int count) {
                        for (int n = 0; n < count; ++n) {
                            to[s + n] += *tap * from[l + n * w.stride];
                        }
                    });
                }
            }
        }
        finish(row, o);
    });
}

template <class Finish>
void CpuBackend::scatter(const ConvolutionWindow& w, float* large, const float* small,
                         const float* weight, std::int64_t rows, const Finish& finish) {
    const std::int64_t small_map = w.small.plane();
    const std::int64_t large_map = w.large.plane();
    const int inputs = w.large.channels / w.groups;
    pool_.parallel_for(rows * w.large.channels, [&](std::int64_t task) {
        const std::int64_t row = task / w.large.channels, i = task % w.large.channels;
        float* const to = large + task * large_map;
        std::fill_n(to, large_map, 0.0f);
        for (std::int64_t o = w.groups > 1 ? i : 0; o < (w.groups > 1 ? i + 1 : w.small.channels);
             ++o) {
            const float* const from = small + row * w.small.size() + o * small_map;
            const float* tap =
                weight + (o * inputs + (w.groups > 1 ? 0 : i)) * w.kernel_height * w.kernel_width;
            for (int a = 0; a < w.kernel_height; ++a) {
                for (int b = 0; b < w.kernel_width; ++b, ++tap) {
                    for_lines(w, a, b, [&](int s, int l, int count) {
                        for (int n = 0; n < count; ++n) {
                            to[l + n * w.stride] += *tap * from[s + n];
                        }
                    });
                }
            }
        }
        finish(row, i);
    });
}

void CpuBackend::correlate(const ConvolutionWindow& w, float* weight, const float* small,
                           const float* large, std::int64_t rows) {
    const std::int64_t small_map = w.small.plane();
    const std::int64_t large_map = w.large.plane();
    const int inputs = w.large.channels / w.groups;
    pool_.parallel_for(std::int64_t{w.small.channels} * inputs, [&](std::int64_t task) {
        const std::int64_t o = task / inputs, i = w.groups > 1 ? o : task % inputs;
        float* to = weight + task * w.kernel_height * w.kernel_width;
        for (int a = 0; a < w.kernel_height; ++a) {
            for (int b = 0; b < w.kernel_width; ++b, ++to) {
                float sum = 0;
                for (std::int64_t row = 0; row < rows; ++row) {
                    const float* const from = small + row * w.small.size() + o * small_map;
                    const float* const under = large + row * w.large.size() + i * large_map;
                    for_lines(w, a, b, [&](int s, int l, int count) {
                        for (int n = 0; n < count; ++n) {
                            sum += from[s + n] * under[l + n * w.stride];
                        }
                    });
                }
                *to = sum;
            }
        }
    });
}

void CpuBackend::convolution_forward(Matrix<float> y, Matrix<const float> x,
                                     Vector<const float> weight, Vector<const float> bias,
                                     const Epilogue& epilogue, const ConvolutionShape& shape) {
    const EpilogueArguments arguments = epilogue_arguments(epilogue);
    const std::int64_t map = shape.out().plane();
    const bool plain = epilogue.is_identity() && bias.empty();
    const auto finish = [&](std::int64_t row, std::int64_t channel) {
        float* const at = y.data + row * y.columns + channel * map;
        if (!bias.empty()) {
            for (std::int64_t e = 0; e < map; ++e) {
                at[e] += bias.data[channel];
            }
        }
        if (!plain) {
            vector_.activate(at, at, nullptr, map, static_cast<std::uint64_t>(at - y.data),
                             arguments);
        }
    };
    const ConvolutionWindow window = convolution_window(shape);
    const Operands operands = window_operands(shape, weight, x);
    if (shape.kind == ConvolutionKind::convolution) {
        gather(window, y.data, operands.map, operands.weight, y.rows, finish);
    } else {
        scatter(window, y.data, operands.map, operands.weight, y.rows, finish);
    }
}

void CpuBackend::convolution_input_gradient(Matrix<float> dx, Matrix<const float> dz,
                                            Vector<const float> weight, Matrix<const float> x,
                                            const Epilogue& previous,
                                            const ConvolutionShape& shape) {
    const EpilogueArguments arguments = epilogue_arguments(previous);
    const std::int64_t map = shape.in.plane();
    const auto finish = [&](std::int64_t row, std::int64_t channel) {
        if (!previous.is_identity()) {
            const std::int64_t at = row * dx.columns + channel * map;
            vector_.activation_gradient(dx.data + at, dx.data + at, x.data + at, map,
                                        static_cast<std::uint64_t>(at), arguments);
        }
    };
    const ConvolutionWindow window = convolution_window(shape);
    const Operands operands = window_operands(shape, weight, dz);
    if (shape.kind == ConvolutionKind::convolution) {
        scatter(window, dx.data, operands.map, operands.weight, dx.rows, finish);
    } else {
        gather(window, dx.data, operands.map, operands.weight, dx.rows, finish);
    }
}

CpuBackend::Operands CpuBackend::window_operands(const ConvolutionShape& shape,
                                                 Vector<const float> weight,
                                                 Matrix<const float> map) {
    Matrix<const float> weights = {weight.data, 1, weight.size};
    if (shape.kind == ConvolutionKind::upsampled) {
        weights.columns = convolution_window(shape).weights();
        float* const folded = workspace(weights.columns);
        fold(folded, weight.data, shape);
        weights.data = folded;
    }
    if (!shape.rounds(map.rows)) {
        return {weights.data, map.data};
    }
    return {rounded(weights, rounded_from_rows, rounded_left_).data,
            rounded(map, rounded_from_rows, rounded_right_).data};
}

const float* CpuBackend::convolution_gradient(Matrix<const float> dz, Matrix<const float> x,
                                              const ConvolutionShape& shape) {
    if (shape.rounds(dz.rows)) {
        dz = rounded(dz, rounded_from_rows, rounded_left_);
        x = rounded(x, rounded_from_rows, rounded_right_);
    }
    const ConvolutionWindow window = convolution_window(shape);
    float* const gradient = workspace(shape.weights() + window.weights());
    if (shape.kind == ConvolutionKind::convolution) {
        correlate(window, gradient, dz.data, x.data, dz.rows);
        return gradient;
    }
    if (shape.kind == ConvolutionKind::transposed) {
        correlate(window, gradient, x.data, dz.data, dz.rows);
        return gradient;
    }
    correlate(window, gradient + shape.weights(), x.data, dz.data, dz.rows);
    fold_back(gradient, gradient + shape.weights(), shape);
    return gradient;
}

void CpuBackend::convolution_bias_gradient(float* gradient, Matrix<const float> dz,
                                           const ConvolutionShape& shape) {
    const std::int64_t map = dz.columns / shape.out_channels;
    pool_.parallel_for(shape.out_channels, [&](std::int64_t channel) {
        double sum = 0;
        for (std::int64_t row = 0; row < dz.rows; ++row) {
            sum += vector_.sum(dz.data + row * dz.columns + channel * map, map);
        }
        gradient[channel] = static_cast<float>(sum);
    });
}

void CpuBackend::convolution_weight_gradient(Vector<float> d_weight, Vector<float> d_bias,
                                             Matrix<const float> dz, Matrix<const float> x,
                                             bool accumulate, const ConvolutionShape& shape) {
    const auto put = [&](Vector<float> to, const float* from) {
        for (std::int64_t e = 0; e < to.size; ++e) {
            to.data[e] = accumulate ? to.data[e] + from[e] : from[e];
        }
    };
    put(d_weight, convolution_gradient(dz, x, shape));
    if (!d_bias.empty()) {
        float* const gradient = workspace(d_bias.size);
        convolution_bias_gradient(gradient, dz, shape);
        put(d_bias, gradient);
    }
}

void CpuBackend::convolution_weight_gradient_adam(AdamTensor weight, AdamTensor bias,
                                                  Matrix<const float> dz, Matrix<const float> x,
                                                  const Adam& settings,
                                                  const ConvolutionShape& shape) {
    adam(weight, {convolution_gradient(dz, x, shape), weight.value.size}, settings);
    if (!bias.value.empty()) {
        float* const gradient = workspace(bias.value.size);
        convolution_bias_gradient(gradient, dz, shape);
        adam(bias, {gradient, bias.value.size}, settings);
    }
}

} // namespace patchforge
