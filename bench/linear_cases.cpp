#include "bench/kernel_cases.h"

namespace patchforge::bench {

namespace {

double product(std::int64_t batch, std::int64_t inputs, std::int64_t outputs) {
    return 2.0 * static_cast<double>(batch) * static_cast<double>(inputs) *
           static_cast<double>(outputs);
}

} // namespace

std::vector<Case> linear_cases(Backend& backend, const Inputs& in, std::int64_t batch) {
    const Epilogue leaky = {.activation = Activation::leaky_relu,
                            .slope = 0.2f,
                            .dropout = 0.5f,
                            .random = {.seed = 1, .purpose = 16, .draw = {}}};
    const Epilogue relu = {.activation = Activation::relu};
    const Epilogue tanh = {.activation = Activation::tanh};
    const Adam adam = {.learning_rate = 1e-6f};
    const double layer = static_cast<double>(pixels * hidden);
    const double x = static_cast<double>(batch * pixels);
    const double h = static_cast<double>(batch * hidden);
    return {
        {"linear_forward 7500>256 leaky_relu, dropout, 2B rows", 4 * (layer + 2 * x + 2 * h),
         product(2 * batch, pixels, hidden),
         [=, &backend, &in](std::int64_t i) {
             backend.linear_forward(
                 in.narrow_out.matrix(i, 2 * batch, hidden), in.wide.matrix(i, 2 * batch, pixels),
                 in.weight.matrix(i, hidden, pixels), in.bias.vector(0, hidden), leaky);
         }},
        {"linear_forward 256>256 leaky_relu, dropout, 2B rows", 4 * (65536 + 4 * h),
         product(2 * batch, hidden, hidden),
         [=, &backend, &in](std::int64_t i) {
             backend.linear_forward(
                 in.narrow_out.matrix(i, 2 * batch, hidden), in.narrow.matrix(i, 2 * batch, hidden),
                 in.weight.matrix(i, hidden, hidden), in.bias.vector(0, hidden), leaky);
         }},
        {"linear_forward 256>7500 tanh", 4 * (layer + x + h), product(batch, hidden, pixels),
         [=, &backend, &in](std::int64_t i) {
             backend.linear_forward(
                 in.wide_out.matrix(i, batch, pixels), in.narrow.matrix(i, batch, hidden),
                 in.weight.matrix(i, pixels, hidden), in.bias.vector(0, pixels), tanh);
         }},
        {"linear_input_gradient 7500<256 tanh", 4 * (layer + 2 * x + h),
         product(batch, pixels, hidden),
         [=, &backend, &in](std::int64_t i) {
             backend.linear_input_gradient(
                 in.wide_out.matrix(i, batch, pixels), in.narrow.matrix(i, batch, hidden),
                 in.weight.matrix(i, hidden, pixels), in.wide.matrix(i, batch, pixels), tanh);
         }},
        {"linear_input_gradient 256<256 leaky_relu, dropout", 4 * (65536 + 3 * h),
         product(batch, hidden, hidden),
         [=, &backend, &in](std::int64_t i) {
             backend.linear_input_gradient(in.narrow_out.matrix(i, batch, hidden),
                                           in.narrow.matrix(i, batch, hidden),
                                           in.weight.matrix(i, hidden, hidden),
                                           in.narrow.matrix(i + 1, batch, hidden), leaky);
         }},
        {"linear_weight_gradient 7500>256, 2B rows", 4 * (layer + 2 * x + 2 * h),
         product(2 * batch, pixels, hidden),
         [=, &backend, &in](std::int64_t i) {
             backend.linear_weight_gradient(in.weight.matrix(i, hidden, pixels), {},
                                            in.narrow.matrix(i, 2 * batch, hidden),
                                            in.wide.matrix(i, 2 * batch, pixels), false);
         }},
        {"linear_weight_gradient_adam 7500>256, 2B rows", 24 * layer + 4 * (2 * x + 2 * h),
         product(2 * batch, pixels, hidden),
         [=, &backend, &in](std::int64_t i) {
             backend.linear_weight_gradient_adam(in.weight_state(i, hidden * pixels),
                                                 in.bias_state(hidden),
                                                 in.narrow.matrix(i, 2 * batch, hidden),
                                                 in.wide.matrix(i, 2 * batch, pixels), adam);
         }},
        {"linear_backward_adam 256>7500 relu", 24 * layer + 4 * (x + 2 * h),
         2 * product(batch, hidden, pixels),
         [=, &backend, &in](std::int64_t i) {
             backend.linear_backward_adam(in.narrow_out.matrix(i, batch, hidden),
                                          in.weight_state(i, hidden * pixels),
                                          in.bias_state(pixels), in.wide.matrix(i, batch, pixels),
                                          in.narrow.matrix(i, batch, hidden), relu, adam);
         }},
        {"linear_backward_adam 256>256 leaky_relu, dropout, 2B rows", 24 * 65536.0 + 4 * 6 * h,
         2 * product(2 * batch, hidden, hidden),
         [=, &backend, &in](std::int64_t i) {
             backend.linear_backward_adam(
                 in.narrow_out.matrix(i, 2 * batch, hidden), in.weight_state(i, hidden * hidden),
                 in.bias_state(hidden), in.narrow.matrix(i, 2 * batch, hidden),
                 in.narrow.matrix(i + 1, 2 * batch, hidden), leaky, adam);
         }},
    };
}

} // namespace patchforge::bench
