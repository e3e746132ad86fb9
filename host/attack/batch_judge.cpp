#include "host/attack/batch_judge.h"

#include <algorithm>
#include <cmath>

#include "host/model/classifier_model.h"

namespace patchforge {

namespace {

double ulp_of(float value) {
    return static_cast<double>(std::nextafter(std::fabs(value), 2.0f)) - std::fabs(value);
}

} // namespace

int grid_radius(double epsilon) {
    return static_cast<int>(std::floor(std::min(epsilon, 1.0) * 255 + 1e-3));
}

BatchJudge::BatchJudge(WhiteBoxVictim& victim, const AttackBatch& batch, const AttackSet& set,
                       const AttackOptions& options)
    : backend_(victim.backend()), victim_(victim), batch_(batch), set_(set), norm_(options.norm),
      seed_(options.seed), rounded_(backend_, batch.capacity() * batch.pixels()),
      rounded_pixels_(backend_, batch.capacity() * batch.pixels()),
      threshold_(backend_, batch.capacity()), norms_(backend_, batch.capacity()) {
    if (options.change.active()) {
        const ClassifierFormat& format = victim.format();
        camera_.emplace(backend_, format.extent(), batch.capacity(), options.change);
    }
}

// The 8-bit images and the unchanged samples under the same changes, which no attack has seen.
void BatchJudge::judge_changed(AttackResult& result) {
    constexpr std::uint64_t draws = 8;
    result.changed = true;
    const std::int64_t rows = batch_.rows();
    const Matrix<const float> pixels = rounded_pixels_.matrix(batch_.capacity(), batch_.pixels());
    for (std::uint64_t draw = 0; draw < draws; ++draw) {
        const RandomStream random =
            attack_stream(seed_, AttackStream::judged_changes,
                          static_cast<std::uint64_t>(batch_.sample(0)) * 64 + draw);
        for (const bool forged : {false, true}) {
            const Matrix<float> seen = camera_->see(forged ? pixels : batch_.origin(), random);
            const std::vector<std::int32_t> answers = victim_.predictions(seen, rows);
            const std::vector<std::uint8_t> stopped = victim_.detected(seen, rows);
            for (std::int64_t row = 0; row < rows; ++row) {
                const auto r = static_cast<std::size_t>(row);
                SampleOutcome& sample = result.samples[batch_.sample(row)];
                const std::int32_t label = set_.labels[batch_.sample(row)];
                sample.take_change(draw == 0, forged, answers[r], stopped[r] != 0, label,
                                   1.0f / draws);
            }
        }
    }
}

// Rounds batch_.x() into rounded_. In L2 and L1 the nearest levels may leave the ball: such rows
// round towards the origin more and more often; cutting (threshold above 1) never moves away from
// it.
void BatchJudge::round(double epsilon) {
    const std::int64_t rows = batch_.capacity();
    const Matrix<std::uint8_t> levels = rounded_.matrix(rows, batch_.pixels());
    const Matrix<float> pixels = rounded_pixels_.matrix(rows, batch_.pixels());
    const bool pixelwise = norm_ == Norm::linf || epsilon == no_budget;
    const RowValue radius{pixelwise ? static_cast<float>(std::min(epsilon, 2.0))
                                    : 2.0f}; // 2: no bound
    std::vector<float> threshold(static_cast<std::size_t>(rows), 0.5f);
    for (const float next : {0.65f, 0.8f, 0.95f, 1.5f, 2.0f}) {
        threshold_.set(threshold);
        backend_.round_to_grid(levels, batch_.x(), batch_.origin(), radius, threshold_.view());
        const BatchPlan plan{
            .count = rows, .batch_size = rows, .order = BatchPlan::Order::sequential};
        backend_.gather_rows(pixels, {}, levels, PixelRange::unit, plan);
        if (pixelwise) {
            return;
        }
        backend_.row_norms(norms_.vector(), pixels, batch_.origin(), norm_);
        const std::vector<float> norm = norms_.get();
        bool outside = false;
        for (std::size_t r = 0; r < threshold.size(); ++r) {
            if (norm[r] > static_cast<float>(epsilon)) {
                threshold[r] = next;
                outside = true;
            }
        }
        if (!outside) {
            return;
        }
    }
}

// Independent of the kernels: every pixel again, in float64.
void BatchJudge::check(Violations& violations, double epsilon) const {
    const auto size = static_cast<std::size_t>(batch_.rows() * batch_.pixels());
    std::vector<float> x(size), origin(size);
    backend_.download(x.data(), batch_.x().data, size * sizeof(float));
    backend_.download(origin.data(), batch_.origin().data, size * sizeof(float));
    const double budget = static_cast<float>(epsilon);
    const auto exceeds = [&](double excess, float near) {
        violations.largest_ulps = std::max(violations.largest_ulps, excess / ulp_of(near));
    };
    for (std::int64_t row = 0; row < batch_.rows(); ++row) {
        double l1 = 0, l2 = 0;
        for (std::int64_t i = row * batch_.pixels(); i < (row + 1) * batch_.pixels(); ++i) {
            const auto e = static_cast<std::size_t>(i);
            const double d = static_cast<double>(x[e]) - static_cast<double>(origin[e]);
            if (!std::isfinite(x[e])) {
                ++violations.not_finite;
            } else if (x[e] < 0 || x[e] > 1) {
                ++violations.box;
                exceeds(x[e] < 0 ? -static_cast<double>(x[e]) : x[e] - 1.0, 1.0f);
            }
            if (norm_ == Norm::linf && std::fabs(d) > budget) {
                ++violations.ball;
                exceeds(std::fabs(d) - budget, x[e]);
            }
            l1 += std::fabs(d);
            l2 += d * d;
        }
        const double norm = norm_ == Norm::l2 ? std::sqrt(l2) : l1;
        if (norm_ != Norm::linf && norm > budget) {
            ++violations.ball;
            exceeds(norm - budget, static_cast<float>(budget));
        }
    }
}

void BatchJudge::collect(AttackResult& result, double epsilon) {
    const std::int64_t rows = batch_.rows();
    const Matrix<const float> x = batch_.x();
    round(epsilon);
    const Matrix<const float> pixels = rounded_pixels_.matrix(batch_.capacity(), batch_.pixels());
    const auto norms = [&](Matrix<const float> of, Norm norm) {
        backend_.row_norms(norms_.vector(), of, batch_.origin(), norm);
        return norms_.get();
    };
    const std::vector<float> l2 = norms(x, Norm::l2), linf = norms(x, Norm::linf);
    const std::vector<float> rounded_l2 = norms(pixels, Norm::l2);
    const std::vector<float> rounded_linf = norms(pixels, Norm::linf);
    const std::vector<std::int32_t> answers = victim_.predictions(x, rows);
    const std::vector<std::uint8_t> stopped = victim_.detected(x, rows);
    const std::vector<float> logits = victim_.host_logits(pixels, rows);
    const std::vector<std::uint8_t> rounded_stopped = victim_.detected(pixels, rows);
    const std::int64_t classes = victim_.class_count();
    const std::vector<std::int32_t> rounded = argmax_of(logits, classes);
    const std::vector<float> probabilities = softmax_of(logits, classes);
    for (std::int64_t row = 0; row < rows; ++row) {
        const auto r = static_cast<std::size_t>(row);
        SampleOutcome& sample = result.samples[batch_.sample(row)];
        sample.adversarial = answers[r];
        sample.rounded = rounded[r];
        sample.detected = stopped[r] != 0;
        sample.rounded_detected = rounded_stopped[r] != 0;
        sample.l2 = l2[r];
        sample.linf = linf[r];
        sample.rounded_l2 = rounded_l2[r];
        sample.rounded_linf = rounded_linf[r];
        const float* p = probabilities.data() + row * classes;
        sample.rounded_confidence = p[rounded[r]];
        sample.rounded_last_class = p[classes - 1];
    }
    std::vector<std::uint8_t> levels(static_cast<std::size_t>(rows * batch_.pixels()));
    rounded_.download(levels.data(), static_cast<std::int64_t>(levels.size()));
    for (std::int64_t row = 0; row < rows; ++row) {
        std::copy_n(levels.begin() + row * batch_.pixels(), batch_.pixels(),
                    result.levels.begin() + batch_.sample(row) * batch_.pixels());
    }
    if (epsilon != no_budget) {
        check(result.violations, epsilon);
    }
    if (camera_) {
        judge_changed(result);
    }
}

} // namespace patchforge
