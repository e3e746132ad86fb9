// What attacks do to pixels and to logits, a row being one sample [P] of a batch [B, P].
// Pixels lie in the box [0, 1]; origin x0 is the unchanged sample and lies in the box too.
// Any B, P >= 1. Outputs do not overlap inputs unless said. Sums have a fixed order.
#pragma once

#include "kernels/extent.h"
#include "kernels/random.h"
#include "kernels/views.h"

namespace patchforge {

// A number for every row, or one for each: budgets, step sizes and penalties. With `rows` on the
// device a recorded attack serves every budget, and rows can go their own ways.
struct RowValue {
    float value = 0;
    const float* rows = nullptr; // [B], device memory; null: `value` for all

    PATCHFORGE_HOST_DEVICE float at(std::int64_t row) const { return rows ? rows[row] : value; }
};

// How a direction d becomes a step of length alpha:
//   sign     sign(d), with sign(0) = 0 (Goodfellow et al. 2015)
//   plain    d
//   unit_l2  d / ||d||_2        a row whose norm is 0 or not finite does not move
//   unit_l1  d / ||d||_1        the same
enum class StepRule { sign, plain, unit_l2, unit_l1 };

// The ball around x0 that a step must end in.
//   linf  |x - x0| <= eps for every pixel: bounds are rounded inwards, so that it holds for the
//         float32 numbers exactly, without a tolerance
//   l2    x0 + s (x - x0), s = min(1, eps / ||x - x0||_2 * (1 - 2^-20)), every pixel rounded
//         towards x0: so the norm of the float32 numbers is at most eps. A shrunken step stays in the box.
//   l1    the same with ||x - x0||_1
//   none  the box alone; origin is not read
enum class Ball { linf, l2, l1, none };

enum class Norm { l1, l2, linf };

// Random directions u of gradient estimates: standard normal (NES, Wierstra et al. 2014; Ilyas et
// al. 2018) or +-1 with equal chance (SPSA, Spall 1992; +1 where uniform_from_word >= 0.5).
enum class DirectionKind { normal, sign };

struct PerturbOperations {
    virtual ~PerturbOperations() = default;

    // y[e] = x[e] * scale + shift, rounded once or twice. y may be x.
    virtual void affine(Vector<float> y, Vector<const float> x, float scale, float shift) = 0;

    // y[e] = wa a[e] + wb b[e] + wc c[e]. b and c may be empty; y may be any of them.
    virtual void weighted_sum(Vector<float> y, Vector<const float> a, float wa,
                              Vector<const float> b, float wb, Vector<const float> c, float wc) = 0;

    // y = project(x + alpha * rule(direction)): first the box, then the ball (for linf at once).
    // alpha may be negative (descent) or 0 (projection alone: direction is not read and may be
    // empty). eps >= 0. y may be x or direction. Every pixel that is not finite becomes x0's
    // (Ball::none: 0). FGSM is one such step from x = x0 with alpha = eps, Ball::linf.
    virtual void perturb_step(Matrix<float> y, Matrix<const float> x, Matrix<const float> direction,
                              Matrix<const float> origin, RowValue alpha, RowValue epsilon,
                              StepRule rule, Ball ball) = 0;

    // out [B] = ||a - b|| of each row, accumulated in float64; b may be empty (0).
    virtual void row_norms(Vector<float> out, Matrix<const float> a, Matrix<const float> b,
                           Norm norm) = 0;

    // m = decay * m + g / ||g||_1 (MI-FGSM, Dong et al. 2018). A row with ||g||_1 = 0 adds nothing.
    virtual void accumulate_direction(Matrix<float> m, Matrix<const float> g, float decay) = 0;

    // g += 2 weight (x - x0): the gradient of weight * ||x - x0||_2^2.
    virtual void add_distance_gradient(Matrix<float> g, Matrix<const float> x,
                                       Matrix<const float> origin, RowValue weight) = 0;

    // Pixels as bytes v, v / 255 being in the box and within eps of x0 (each with a slack of 1/1000
    // of a grey level, for float32 cannot hold v / 255 exactly). With q = 255 x and q0 = 255 x0,
    // the level moves away from q0 by the whole levels of |q - q0|, and one further where the rest
    // is at least `threshold`: 0.5 rounds to the nearest level, anything above 1 cuts towards x0.
    // Where no level is in the ball (x0 off the grid, eps small): the level nearest to x0.
    virtual void round_to_grid(Matrix<std::uint8_t> levels, Matrix<const float> x,
                               Matrix<const float> origin, RowValue epsilon,
                               RowValue threshold) = 0;

    // out row r = in row index[r], and the reverse: out row index[r] = in row r, others left alone.
    // Indices of place_rows are distinct; index[r] < 0 is no row and skipped by both.
    virtual void select_rows(Matrix<float> out, Matrix<const float> in,
                             Vector<const std::int32_t> index) = 0;
    virtual void place_rows(Matrix<float> out, Matrix<const float> in,
                            Vector<const std::int32_t> index) = 0;

    // Carlini & Wagner's margin (2017) of each row: loss [B] = max over j != label of z_j, minus
    // z_label: positive when the label is lost. d_logit [B, C] = scale (one-hot(that j, the first
    // of equals) - one-hot(label)), but 0 where loss <= low or loss >= high. C >= 2. For a target
    // t, -loss says how far t leads. d_logit or loss may be empty: not wanted.
    virtual void margin_loss(Matrix<float> d_logit, Vector<float> loss, Matrix<const float> logit,
                             Vector<const std::int32_t> label, RowValue scale, float low,
                             float high) = 0;

    // loss [B] = sum over classes of |p_c - t_c|^power, p = softmax(logit), t = one-hot(label),
    // power 1 or 2; d_logit [B, C] = scale * its gradient. Either may be empty.
    virtual void probability_distance(Matrix<float> d_logit, Vector<float> loss,
                                      Matrix<const float> logit, Vector<const std::int32_t> label,
                                      int power, float scale) = 0;

    // Mean logits of an ensemble, one member a call: total [B, C] = weight * member, added to what
    // is there when `accumulate`. A member with one column is a binary head: its logit l counts as
    // (0, l), and C is 2.
    virtual void combine_logits(Matrix<float> total, Matrix<const float> member, float weight,
                                bool accumulate) = 0;
    // Its reverse: d_member = weight * d_total; for a binary head column 1 of d_total.
    virtual void split_logit_gradient(Matrix<float> d_member, Matrix<const float> d_total,
                                      float weight) = 0;

    // probability [B, C] = softmax of each row. May be in place.
    virtual void softmax_rows(Matrix<float> probability, Matrix<const float> logit) = 0;
    // out [B] = column of the largest value, the first of equals.
    virtual void argmax_rows(Vector<std::int32_t> out, Matrix<const float> values) = 0;

    // Queries around x [R, P] along S directions a row, u of row r and direction s being elements
    // (r S + s) P ... of `random` (normal: paired as in fill_normal):
    //     query row 2 (r S + s)     = x_r + sigma u
    //     query row 2 (r S + s) + 1 = x_r - sigma u
    // query [2 R S, P]. Not clamped: the estimate below is of the function on both sides of x.
    virtual void antithetic_queries(Matrix<float> query, Matrix<const float> x, float sigma,
                                    DirectionKind kind, const RandomStream& random) = 0;
    // g [R, P] = 1 / (2 sigma S) * sum over s of (loss[2(rS+s)] - loss[2(rS+s)+1]) u, u drawn
    // again; loss [2 R S]. Added to g when `accumulate`.
    virtual void antithetic_gradient(Matrix<float> g, Vector<const float> loss, float sigma,
                                     DirectionKind kind, const RandomStream& random,
                                     bool accumulate) = 0;

    // Central differences by blocks: direction s of S is 1 on the `width` coordinates from
    // first + s width on (cut at P), 0 elsewhere. query [2 R S, P] as above with sigma = h.
    virtual void block_queries(Matrix<float> query, Matrix<const float> x, float h,
                               std::int64_t first, std::int64_t width) = 0;
    // g at those coordinates = (loss+ - loss-) / (2 h n), n the block's coordinates; others left
    // alone.
    virtual void block_gradient(Matrix<float> g, Vector<const float> loss, float h,
                                std::int64_t first, std::int64_t width) = 0;

    // Square attack (Andriushchenko et al. 2020). Values x0 +- eps are cut to box and ball as in
    // perturb_step. Start: one sign for each column of each channel; element r C W + c W + column.
    virtual void square_stripes(Matrix<float> x, Matrix<const float> origin, RowValue epsilon,
                                Extent shape, const RandomStream& random) = 0;
    // candidate = best, but x0 +- eps in a square of side x side pixels (side <= height, width),
    // one sign a channel. Elements of row r: 8 r the square's first column, word * (W - side + 1) /
    // 2^32; 8 r + 1 its first row; 8 r + 2 + c the sign of channel c <= 5 (top bit set: +).
    virtual void square_proposal(Matrix<float> candidate, Matrix<const float> best,
                                 Matrix<const float> origin, RowValue epsilon, Extent shape,
                                 int side, const RandomStream& random) = 0;
};

} // namespace patchforge
