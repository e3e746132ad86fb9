// Gradients of convolutional layers by their weights (kernels/cpu/window_correlation.h).
#include <algorithm>

#include "kernels/cpu/cpu_backend.h"
#include "kernels/cpu/window_correlation.h"
#include "kernels/cpu/window_maps.h"

namespace patchforge {
namespace {

// A batch may be cut into so many groups of pictures, whose sums are added in their order.
constexpr std::int64_t most_groups = 16;
constexpr double cost_of_part =
    1.5; // vector operations to store a group's sum of a weight and to add it
constexpr std::int64_t added_by_task = 1 << 12;
// Positions of one picture that are few beside the weights.
constexpr std::int64_t few_positions = 32;

// The cheapest number of groups, which does not depend on how many threads there are, so that the bits do
// not; 0 where all threads had better share the pictures of one. With few groups some threads wait.
std::int64_t groups_for(const WindowCorrelation& correlation, const ConvolutionWindow& w,
                        std::int64_t rows) {
    const auto balanced = [](double cost, std::int64_t tasks) {
        return cost * (1 + 1 / static_cast<double>(tasks));
    };
    std::int64_t best = 0;
    double least =
        balanced(correlation.cost(rows) + correlation.cost_of_sharing(rows), most_groups);
    for (std::int64_t groups = 1; groups <= std::min(most_groups, rows); groups *= 2) {
        const auto count = static_cast<double>(groups);
        const double parts =
            groups > 1 ? count * static_cast<double>(w.weights()) * cost_of_part : 0;
        const double cost =
            balanced(count * correlation.cost(pieces(rows, groups)) + parts, groups);
        if (cost < least) {
            least = cost;
            best = groups;
        }
    }
    return best;
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
    if (rows == 1 && w.small.plane() <= few_positions) {
        correlate_columns(w, weight, small, large);
        return;
    }
    const WindowCorrelation correlation(vector_, w);
    const std::int64_t groups = groups_for(correlation, w, rows);
    if (groups == 0) {
        correlation.sum(pool_, window_maps_, weight, small, large, rows);
        return;
    }
    // Each thread lays its own pictures out: what another core wrote is slower to fetch.
    float* const parts = groups > 1 ? window_maps_.at_least(groups * w.weights()) : weight;
    pool_.parallel_for(groups, [&](std::int64_t group) {
        const std::int64_t first = rows * group / groups;
        correlation.sum(parts + group * w.weights(), small + first * w.small.size(),
                        large + first * w.large.size(), rows * (group + 1) / groups - first);
    });
    if (groups > 1) {
        pool_.parallel_for(pieces(w.weights(), added_by_task), [&](std::int64_t task) {
            const std::int64_t first = task * added_by_task;
            vector_.column_sums(weight + first, parts + first, w.weights(), groups,
                                std::min(added_by_task, w.weights() - first), false);
        });
    }
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

void CpuBackend::convolution_gradient(float* gradient, Matrix<const float> dz,
                                      Matrix<const float> x, const ConvolutionShape& shape) {
    if (shape.rounds(dz.rows)) {
        dz = rounded(dz, rounded_from_rows, rounded_left_);
        x = rounded(x, rounded_from_rows, rounded_right_);
    }
    const ConvolutionWindow window = convolution_window(shape);
    switch (shape.kind) {
    case ConvolutionKind::convolution:
        correlate(window, gradient, dz.data, x.data, dz.rows);
        break;
    case ConvolutionKind::transposed:
        correlate(window, gradient, x.data, dz.data, dz.rows);
        break;
    case ConvolutionKind::upsampled:
        float* const folded = window_weights_.at_least(window.weights());
        correlate(window, folded, x.data, dz.data, dz.rows);
        fold_back(gradient, folded, shape);
        break;
    }
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
    // Where it belongs at once, or added.
    const auto put = [&](Vector<float> to, const auto& find) {
        float* const gradient = accumulate ? workspace(to.size) : to.data;
        find(gradient);
        for (std::int64_t e = 0; accumulate && e < to.size; ++e) {
            to.data[e] += gradient[e];
        }
    };
    put(d_weight, [&](float* gradient) { convolution_gradient(gradient, dz, x, shape); });
    if (!d_bias.empty()) {
        put(d_bias, [&](float* gradient) { convolution_bias_gradient(gradient, dz, shape); });
    }
}

void CpuBackend::convolution_weight_gradient_adam(AdamTensor weight, AdamTensor bias,
                                                  Matrix<const float> dz, Matrix<const float> x,
                                                  const Adam& settings,
                                                  const ConvolutionShape& shape) {
    float* const of_weight = workspace(weight.value.size);
    convolution_gradient(of_weight, dz, x, shape);
    adam(weight, {of_weight, weight.value.size}, settings);
    if (!bias.value.empty()) {
        float* const of_bias = workspace(bias.value.size);
        convolution_bias_gradient(of_bias, dz, shape);
        adam(bias, {of_bias, bias.value.size}, settings);
    }
}

} // namespace patchforge
