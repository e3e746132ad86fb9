// Backends that have not defined an operation for attacks refuse it.
#include <stdexcept>

#include "kernels/operations/perturb.h"

namespace patchforge {

namespace {

[[noreturn]] void refuse() {
    throw std::runtime_error("attacks: this backend has no such operation; use another one");
}

} // namespace

void PerturbOperations::affine(Vector<float>, Vector<const float>, float, float) {
    refuse();
}
void PerturbOperations::weighted_sum(Vector<float>, Vector<const float>, float, Vector<const float>,
                                     float, Vector<const float>, float) {
    refuse();
}
void PerturbOperations::perturb_step(Matrix<float>, Matrix<const float>, Matrix<const float>,
                                     Matrix<const float>, RowValue, RowValue, StepRule, Ball) {
    refuse();
}
void PerturbOperations::row_norms(Vector<float>, Matrix<const float>, Matrix<const float>, Norm) {
    refuse();
}
void PerturbOperations::accumulate_direction(Matrix<float>, Matrix<const float>, float) {
    refuse();
}
void PerturbOperations::add_distance_gradient(Matrix<float>, Matrix<const float>,
                                              Matrix<const float>, RowValue) {
    refuse();
}
void PerturbOperations::round_to_grid(Matrix<std::uint8_t>, Matrix<const float>,
                                      Matrix<const float>, RowValue, RowValue) {
    refuse();
}
void PerturbOperations::select_rows(Matrix<float>, Matrix<const float>,
                                    Vector<const std::int32_t>) {
    refuse();
}
void PerturbOperations::place_rows(Matrix<float>, Matrix<const float>, Vector<const std::int32_t>) {
    refuse();
}
void PerturbOperations::margin_loss(Matrix<float>, Vector<float>, Matrix<const float>,
                                    Vector<const std::int32_t>, RowValue, float) {
    refuse();
}
void PerturbOperations::probability_distance(Matrix<float>, Vector<float>, Matrix<const float>,
                                             Vector<const std::int32_t>, int, float) {
    refuse();
}
void PerturbOperations::combine_logits(Matrix<float>, Matrix<const float>, float, bool) {
    refuse();
}
void PerturbOperations::split_logit_gradient(Matrix<float>, Matrix<const float>, float) {
    refuse();
}
void PerturbOperations::softmax_rows(Matrix<float>, Matrix<const float>) {
    refuse();
}
void PerturbOperations::argmax_rows(Vector<std::int32_t>, Matrix<const float>) {
    refuse();
}
void PerturbOperations::antithetic_queries(Matrix<float>, Matrix<const float>, float, DirectionKind,
                                           const RandomStream&) {
    refuse();
}
void PerturbOperations::antithetic_gradient(Matrix<float>, Vector<const float>, float,
                                            DirectionKind, const RandomStream&, bool) {
    refuse();
}
void PerturbOperations::block_queries(Matrix<float>, Matrix<const float>, float, std::int64_t,
                                      std::int64_t) {
    refuse();
}
void PerturbOperations::block_gradient(Matrix<float>, Vector<const float>, float, std::int64_t,
                                       std::int64_t) {
    refuse();
}
void PerturbOperations::square_stripes(Matrix<float>, Matrix<const float>, RowValue, PictureShape,
                                       const RandomStream&) {
    refuse();
}
void PerturbOperations::square_proposal(Matrix<float>, Matrix<const float>, Matrix<const float>,
                                        RowValue, PictureShape, int, const RandomStream&) {
    refuse();
}

} // namespace patchforge
