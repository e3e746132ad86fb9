#include "bench/kernel_cases.h"

namespace patchforge::bench {

std::vector<Case> attack_cases(Backend& backend, const Inputs& in, std::int64_t batch) {
    const double x = static_cast<double>(batch * pixels);
    const double rows = static_cast<double>(batch);
    const Extent picture = {.channels = 3, .height = 50, .width = 50};
    const RandomStream random = {.seed = 4, .purpose = 4, .draw = {}};
    return {
        {"perturb_step sign, linf", 16 * x, 0,
         [=, &backend, &in](std::int64_t i) {
             backend.perturb_step(
                 in.wide_out.matrix(i, batch, pixels), in.wide.matrix(i, batch, pixels),
                 in.wide.matrix(i + 1, batch, pixels), in.wide.matrix(i + 2, batch, pixels),
                 {.value = 0.01f}, {.value = 0.03f}, StepRule::sign, Ball::linf);
         }},
        {"perturb_step unit_l2, l2", 16 * x, 0,
         [=, &backend, &in](std::int64_t i) {
             backend.perturb_step(
                 in.wide_out.matrix(i, batch, pixels), in.wide.matrix(i, batch, pixels),
                 in.wide.matrix(i + 1, batch, pixels), in.wide.matrix(i + 2, batch, pixels),
                 {.value = 0.01f}, {.value = 0.03f}, StepRule::unit_l2, Ball::l2);
         }},
        {"perturb_step unit_l1, l1", 16 * x, 0,
         [=, &backend, &in](std::int64_t i) {
             backend.perturb_step(
                 in.wide_out.matrix(i, batch, pixels), in.wide.matrix(i, batch, pixels),
                 in.wide.matrix(i + 1, batch, pixels), in.wide.matrix(i + 2, batch, pixels),
                 {.value = 0.01f}, {.value = 0.03f}, StepRule::unit_l1, Ball::l1);
         }},
        {"row_norms l1", 8 * x, 0,
         [=, &backend, &in](std::int64_t i) {
             backend.row_norms(in.narrow_out.vector(i, batch), in.wide.matrix(i, batch, pixels),
                               in.wide.matrix(i + 1, batch, pixels), Norm::l1);
         }},
        {"row_norms l2", 8 * x, 0,
         [=, &backend, &in](std::int64_t i) {
             backend.row_norms(in.narrow_out.vector(i, batch), in.wide.matrix(i, batch, pixels),
                               in.wide.matrix(i + 1, batch, pixels), Norm::l2);
         }},
        {"row_norms linf", 8 * x, 0,
         [=, &backend, &in](std::int64_t i) {
             backend.row_norms(in.narrow_out.vector(i, batch), in.wide.matrix(i, batch, pixels),
                               in.wide.matrix(i + 1, batch, pixels), Norm::linf);
         }},
        {"accumulate_direction", 12 * x, 0,
         [=, &backend, &in](std::int64_t i) {
             backend.accumulate_direction(in.wide_out.matrix(i, batch, pixels),
                                          in.wide.matrix(i, batch, pixels), 1.0f);
         }},
        {"add_distance_gradient", 16 * x, 0,
         [=, &backend, &in](std::int64_t i) {
             backend.add_distance_gradient(in.wide_out.matrix(i, batch, pixels),
                                           in.wide.matrix(i, batch, pixels),
                                           in.wide.matrix(i + 1, batch, pixels), {.value = 1e-3f});
         }},
        {"round_to_grid", 9 * x, 0,
         [=, &backend, &in](std::int64_t i) {
             backend.round_to_grid(
                 {in.levels.data(), batch, pixels}, in.wide.matrix(i, batch, pixels),
                 in.wide.matrix(i + 1, batch, pixels), {.value = 0.03f}, {.value = 0.5f});
         }},
        {"affine", 8 * x, 0,
         [=, &backend, &in](std::int64_t i) {
             backend.affine(in.wide_out.vector(i, batch * pixels),
                            in.wide.vector(i, batch * pixels), 2, -1);
         }},
        {"weighted_sum of three", 16 * x, 0,
         [=, &backend, &in](std::int64_t i) {
             backend.weighted_sum(in.wide_out.vector(i, batch * pixels),
                                  in.wide.vector(i, batch * pixels), 0.5f,
                                  in.wide.vector(i + 1, batch * pixels), 0.25f,
                                  in.wide.vector(i + 2, batch * pixels), 0.25f);
         }},
        {"select_rows", 8 * x, 0,
         [=, &backend, &in](std::int64_t i) {
             backend.select_rows(in.wide_out.matrix(i, batch, pixels),
                                 in.wide.matrix(i, batch, pixels), {in.order.data(), batch});
         }},
        {"antithetic_queries, one direction", 12 * x, 0,
         [=, &backend, &in](std::int64_t i) {
             backend.antithetic_queries(in.wide_out.matrix(i, 2 * batch, pixels),
                                        in.wide.matrix(i, batch, pixels), 0.01f,
                                        DirectionKind::normal, random);
         }},
        {"antithetic_gradient, one direction", 4 * x, 0,
         [=, &backend, &in](std::int64_t i) {
             backend.antithetic_gradient(in.wide_out.matrix(i, batch, pixels),
                                         in.narrow.vector(i, 2 * batch), 0.01f,
                                         DirectionKind::normal, random, false);
         }},
        {"square_stripes", 8 * x, 0,
         [=, &backend, &in](std::int64_t i) {
             backend.square_stripes(in.wide_out.matrix(i, batch, pixels),
                                    in.wide.matrix(i, batch, pixels), {.value = 0.03f}, picture,
                                    random);
         }},
        {"square_proposal, side 10", 8 * x, 0,
         [=, &backend, &in](std::int64_t i) {
             backend.square_proposal(
                 in.wide_out.matrix(i, batch, pixels), in.wide.matrix(i, batch, pixels),
                 in.wide.matrix(i + 1, batch, pixels), {.value = 0.03f}, picture, 10, random);
         }},
        {"margin_loss, 10 classes", 84 * rows, 0,
         [=, &backend, &in](std::int64_t i) {
             backend.margin_loss(in.wide_out.matrix(i, batch, 10), in.narrow_out.vector(i, batch),
                                 in.wide.matrix(i, batch, 10), {in.labels.data(), batch},
                                 {.value = 1}, -1e9f, 1e9f);
         }},
        {"softmax_rows, 10 classes", 80 * rows, 0,
         [=, &backend, &in](std::int64_t i) {
             backend.softmax_rows(in.wide_out.matrix(i, batch, 10), in.wide.matrix(i, batch, 10));
         }},
        {"argmax_rows, 10 classes", 44 * rows, 0,
         [=, &backend, &in](std::int64_t i) {
             backend.argmax_rows({in.rows.data(), batch}, in.wide.matrix(i, batch, 10));
         }},
        {"dihedral", 8 * x, 0,
         [=, &backend, &in](std::int64_t i) {
             backend.dihedral(in.wide_out.matrix(i, batch, pixels),
                              in.wide.matrix(i, batch, pixels), picture, random);
         }},
    };
}

} // namespace patchforge::bench
