#include "host/attack/attack_runner.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <numeric>
#include <optional>
#include <stdexcept>

#include "host/attack/gradient_attack.h"
#include "host/attack/optimisation_attack.h"
#include "host/attack/query_attack.h"
#include "host/attack/worst_attacks.h"

namespace patchforge {

namespace {

constexpr double no_budget = std::numeric_limits<double>::infinity();
constexpr std::int64_t query_capacity = 128; // questions asked at once

double seconds_since(std::chrono::steady_clock::time_point start) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double ulp_of(float value) {
    return static_cast<double>(std::nextafter(std::fabs(value), 2.0f)) - std::fabs(value);
}

} // namespace

int grid_radius(double epsilon) {
    return static_cast<int>(std::floor(std::min(epsilon, 1.0) * 255 + 1e-3));
}

struct AttackRunner::Methods {
    std::optional<GradientAttack> gradient;
    std::optional<OptimisationAttack> optimisation;
    std::optional<BlackBoxVictim> black_box;
    std::optional<QueryAttack> query;
    std::optional<WorstAttacks> worst;
    DeviceArray<float> gradients;     // sensitivity
    DeviceArray<float> start;         // forge
    DeviceArray<std::uint8_t> others; // forge: patches to start from
};

AttackRunner::AttackRunner(std::vector<const ClassifierModel*> members,
                           const ClassifierModel* detector, const AttackSet& set,
                           const AttackOptions& options,
                           std::function<void(const std::string&)> log)
    : backend_(members.at(0)->backend()), set_(set), options_(options), log_(std::move(log)),
      judge_(members, options.batch_size, detector),
      batch_(backend_, options.batch_size, judge_.pixels()), methods_(std::make_unique<Methods>()),
      rounded_(backend_, options.batch_size * judge_.pixels()),
      rounded_pixels_(backend_, options.batch_size * judge_.pixels()),
      threshold_(backend_, options.batch_size), norms_(backend_, options.batch_size) {
    options_.validate(judge_.class_count());
    if (set.count() < 1 ||
        static_cast<std::int64_t>(set.levels.size()) != set.count() * judge_.pixels()) {
        throw std::invalid_argument(fmt::format(
            "--data: holds {} patches of {} pixels, the model takes {}; give patches of the "
            "model's size",
            set.count(),
            set.count() ? static_cast<std::int64_t>(set.levels.size()) / set.count() : 0,
            judge_.pixels()));
    }
    for (const std::int32_t label : set.labels) {
        if (label < 0 || label >= judge_.class_count()) {
            throw std::invalid_argument(fmt::format(
                "--data: a patch has the label {}, the model knows {} classes; give data "
                "of the model's classes",
                label, judge_.class_count()));
        }
    }
    if (is_black_box(options.method) || options.method == AttackMethod::worst) {
        methods_->black_box.emplace(std::move(members), query_capacity, set.count(), detector);
    }
    std::vector<float> logits;
    std::vector<std::int64_t> all(static_cast<std::size_t>(set.count()));
    std::iota(all.begin(), all.end(), 0);
    targets_.assign(all.size(), -1);
    for (std::size_t first = 0; first < all.size();
         first += static_cast<std::size_t>(options.batch_size)) {
        const auto count =
            std::min(all.size() - first, static_cast<std::size_t>(options.batch_size));
        load(std::span(all).subspan(first, count));
        const std::vector<float> answers =
            judge_.host_logits(batch_.origin(), static_cast<std::int64_t>(count));
        logits.insert(logits.end(), answers.begin(), answers.end());
        const std::vector<std::uint8_t> stopped =
            judge_.detected(batch_.origin(), static_cast<std::int64_t>(count));
        clean_detected_.insert(clean_detected_.end(), stopped.begin(), stopped.end());
    }
    clean_ = argmax_of(logits, judge_.class_count());
    const std::vector<float> probabilities = softmax_of(logits, judge_.class_count());
    for (std::size_t i = 0; i < clean_.size(); ++i) {
        clean_confidence_.push_back(
            probabilities[i * static_cast<std::size_t>(judge_.class_count()) +
                          static_cast<std::size_t>(clean_[i])]);
    }
    choose_targets(logits);
}

AttackRunner::~AttackRunner() = default;

void AttackRunner::choose_targets(const std::vector<float>& clean_logits) {
    if (!options_.targeted()) {
        return;
    }
    const std::int64_t classes = judge_.class_count();
    std::vector<float> chance(targets_.size());
    if (options_.target == AttackOptions::Target::random) {
        DeviceArray<float> drawn(backend_, set_.count());
        backend_.fill_uniform(drawn.view(), 0, 1,
                              attack_stream(options_.seed, AttackStream::targets, 0));
        drawn.download(chance.data(), set_.count());
    }
    for (std::size_t i = 0; i < targets_.size(); ++i) {
        const float* z = clean_logits.data() + static_cast<std::int64_t>(i) * classes;
        switch (options_.target) {
        case AttackOptions::Target::fixed:
            targets_[i] = options_.target_class;
            break;
        case AttackOptions::Target::least_likely:
            targets_[i] = static_cast<std::int32_t>(std::min_element(z, z + classes) - z);
            break;
        default: { // any class but the label, with equal chance
            const auto choice = std::min<std::int64_t>(
                static_cast<std::int64_t>(chance[i] * static_cast<float>(classes - 1)),
                classes - 2);
            targets_[i] = static_cast<std::int32_t>(choice + (choice >= set_.labels[i]));
        }
        }
    }
}

void AttackRunner::load(std::span<const std::int64_t> samples) {
    std::vector<std::uint8_t> levels;
    std::vector<std::int32_t> label;
    for (const std::int64_t sample : samples) {
        const auto patch = set_.patch(sample);
        levels.insert(levels.end(), patch.begin(), patch.end());
        const auto i = static_cast<std::size_t>(sample);
        label.push_back(options_.targeted() && targets_[i] >= 0 ? targets_[i] : set_.labels[i]);
    }
    batch_.load(levels, label, samples);
}

std::vector<std::int64_t> AttackRunner::clean_right() const {
    std::vector<std::int64_t> samples;
    for (std::size_t i = 0; i < clean_.size(); ++i) {
        if (clean_[i] == set_.labels[i] && !clean_detected_[i]) {
            samples.push_back(static_cast<std::int64_t>(i));
        }
    }
    return samples;
}

// Rounds batch_.x() into rounded_. In L2 and L1 the nearest levels may leave the ball: such rows
// round towards the origin more and more often; cutting (threshold above 1) never moves away from
// it.
void AttackRunner::round(double epsilon) {
    const std::int64_t rows = batch_.capacity();
    const Matrix<std::uint8_t> levels = rounded_.matrix(rows, batch_.pixels());
    const Matrix<float> pixels = rounded_pixels_.matrix(rows, batch_.pixels());
    const bool pixelwise = options_.norm == Norm::linf || epsilon == no_budget;
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
        backend_.row_norms(norms_.vector(), pixels, batch_.origin(), options_.norm);
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
void AttackRunner::check(Violations& violations, double epsilon) const {
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
            if (options_.norm == Norm::linf && std::fabs(d) > budget) {
                ++violations.ball;
                exceeds(std::fabs(d) - budget, x[e]);
            }
            l1 += std::fabs(d);
            l2 += d * d;
        }
        const double norm = options_.norm == Norm::l2 ? std::sqrt(l2) : l1;
        if (options_.norm != Norm::linf && norm > budget) {
            ++violations.ball;
            exceeds(norm - budget, static_cast<float>(budget));
        }
    }
}

void AttackRunner::collect(AttackResult& result, double epsilon) {
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
    const std::vector<std::int32_t> answers = judge_.predictions(x, rows);
    const std::vector<std::uint8_t> stopped = judge_.detected(x, rows);
    const std::vector<float> logits = judge_.host_logits(pixels, rows);
    const std::vector<std::uint8_t> rounded_stopped = judge_.detected(pixels, rows);
    const std::int64_t classes = judge_.class_count();
    const std::vector<std::int32_t> rounded = argmax_of(logits, classes);
    const std::vector<float> probabilities = softmax_of(logits, classes);
    for (std::int64_t row = 0; row < rows; ++row) {
        const auto r = static_cast<std::size_t>(row);
        SampleOutcome& sample = result.samples[static_cast<std::size_t>(batch_.sample(row))];
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
}

void AttackRunner::attack_samples(AttackResult& result, const std::vector<std::int64_t>& samples,
                                  double epsilon, const std::function<void()>& attack,
                                  const std::function<void(std::int64_t)>& progress) {
    const auto size = static_cast<std::size_t>(options_.batch_size);
    for (std::size_t first = 0; first < samples.size(); first += size) {
        load(std::span(samples).subspan(first, std::min(size, samples.size() - first)));
        attack();
        collect(result, epsilon);
        if (progress) {
            progress(static_cast<std::int64_t>(first) + batch_.rows());
        }
    }
}

AttackResult AttackRunner::run(double epsilon, double lambda,
                               const std::function<void(std::int64_t)>& progress) {
    const auto begin = std::chrono::steady_clock::now();
    const bool unbounded = is_unbounded(options_.method);
    AttackResult result{.epsilon = unbounded ? no_budget : epsilon,
                        .lambda = lambda,
                        .guarded = judge_.has_detector(),
                        .samples = std::vector<SampleOutcome>(clean_.size()),
                        .levels = set_.levels,
                        .violations = {}};
    for (std::size_t i = 0; i < clean_.size(); ++i) {
        SampleOutcome& sample = result.samples[i];
        sample.clean = sample.adversarial = sample.rounded = clean_[i];
        sample.clean_detected = sample.detected = sample.rounded_detected = clean_detected_[i] != 0;
        sample.clean_confidence = sample.rounded_confidence = clean_confidence_[i];
        sample.target = targets_[i];
    }
    if (methods_->black_box) {
        methods_->black_box->forget_queries();
    }
    // Attacks that cost thousands of questions leave alone what the victim gets wrong anyway.
    std::vector<std::int64_t> samples(clean_.size());
    std::iota(samples.begin(), samples.end(), 0);
    if (methods_->black_box && !options_.targeted()) {
        attack_samples(result, samples, 0, [] {}, {}); // so that all have their figures
        samples = clean_right();
    }
    if (!unbounded && epsilon == 0) {
        attack_samples(
            result, samples, 0, [this] { batch_.restart(); }, progress);
    } else if (options_.method == AttackMethod::worst) {
        run_worst(result, epsilon, progress);
    } else {
        std::function<void()> attack;
        switch (options_.method) {
        case AttackMethod::forge:
        case AttackMethod::cw:
            if (!methods_->optimisation) {
                methods_->optimisation.emplace(judge_, batch_, options_);
            }
            attack = [&] {
                if (options_.method == AttackMethod::cw) {
                    methods_->optimisation->run_cw();
                } else {
                    start_forge();
                    methods_->optimisation->run_forge(
                        methods_->start.matrix(batch_.capacity(), batch_.pixels()), lambda);
                }
                for (std::int64_t row = 0; row < batch_.rows(); ++row) {
                    result.samples[static_cast<std::size_t>(batch_.sample(row))].steps =
                        methods_->optimisation->steps_to_success()[static_cast<std::size_t>(row)];
                }
            };
            break;
        case AttackMethod::numeric:
        case AttackMethod::nes:
        case AttackMethod::spsa:
        case AttackMethod::square:
            methods_->query.emplace(*methods_->black_box, batch_, options_);
            attack = [&] { methods_->query->run(epsilon); };
            break;
        default:
            if (!methods_->gradient) {
                methods_->gradient.emplace(judge_, batch_, options_);
            }
            attack = [&] { methods_->gradient->run(epsilon); };
        }
        attack_samples(result, samples, result.epsilon, attack, progress);
    }
    if (methods_->black_box) {
        for (std::size_t i = 0; i < clean_.size(); ++i) {
            result.samples[i].queries = methods_->black_box->queries()[i];
        }
    }
    backend_.synchronise();
    result.seconds = seconds_since(begin);
    return result;
}

void AttackRunner::start_forge() {
    const std::int64_t rows = batch_.capacity();
    const std::int64_t pixels = batch_.pixels();
    Methods& methods = *methods_;
    if (methods.start.size() == 0) {
        methods.start = DeviceArray<float>(backend_, rows * pixels);
        methods.others = DeviceArray<std::uint8_t>(backend_, rows * pixels);
    }
    const Matrix<float> start = methods.start.matrix(rows, pixels);
    if (options_.start == AttackOptions::Start::self) {
        backend_.copy(start.data, batch_.origin().data,
                      static_cast<std::size_t>(start.size()) * sizeof(float));
    } else if (options_.start == AttackOptions::Start::noise) {
        backend_.fill_uniform(start.flat(), 0, 1,
                              attack_stream(options_.seed, AttackStream::others,
                                            static_cast<std::uint64_t>(batch_.sample(0))));
    } else {
        // The next sample of the set with the same label; without any, the next sample.
        std::vector<std::uint8_t> levels;
        for (std::int64_t row = 0; row < rows; ++row) {
            std::int64_t other = (batch_.sample(row) + 1) % set_.count();
            for (std::int64_t tried = 0; tried < set_.count(); ++tried) {
                const std::int64_t candidate = (batch_.sample(row) + 1 + tried) % set_.count();
                if (candidate != batch_.sample(row) &&
                    set_.labels[static_cast<std::size_t>(candidate)] ==
                        set_.labels[static_cast<std::size_t>(batch_.sample(row))]) {
                    other = candidate;
                    break;
                }
            }
            const auto patch = set_.patch(other);
            levels.insert(levels.end(), patch.begin(), patch.end());
        }
        methods.others.upload(levels.data(), rows * pixels);
        const BatchPlan plan{
            .count = rows, .batch_size = rows, .order = BatchPlan::Order::sequential};
        backend_.gather_rows(start, {}, methods.others.matrix(rows, pixels), PixelRange::unit,
                             plan);
    }
}

void AttackRunner::run_worst(AttackResult& result, double epsilon,
                             const std::function<void(std::int64_t)>& progress) {
    const auto begin = std::chrono::steady_clock::now();
    const auto say = [&](const std::string& line) {
        if (log_) {
            log_(line);
        }
    };
    if (!methods_->worst) {
        methods_->worst.emplace(judge_, batch_, options_);
        methods_->query.emplace(*methods_->black_box, batch_, options_);
    }
    std::vector<std::int64_t> standing = clean_right();
    const auto share = [&](std::size_t part) {
        return 100 * static_cast<double>(part) / static_cast<double>(clean_.size());
    };
    say(fmt::format("initial accuracy: {:.2f}%", share(standing.size())));
    const std::int64_t total = static_cast<std::int64_t>(standing.size());
    const std::vector<std::pair<std::string, std::function<void()>>> stages = {
        {"apgd-ce", [&] { methods_->worst->apgd(epsilon, VictimLoss::cross_entropy); }},
        {"apgd-margin", [&] { methods_->worst->apgd(epsilon, VictimLoss::margin); }},
        {"minimal", [&] { methods_->worst->minimal(epsilon); }},
        {"square", [&] { methods_->query->run(epsilon); }}};
    for (const auto& [name, attack] : stages) {
        attack_samples(result, standing, epsilon, attack, {});
        std::vector<std::int64_t> left;
        for (const std::int64_t sample : standing) {
            const auto i = static_cast<std::size_t>(sample);
            if (!result.samples[i].broken(set_.labels[i])) {
                left.push_back(sample);
            }
        }
        say(fmt::format("{} - {} out of {} successfully perturbed", name,
                        standing.size() - left.size(), standing.size()));
        standing = std::move(left);
        say(fmt::format("robust accuracy after {}: {:.2f}% (total time {:.1f} s)", name,
                        share(standing.size()), seconds_since(begin)));
        if (progress) {
            progress(total - static_cast<std::int64_t>(standing.size()));
        }
        if (standing.empty()) {
            break;
        }
    }
    float largest = 0;
    for (const SampleOutcome& sample : result.samples) {
        largest = std::max(largest, sample.linf);
    }
    say(fmt::format("max Linf perturbation: {:.5f}, nan in tensor: {}", largest,
                    result.violations.not_finite));
    say(fmt::format("robust accuracy: {:.2f}%", share(standing.size())));
}

AttackRunner::Sensitivity AttackRunner::sensitivity(double epsilon) {
    Sensitivity mean;
    const std::int64_t rows = batch_.capacity();
    if (methods_->gradients.size() == 0) {
        methods_->gradients = DeviceArray<float>(backend_, rows * batch_.pixels());
    }
    const Matrix<float> gradient = methods_->gradients.matrix(rows, batch_.pixels());
    double departure = 0, predicted = 0;
    std::vector<std::int64_t> all(clean_.size());
    std::iota(all.begin(), all.end(), 0);
    const auto size = static_cast<std::size_t>(options_.batch_size);
    for (std::size_t first = 0; first < all.size(); first += size) {
        load(std::span(all).subspan(first, std::min(size, all.size() - first)));
        const WhiteBoxVictim::Goal goal{VictimLoss::cross_entropy};
        judge_.gradient(gradient, norms_.vector(), batch_.origin(), batch_.label(), goal);
        const std::vector<float> loss = norms_.get();
        std::vector<float> g(static_cast<std::size_t>(gradient.size())), x0(g.size()), x(g.size());
        backend_.download(g.data(), gradient.data, g.size() * sizeof(float));
        backend_.perturb_step(batch_.x(), batch_.origin(), gradient, batch_.origin(),
                              {static_cast<float>(epsilon)}, {static_cast<float>(epsilon)},
                              StepRule::sign, Ball::linf);
        backend_.download(x0.data(), batch_.origin().data, g.size() * sizeof(float));
        backend_.download(x.data(), batch_.x().data, g.size() * sizeof(float));
        judge_.gradient(gradient, norms_.vector(), batch_.x(), batch_.label(), goal);
        const std::vector<float> moved = norms_.get();
        for (std::int64_t row = 0; row < batch_.rows(); ++row) {
            double l1 = 0, l2 = 0, slope = 0;
            for (std::int64_t i = row * batch_.pixels(); i < (row + 1) * batch_.pixels(); ++i) {
                const auto e = static_cast<std::size_t>(i);
                l1 += std::fabs(g[e]);
                l2 += static_cast<double>(g[e]) * g[e];
                slope += static_cast<double>(g[e]) * (static_cast<double>(x[e]) - x0[e]);
            }
            mean.gradient_l1 += l1;
            mean.gradient_l2 += std::sqrt(l2);
            mean.zero_gradients += l1 == 0;
            const auto r = static_cast<std::size_t>(row);
            departure += std::fabs(static_cast<double>(moved[r]) - loss[r] - slope);
            predicted += std::fabs(slope);
        }
    }
    const auto count = static_cast<double>(all.size());
    mean.gradient_l1 /= count;
    mean.gradient_l2 /= count;
    mean.nonlinearity = predicted > 0 ? departure / predicted : 0;
    return mean;
}

} // namespace patchforge
