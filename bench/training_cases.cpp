#include "bench/kernel_cases.h"

namespace patchforge::bench {

std::vector<Case> training_cases(Backend& backend, const Inputs& in, std::int64_t batch) {
    const Epilogue tanh = {.activation = Activation::tanh};
    const Adam adam = {.learning_rate = 1e-6f};
    const double layer = static_cast<double>(pixels * hidden);
    const double x = static_cast<double>(batch * pixels);
    const double rows = static_cast<double>(batch);
    const RandomStream random = {.seed = 3, .purpose = 3, .draw = {}};
    return {
        {"adam, 1.92 M parameters", 28 * layer, 0,
         [=, &backend, &in](std::int64_t i) {
             backend.adam(in.weight_state(i, pixels * hidden),
                          in.weight.vector(i + 1, pixels * hidden), adam);
         }},
        {"moving_average, 1.92 M parameters", 12 * layer, 0,
         [=, &backend, &in](std::int64_t i) {
             backend.moving_average(in.weight.vector(i, pixels * hidden),
                                    in.first_moment.vector(i, pixels * hidden), {});
         }},
        {"gather_rows", 5 * x, 0,
         [=, &backend, &in](std::int64_t) {
             const BatchPlan plan = {.count = 2048, .batch_size = batch, .seed = 1};
             backend.gather_rows(in.wide_out.matrix(0, batch, pixels), {in.rows.data(), batch},
                                 {in.bytes.data(), 2048, pixels}, PixelRange::signed_unit, plan);
         }},
        {"gather_labels", 12 * rows, 0,
         [=, &backend, &in](std::int64_t) {
             backend.gather_labels({in.rows.data(), batch}, in.labels.view(),
                                   {in.rows.data() + batch, batch});
         }},
        {"fill_normal, latent 64", 4 * rows * 64, 0,
         [=, &backend, &in](std::int64_t i) {
             backend.fill_normal(in.narrow_out.vector(i, batch * 64), 0, 1, random);
         }},
        {"fill_normal, pixels", 4 * x, 0,
         [=, &backend, &in](std::int64_t i) {
             backend.fill_normal(in.wide_out.vector(i, batch * pixels), 0, 1, random);
         }},
        {"fill_uniform, pixels", 4 * x, 0,
         [=, &backend, &in](std::int64_t i) {
             backend.fill_uniform(in.wide_out.vector(i, batch * pixels), -1, 1, random);
         }},
        {"activate tanh, pixels", 8 * x, 0,
         [=, &backend, &in](std::int64_t i) {
             backend.activate(in.wide_out.matrix(i, batch, pixels),
                              in.wide.matrix(i, batch, pixels), tanh);
         }},
        {"activation_gradient tanh, pixels", 12 * x, 0,
         [=, &backend, &in](std::int64_t i) {
             backend.activation_gradient(in.wide_out.matrix(i, batch, pixels),
                                         in.wide_out.matrix(i, batch, pixels),
                                         in.wide.matrix(i, batch, pixels), tanh);
         }},
        {"discriminator_loss, 2B rows", 16 * rows, 0,
         [=, &backend, &in](std::int64_t i) {
             backend.discriminator_loss(in.narrow_out.vector(i, 2 * batch), in.bias.vector(0, 8),
                                        in.narrow.vector(i, 2 * batch), batch,
                                        GanLoss::non_saturating, 1);
         }},
        {"generator_loss", 8 * rows, 0,
         [=, &backend, &in](std::int64_t i) {
             backend.generator_loss(in.narrow_out.vector(i, batch), in.bias.vector(0, 8),
                                    in.narrow.vector(i, batch), GanLoss::non_saturating);
         }},
        {"binary_cross_entropy", 16 * rows, 0,
         [=, &backend, &in](std::int64_t i) {
             backend.binary_cross_entropy(
                 in.narrow_out.vector(i, batch), in.narrow_out.vector(i + 1, batch),
                 in.narrow.vector(i, batch), {in.labels.data(), batch}, {}, 1);
         }},
        {"softmax_cross_entropy, 10 classes", 84 * rows, 0,
         [=, &backend, &in](std::int64_t i) {
             backend.softmax_cross_entropy(
                 in.wide_out.matrix(i, batch, 10), in.narrow_out.vector(i, batch),
                 in.wide.matrix(i, batch, 10), {in.labels.data(), batch}, {}, 1);
         }},
        {"sum, pixels", 4 * x, 0,
         [=, &backend, &in](std::int64_t i) {
             backend.sum({in.totals.data(), 1}, in.wide.vector(i, batch * pixels));
         }},
        {"sum_of_squares, pixels", 4 * x, 0,
         [=, &backend, &in](std::int64_t i) {
             backend.sum_of_squares({in.totals.data(), 1}, in.wide.vector(i, batch * pixels));
         }},
        {"column_mean, pixels", 4 * (x + pixels), 0,
         [=, &backend, &in](std::int64_t i) {
             backend.column_mean(in.wide_out.vector(i, pixels), in.wide.matrix(i, batch, pixels));
         }},
        {"count_dead_columns, 256", 4 * rows * hidden, 0,
         [=, &backend, &in](std::int64_t i) {
             backend.count_dead_columns(in.wide_out.vector(i, 1),
                                        in.narrow.matrix(i, batch, hidden));
         }},
        {"finish_iteration", 48, 0,
         [=, &backend, &in](std::int64_t i) {
             backend.finish_iteration(in.steps.data(), in.narrow_out.matrix(i, 16, 6),
                                      in.bias.vector(0, 6));
         }},
        {"add_noise, pixels", 8 * x, 0,
         [=, &backend, &in](std::int64_t i) {
             backend.add_noise(in.wide_out.vector(i, batch * pixels), {.start = 1e-3f}, random);
         }},
        {"interpolate_rows, pixels", 12 * x, 0,
         [=, &backend, &in](std::int64_t i) {
             backend.interpolate_rows(in.wide_out.matrix(i, batch, pixels),
                                      in.wide.matrix(i, batch, pixels),
                                      in.wide.matrix(i + 1, batch, pixels), random);
         }},
        {"penalise_slope, pixels", 8 * x, 0,
         [=, &backend, &in](std::int64_t i) {
             backend.penalise_slope(in.wide_out.matrix(i, batch, pixels),
                                    in.narrow_out.vector(i, batch),
                                    in.wide.matrix(i, batch, pixels), 10);
         }},
        {"add_l1_gradient, pixels", 16 * x, 0,
         [=, &backend, &in](std::int64_t i) {
             backend.add_l1_gradient(in.wide_out.vector(i, batch * pixels),
                                     in.wide.vector(i, batch * pixels),
                                     in.wide.vector(i + 1, batch * pixels), 1e-3f);
         }},
        {"running_mean, 1.92 M parameters", 12 * layer, 0,
         [=, &backend, &in](std::int64_t i) {
             backend.running_mean(in.weight.vector(i, pixels * hidden),
                                  in.first_moment.vector(i, pixels * hidden), {.offset = 1});
         }},
        {"normalise, 256", (8 * rows + 16) * hidden, 0,
         [=, &backend, &in](std::int64_t i) {
             backend.normalise(in.narrow_out.matrix(i, batch, hidden),
                               in.statistics.matrix(2, hidden), in.narrow.matrix(i, batch, hidden),
                               batch, in.bias.vector(0, hidden), {in.bias.at(0) + hidden, hidden});
         }},
        {"normalise_gradient, 256", (12 * rows + 20) * hidden, 0,
         [=, &backend, &in](std::int64_t i) {
             backend.normalise_gradient(
                 in.narrow_out.matrix(i, batch, hidden), in.bias.vector(0, hidden),
                 {in.bias.at(0) + hidden, hidden}, in.narrow.matrix(i + 1, batch, hidden),
                 in.narrow.matrix(i, batch, hidden), in.statistics.matrix(2, hidden), batch,
                 {in.bias.at(0) + 2 * hidden, hidden}, false);
         }},
        {"minibatch_closeness, 32 of 8", 4 * rows * (hidden + 32), 3 * rows * rows * hidden,
         [=, &backend, &in](std::int64_t i) {
             backend.minibatch_closeness(in.narrow_out.matrix(i, batch, 32),
                                         in.narrow.matrix(i, batch, hidden));
         }},
        {"minibatch_closeness_gradient, 32 of 8", 4 * rows * (2 * hidden + 32),
         4 * rows * rows * hidden,
         [=, &backend, &in](std::int64_t i) {
             backend.minibatch_closeness_gradient(in.narrow_out.matrix(i, batch, hidden),
                                                  in.wide_out.matrix(i, batch, 32),
                                                  in.narrow.matrix(i, batch, hidden));
         }},
        {"copy_columns, 256", 8 * rows * hidden, 0,
         [=, &backend, &in](std::int64_t i) {
             backend.copy_columns(in.wide_out.matrix(i, batch, hidden + 2), 0,
                                  in.narrow.matrix(i, batch, hidden), 0, hidden);
         }},
        {"one_hot, 2 classes", 8 * rows, 0,
         [=, &backend, &in](std::int64_t i) {
             backend.one_hot(in.wide_out.matrix(i, batch, hidden + 2), hidden, 2,
                             {in.labels.data(), batch});
         }},
    };
}

} // namespace patchforge::bench
