#include "host/attack/attack_runner.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <stdexcept>

#include "host/ranks/shared_rows.h"
#include "host/run/interrupt.h"

namespace patchforge {

namespace {

constexpr std::int64_t query_capacity = 128; // questions asked at once

double seconds_since(std::chrono::steady_clock::time_point start) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

} // namespace

AttackRunner::AttackRunner(std::vector<const ClassifierModel*> members,
                           const ClassifierModel* detector, const AttackSet& set,
                           const AttackOptions& options,
                           std::function<void(const std::string&)> log)
    : backend_(members.at(0)->backend()), set_(set), options_(options), log_(std::move(log)),
      victim_(members, options.batch_size, detector),
      batch_(backend_, options.batch_size, victim_.pixels()),
      judge_(victim_, batch_, set, options_), targets_(set.labels.size(), -1), labels_(set.labels) {
    options_.validate(victim_.class_count());
    if (set.count() < 1 ||
        static_cast<std::int64_t>(set.levels.size()) != set.count() * victim_.pixels()) {
        throw std::invalid_argument(fmt::format(
            "--data: holds {} patches of {} pixels, the model takes {}; give patches of the "
            "model's size",
            set.count(),
            set.count() ? static_cast<std::int64_t>(set.levels.size()) / set.count() : 0,
            victim_.pixels()));
    }
    for (const std::int32_t label : set.labels) {
        if (label < 0 || label >= victim_.class_count()) {
            throw std::invalid_argument(fmt::format(
                "--data: a patch has the label {}, the model knows {} classes; give data "
                "of the model's classes",
                label, victim_.class_count()));
        }
    }
    if (options.method->asks()) {
        black_box_.emplace(std::move(members), query_capacity, set.count(), detector);
    }
    ask_about_clean();
}

void AttackRunner::ask_about_clean() {
    std::vector<float> logits;
    const std::vector<std::int64_t> all = set_.samples();
    const auto size = static_cast<std::size_t>(options_.batch_size);
    for (std::size_t first = 0; first < all.size(); first += size) {
        const std::size_t count = std::min(all.size() - first, size);
        batch_.load(set_, std::span(all).subspan(first, count), set_.labels);
        const std::vector<float> answers = victim_.host_logits(batch_.origin(), batch_.rows());
        logits.insert(logits.end(), answers.begin(), answers.end());
        const std::vector<std::uint8_t> stopped = victim_.detected(batch_.origin(), batch_.rows());
        clean_detected_.insert(clean_detected_.end(), stopped.begin(), stopped.end());
    }
    const std::int64_t classes = victim_.class_count();
    clean_ = argmax_of(logits, classes);
    const std::vector<float> probabilities = softmax_of(logits, classes);
    for (std::size_t i = 0; i < clean_.size(); ++i) {
        clean_confidence_.push_back(probabilities[i * static_cast<std::size_t>(classes) +
                                                  static_cast<std::size_t>(clean_[i])]);
    }
    if (options_.targeted()) {
        choose_targets(logits);
        labels_ = targets_;
    }
}

void AttackRunner::choose_targets(const std::vector<float>& clean_logits) {
    const std::int64_t classes = victim_.class_count();
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

std::vector<std::int64_t> AttackRunner::clean_right() const {
    std::vector<std::int64_t> samples;
    for (std::size_t i = 0; i < clean_.size(); ++i) {
        if (clean_[i] == set_.labels[i] && !clean_detected_[i]) {
            samples.push_back(static_cast<std::int64_t>(i));
        }
    }
    return samples;
}

void AttackRunner::attack_samples(AttackResult& result, const std::vector<std::int64_t>& samples,
                                  double epsilon, const std::function<void()>& attack,
                                  const std::function<void(std::int64_t)>& progress) {
    const auto size = static_cast<std::size_t>(options_.batch_size);
    const std::int64_t pixels = victim_.pixels();
    Violations all = result.violations;
    std::vector<Violations> found((samples.size() + size - 1) / size); // of the batches
    std::vector<SampleOutcome> outcomes(samples.size());
    std::vector<std::uint8_t> levels(samples.size() * static_cast<std::size_t>(pixels));
    const auto levels_of = [&](std::size_t i) {
        return result.levels.begin() + samples[i] * pixels;
    };
    const auto attack_batch = [&](std::int64_t first, std::int64_t count) {
        stop_if_interrupted();
        const auto begin = static_cast<std::size_t>(first), rows = static_cast<std::size_t>(count);
        batch_.load(set_, std::span(samples).subspan(begin, rows), labels_);
        attack();
        result.violations = {};
        judge_.collect(result, epsilon);
        found[begin / size] = result.violations;
        for (std::size_t i = begin; i < begin + rows; ++i) {
            outcomes[i] = result.samples[samples[i]];
            std::copy_n(levels_of(i), pixels,
                        levels.begin() + static_cast<std::int64_t>(i) * pixels);
        }
        if (progress) {
            progress(first + count);
        }
    };
    const auto count = std::ssize(samples);
    share_batches(std::span(outcomes), count, 1, options_.batch_size, attack_batch);
    share_batches(std::span(levels), count, pixels, options_.batch_size,
                  [](std::int64_t, std::int64_t) {});
    share_batches(std::span(found), std::ssize(found), 1, 1, [](std::int64_t, std::int64_t) {});
    for (std::size_t i = 0; i < samples.size(); ++i) {
        result.samples[samples[i]] = outcomes[i];
        std::copy_n(levels.begin() + static_cast<std::int64_t>(i) * pixels, pixels, levels_of(i));
    }
    for (const Violations& one : found) {
        all.ball += one.ball;
        all.box += one.box;
        all.not_finite += one.not_finite;
        all.largest_ulps = std::max(all.largest_ulps, one.largest_ulps);
    }
    result.violations = all;
}

AttackResult AttackRunner::run(double epsilon, double lambda,
                               const std::function<void(std::int64_t)>& progress) {
    const auto begin = std::chrono::steady_clock::now();
    const bool bounded = options_.method->bounded;
    AttackResult result{.epsilon = bounded ? epsilon : no_budget,
                        .lambda = lambda,
                        .guarded = victim_.has_detector(),
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
    std::vector<std::int64_t> samples = set_.samples();
    if (black_box_) {
        black_box_->forget_queries();
    }
    // Attacks that cost thousands of questions leave alone what the victim gets wrong anyway.
    if (black_box_ && !options_.targeted()) {
        attack_samples(result, samples, 0, [] {}, {}); // so that all have their figures
        samples = clean_right();
    }
    if (bounded && epsilon == 0) {
        attack_samples(
            result, samples, 0, [this] { batch_.restart(); }, progress);
    } else {
        run_stages(result, std::move(samples), lambda, progress);
    }
    if (black_box_) {
        // Of attacks of several stages, each may have been another rank's.
        std::vector<std::int64_t> queries = black_box_->queries();
        sum_over_ranks(queries);
        for (std::size_t i = 0; i < queries.size(); ++i) {
            result.samples[i].queries = queries[i];
        }
    }
    backend_.synchronise();
    result.seconds = seconds_since(begin);
    return result;
}

void AttackRunner::run_stages(AttackResult& result, std::vector<std::int64_t> standing,
                              double lambda, const std::function<void(std::int64_t)>& progress) {
    if (!attack_) {
        attack_ = options_.method->prepare(
            {victim_, black_box_ ? &*black_box_ : nullptr, batch_, set_, options_});
    }
    const std::vector<std::string> stages = attack_->stages();
    const auto run_stage = [&](std::size_t stage, const auto& told) {
        const auto attack = [&] {
            attack_->run(stage, result.epsilon, lambda);
            for (std::int64_t row = 0; row < batch_.rows(); ++row) {
                result.samples[batch_.sample(row)].steps = attack_->steps_to_success(row);
            }
        };
        attack_samples(result, standing, result.epsilon, attack, told);
    };
    if (stages.size() == 1) {
        run_stage(0, progress);
        return;
    }
    const auto begin = std::chrono::steady_clock::now();
    const auto say = [&](const std::string& line) {
        if (log_) {
            log_(line);
        }
    };
    const auto share = [&](std::size_t part) {
        return 100 * static_cast<double>(part) / static_cast<double>(clean_.size());
    };
    say(fmt::format("initial accuracy: {:.2f}%", share(standing.size())));
    const std::size_t total = standing.size();
    for (std::size_t stage = 0; stage < stages.size() && (stage == 0 || !standing.empty());
         ++stage) {
        run_stage(stage, nullptr);
        const std::size_t before = standing.size();
        std::erase_if(standing, [&](std::int64_t sample) {
            const auto i = static_cast<std::size_t>(sample);
            return result.samples[i].broken(set_.labels[i]);
        });
        say(fmt::format("{} - {} out of {} successfully perturbed", stages[stage],
                        before - standing.size(), before));
        say(fmt::format("robust accuracy after {}: {:.2f}% (total time {:.1f} s)", stages[stage],
                        share(standing.size()), seconds_since(begin)));
        if (progress) {
            progress(static_cast<std::int64_t>(total - standing.size()));
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

} // namespace patchforge
