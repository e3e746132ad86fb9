#include "bench/kernel_cases.h"

namespace patchforge::bench {
namespace {

struct Layer {
    const char* name;
    ConvolutionShape shape;
};

const std::vector<Layer>& layers() {
    using enum ConvolutionKind;
    // kind, input, output channels, kernel, stride, padding, dilation, groups, output padding
    static const std::vector<Layer> all{
        // The discriminator of light networks, 50 > 25 > 13 > 7 > 4.
        {"3>16 k4 s2 50>25", {convolution, {3, 50, 50}, 16, 4, 4, 2, 1}},
        {"16>32 k3 s2 25>13", {convolution, {16, 25, 25}, 32, 3, 3, 2, 1}},
        {"32>64 k3 s2 13>7", {convolution, {32, 13, 13}, 64, 3, 3, 2, 1}},
        {"64>128 k3 s2 7>4", {convolution, {64, 7, 7}, 128, 3, 3, 2, 1}},
        // Their generator, and DCGAN's last layer.
        {"64>32 x2 k3 7>13", {upsampled, {64, 7, 7}, 32, 3, 3, 1, 1, 1, 1, -1}},
        {"32>16 x2 k3 13>25", {upsampled, {32, 13, 13}, 16, 3, 3, 1, 1, 1, 1, -1}},
        {"16>3 x2 k3 25>50", {upsampled, {16, 25, 25}, 3, 3, 3, 1, 1}},
        {"32>16 transposed k3 s2 13>25", {transposed, {32, 13, 13}, 16, 3, 3, 2, 1}},
        {"16>3 transposed k4 s2 25>50", {transposed, {16, 25, 25}, 3, 4, 4, 2, 1}},
        // Classifiers, residual blocks, separable convolutions.
        {"3>16 k3 50", {convolution, {3, 50, 50}, 16, 3, 3, 1, 1}},
        {"16>16 k3 50", {convolution, {16, 50, 50}, 16, 3, 3, 1, 1}},
        {"32>32 k3 25", {convolution, {32, 25, 25}, 32, 3, 3, 1, 1}},
        {"64>64 k3 7", {convolution, {64, 7, 7}, 64, 3, 3, 1, 1}},
        {"32 depthwise k3 25", {convolution, {32, 25, 25}, 32, 3, 3, 1, 1, 1, 32}},
    };
    return all;
}

} // namespace

std::vector<Case> convolution_cases(Backend& backend, const Inputs& in, std::int64_t batch) {
    const Epilogue leaky = {.activation = Activation::leaky_relu, .slope = 0.2f};
    const Adam adam = {.learning_rate = 1e-6f};
    std::vector<Case> cases;
    for (const auto& [name, shape] : layers()) {
        const std::string layer = name;
        const auto x = static_cast<double>(batch * shape.inputs());
        const auto y = static_cast<double>(batch * shape.outputs());
        const auto weights = static_cast<double>(shape.weights());
        const double operations = shape.operations(batch);
        const auto inputs = [=, &in](std::int64_t i) {
            return in.maps.matrix(i, batch, shape.inputs());
        };
        cases.push_back({"convolution_forward " + layer + " leaky_relu",
                         4 * (x + y + weights + shape.out_channels), operations,
                         [=, &backend, &in](std::int64_t i) {
                             backend.convolution_forward(
                                 in.maps_out.matrix(i, batch, shape.outputs()), inputs(i),
                                 in.weight.vector(i, shape.weights()),
                                 in.bias.vector(0, shape.out_channels), leaky, shape);
                         }});
        cases.push_back({"convolution_input_gradient " + layer + " leaky_relu",
                         4 * (2 * x + y + weights), operations, [=, &backend, &in](std::int64_t i) {
                             backend.convolution_input_gradient(
                                 in.maps_out.matrix(i, batch, shape.inputs()),
                                 in.maps.matrix(i, batch, shape.outputs()),
                                 in.weight.vector(i, shape.weights()), inputs(i + 1), leaky, shape);
                         }});
        cases.push_back({"convolution_weight_gradient " + layer, 4 * (x + y + weights), operations,
                         [=, &backend, &in](std::int64_t i) {
                             backend.convolution_weight_gradient(
                                 in.weight.vector(i, shape.weights()), {},
                                 in.maps_out.matrix(i, batch, shape.outputs()), inputs(i), false,
                                 shape);
                         }});
        cases.push_back({"convolution_weight_gradient_adam " + layer, 4 * (x + y) + 24 * weights,
                         operations + 12 * weights, [=, &backend, &in](std::int64_t i) {
                             backend.convolution_weight_gradient_adam(
                                 in.weight_state(i, shape.weights()), {},
                                 in.maps_out.matrix(i, batch, shape.outputs()), inputs(i), adam,
                                 shape);
                         }});
    }
    return cases;
}

} // namespace patchforge::bench
