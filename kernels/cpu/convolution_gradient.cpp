// Gradients of convolutional layers by their weights: sums over pictures, then lines and columns, each
// by one thread.
//
// Both maps are laid out with the channels of a position side by side, so that a few weights of a few
// channels stay in registers while all positions pass by: one map gives vectors of channels, the other
// numbers that are multiplied by them. The vectors are of the map whose channels fill them better.
// Some pictures at a time are laid out, as many as stay in the second-level cache.
#include <algorithm>

#include "kernels/cpu/cpu_backend.h"
#include "kernels/cpu/window_maps.h"

namespace patchforge {
namespace {

constexpr std::int64_t floats_of_chunk = 1 << 17;
constexpr std::int64_t outputs_of_task = 8;

std::int64_t pieces(std::int64_t size, std::int64_t piece) {
    return (size + piece - 1) / piece;
}

std::int64_t round_up(std::int64_t size, std::int64_t piece) {
    return pieces(size, piece) * piece;
}

double filled(std::int64_t size, std::int64_t piece) {
    return static_cast<double>(size) / static_cast<double>(round_up(size, piece));
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

} // namespace

void CpuBackend::correlate(const ConvolutionWindow& w, float* weight, const float* small,
                           const float* large, std::int64_t rows) {
    if (w.groups > 1) {
        correlate_depthwise(w, weight, small, large, rows);
        return;
    }
    if (w.is_product()) {
        multiply_weight_gradient({weight, w.small.channels, w.large.size()},
                                 {small, rows, w.small.channels}, {large, rows, w.large.size()},
                                 false);
        return;
    }
    const std::int64_t lanes = vector_.lanes;
    const std::int64_t inputs = w.large.channels, outputs = w.small.channels;
    const std::int64_t taps = w.kernel_height * w.kernel_width;
    const bool by_inputs = filled(inputs, lanes) >= filled(outputs, lanes);
    const std::int64_t x_step = by_inputs ? round_up(inputs, lanes) : inputs;
    const std::int64_t dz_step = by_inputs ? outputs : round_up(outputs, lanes);
    // Every position of a window with stride 1, so that all numbers keep their order; those in between
    // are stepped over.
    ConvolutionWindow dense = w;
    dense.stride = 1;
    const auto positions = [&](int large_size, int small_size, int kernel) {
        return std::max((small_size - 1) * w.stride + 1,
                        large_size + 2 * w.padding - w.dilation * (kernel - 1));
    };
    dense.small.height = positions(w.large.height, w.small.height, w.kernel_height);
    dense.small.width = positions(w.large.width, w.small.width, w.kernel_width);
    const WindowLayout layout = WindowLayout::gather(dense, 1, static_cast<int>(x_step));
    const WindowLayout::Phase& phase = layout.phases.front();
    const WindowLayout::Class& result = layout.classes.front();
    const std::int64_t x_line = layout.pitch * x_step;
    const std::int64_t dz_picture = w.small.plane() * dz_step + lanes;
    const std::int64_t together =
        std::clamp<std::int64_t>(floats_of_chunk / (layout.plane + dz_picture), 1, rows);
    // [outputs, taps, inputs] or [taps, inputs, outputs], the last one padded.
    const std::int64_t sums_size = taps * (by_inputs ? outputs * x_step : inputs * dz_step);
    float* const sums = window_maps_.at_least(sums_size + together * (layout.plane + dz_picture));
    float* const x = sums + sums_size;
    float* const dz = x + together * layout.plane;
    std::vector<std::int64_t> vectors; // of outputs
    for (std::int64_t o = 0; o < outputs; o += lanes) {
        vectors.push_back(o);
    }

    for (std::int64_t first = 0; first < rows; first += together) {
        const std::int64_t pictures = std::min(together, rows - first);
        pool_.parallel_for(2 * pictures, [&](std::int64_t task) {
            const std::int64_t picture = task / 2;
            if (task % 2 == 0) {
                float* const to = x + picture * layout.plane;
                std::fill_n(to, layout.plane, 0.0f);
                vector_.channels_last(to + (phase.top * std::int64_t{layout.pitch} + phase.left) *
                                               x_step,
                                      x_line, x_step, large + (first + picture) * w.large.size(),
                                      w.large.plane(), inputs, phase.lines, w.large.width);
            } else {
                vector_.channels_last(dz + picture * dz_picture, w.small.width * dz_step, dz_step,
                                      small + (first + picture) * w.small.size(), w.small.plane(),
                                      outputs, w.small.height, w.small.width);
            }
        });
        OuterProducts products = {
            .sums = sums,
            .row_stride = 0,
            .vector_stride = 0,
            .rows = 0,
            .vectors = 0,
            .a = {dz, dz_step, w.small.width * dz_step, dz_picture},
            .b = {x, w.stride * x_step, w.stride * x_line, layout.plane},
            .offset = nullptr,
            .pictures = pictures,
            .lines = w.small.height,
            .columns = w.small.width,
            .accumulate = first > 0,
        };
        if (by_inputs) {
            const std::int64_t blocks = x_step / lanes;
            pool_.parallel_for(pieces(outputs, outputs_of_task) * blocks, [&](std::int64_t task) {
                const std::int64_t o = task / blocks * outputs_of_task;
                const std::int64_t i = task % blocks * lanes;
                OuterProducts of_task = products;
                of_task.sums += o * taps * x_step + i;
                of_task.row_stride = taps * x_step;
                of_task.vector_stride = x_step;
                of_task.rows = std::min(outputs_of_task, outputs - o);
                of_task.vectors = taps;
                of_task.a.first += o;
                of_task.b.first += i;
                of_task.offset = result.offset.data();
                vector_.window_outer(of_task);
            });
        } else {
            std::swap(products.a, products.b);
            // The taps of a line are one run of numbers where no columns are skipped.
            const std::int64_t run_taps = w.dilation == 1 ? w.kernel_width : 1;
            pool_.parallel_for(taps / run_taps, [&](std::int64_t run) {
                OuterProducts of_task = products;
                of_task.sums += run * run_taps * inputs * dz_step;
                of_task.row_stride = dz_step;
                of_task.vector_stride = lanes;
                of_task.rows = run_taps * inputs;
                of_task.vectors = static_cast<std::int64_t>(vectors.size());
                of_task.a.first += result.offset[static_cast<std::size_t>(run * run_taps)];
                of_task.offset = vectors.data();
                vector_.window_outer(of_task);
            });
        }
    }

    pool_.parallel_for(outputs, [&](std::int64_t o) {
        float* const to = weight + o * inputs * taps;
        if (by_inputs) {
            float* const turned = thread_scratch(inputs * taps + lanes);
            vector_.channels_last(turned, 0, taps, sums + o * taps * x_step, x_step, taps, 1,
                                  inputs);
            std::copy_n(turned, inputs * taps, to);
            return;
        }
        for (std::int64_t i = 0; i < inputs; ++i) {
            for (std::int64_t tap = 0; tap < taps; ++tap) {
                to[i * taps + tap] = sums[(tap * inputs + i) * dz_step + o];
            }
        }
    });
}

void CpuBackend::correlate_depthwise(const ConvolutionWindow& w, float* weight, const float* small,
                                     const float* large, std::int64_t rows) {
    const std::int64_t taps = w.kernel_height * w.kernel_width;
    const WindowLayout layout = WindowLayout::gather(w);
    const WindowMaps arranged(vector_, layout, 0);
    const std::int64_t count = layout.lines * std::int64_t{layout.pitch};
    pool_.parallel_for(w.large.channels, [&](std::int64_t channel) {
        float* const x = thread_scratch(layout.channel() + count + vector_.lanes);
        float* const dz = x + layout.channel();
        for (std::int64_t row = 0; row < rows; ++row) {
            arranged.lay_out(x, {large + row * w.large.size() + channel * w.large.plane(), 0, 1});
            arranged.lay_out_result(
                dz, {small + row * w.small.size() + channel * w.small.plane(), 0, 1});
            vector_.window_dots(weight + channel * taps, dz, x,
                                layout.classes.front().offset.data(), taps, count, row > 0);
        }
    });
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
