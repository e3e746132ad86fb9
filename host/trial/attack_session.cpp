// Runs an AttackJob: console, report and files.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <memory>
#include <optional>

#include "host/files/json.h"
#include "host/page/chart.h"
#include "host/page/report.h"
#include "host/page/text_table.h"
#include "host/ranks/shared_rows.h"
#include "host/run/progress.h"
#include "host/run/version.h"
#include "host/session/loaded_models.h"
#include "host/trial/attack_charts.h"
#include "host/trial/attack_images.h"
#include "host/trial/attack_job.h"
#include "host/trial/attack_rows.h"
#include "host/trial/attack_table.h"
#include "host/trial/attack_words.h"
#include "host/trial/sanity_checks.h"

namespace patchforge {

namespace {

namespace fs = std::filesystem;

constexpr std::int64_t sanity_count = 128;
constexpr int sheet_rows = 8;

// Console, report and files of one job.
class Trial {
  public:
    Trial(const PackedSet& set, const AttackJob& job)
        : job_(job), backend_(job.device.make()),
          chosen_(choose_rows(set, job.models(), job.rows, job.count)),
          report_("Attack on " + job.victims.front().front(),
                  fmt::format("{} patches ({}).", chosen_.set.count(), chosen_.how)) {
        for (const auto& paths : job.victims) {
            victims_.push_back(load_victim(*backend_, paths, job.reading));
        }
        unlabelled_ = settle_labels(chosen_, set, victims_);
        if (!job.detector.empty()) {
            detector_ = load_detector(*backend_, job.detector, format(), job.reading);
        }
        job.reading.refuse_unheeded();
        for (const AttackMethod* method : job.methods) {
            options_of(*method).validate(format().class_count());
        }
        fallen_.resize(victims_.size());
    }

    void run();

  private:
    const ClassifierFormat& format() const { return victims_.front().format(); }
    AttackOptions options_of(const AttackMethod& method) const {
        AttackOptions options = job_.options;
        options.method = &method;
        return options;
    }
    // For what asks about a victim without attacking it.
    static const AttackMethod& plain() { return *attack_method("fgsm"); }
    // Every budget (or lambda) of a method, each told to `each`.
    void run_method(const LoadedVictim& victim, const ClassifierModel* detector,
                    const AttackMethod& method,
                    const std::function<void(const AttackResult&, const AttackSummary&)>& each);
    void attack_one();
    void attack_with_detector();
    void compare_defences();
    void transfer();
    void check_sanity();
    void add_curves();
    void show(const AttackResult& result, const std::string& attack, const LoadedVictim& victim);
    void add_chart(const std::optional<Chart>& chart, const char* file, const char* caption);
    void remember(const LoadedVictim& victim, const AttackResult& result);
    void transfer(const AttackMethod& method, double epsilon,
                  const std::vector<std::vector<std::int32_t>>& clean);
    void table(const std::string& caption, const std::vector<std::string>& columns,
               const std::vector<std::vector<std::string>>& rows) {
        print_line(table_text(columns, rows));
        report_.table(caption, columns, rows);
    }
    void finish(Session& session);

    const AttackJob& job_;
    std::unique_ptr<Backend> backend_;
    ChosenRows chosen_;
    std::string unlabelled_; // what is said of patches without labels
    std::vector<LoadedVictim> victims_;
    std::unique_ptr<ClassifierModel> detector_;
    // Of each victim, what all attacks together broke at the largest budget; empty: not known.
    std::vector<std::vector<std::uint8_t>> fallen_;
    Report report_;
    std::vector<AttackSummary> summaries_;
    Json json_ = Json::object(); // what some kinds of trial add
};

void Trial::run_method(const LoadedVictim& victim, const ClassifierModel* detector,
                       const AttackMethod& method,
                       const std::function<void(const AttackResult&, const AttackSummary&)>& each) {
    const AttackOptions options = options_of(method);
    AttackRunner runner(victim.members(), detector, chosen_.set, options, print_line);
    for (const auto& [epsilon, lambda] : job_.budgets(method)) {
        ProgressBar bar(options.text(format().pixels()), chosen_.set.count(), "patches");
        const AttackResult result =
            runner.run(epsilon, lambda, [&](std::int64_t done) { bar.update(done); });
        if (detector == detector_.get()) {
            remember(victim, result);
        }
        each(result,
             summarise(result, chosen_.set, options, format().class_names, format().pixels()));
    }
}

void Trial::remember(const LoadedVictim& victim, const AttackResult& result) {
    if (result.epsilon != job_.largest_epsilon() || job_.options.targeted()) {
        return;
    }
    std::vector<std::uint8_t>& fallen = fallen_[&victim - victims_.data()];
    fallen.resize(result.samples.size(), 0);
    for (std::size_t i = 0; i < fallen.size(); ++i) {
        fallen[i] |= result.samples[i].broken(chosen_.set.labels[i]);
    }
}

void Trial::attack_one() {
    Report tables("");
    for (const AttackMethod* method : job_.methods) {
        const std::size_t first = summaries_.size();
        run_method(
            victims_.front(), detector_.get(), *method,
            [&](const AttackResult& result, const AttackSummary& summary) {
                summaries_.push_back(summary);
                const bool last = method->bounded
                                      ? result.epsilon == job_.largest_epsilon()
                                      : result.lambda == job_.budgets(*method).back().second;
                if (last) {
                    show(result, summary.attack, victims_.front());
                }
                if (job_.save && result.epsilon > 0 && SharedRows::writes()) {
                    const fs::path folder =
                        job_.save_folder(*method, result.epsilon, result.lambda);
                    const SavedImages saved =
                        save_images(folder, result, chosen_.set, format(), job_.options.norm);
                    print_line(fmt::format(
                        "{}: {} PNG files; read back: {} differ, {} pixels outside the "
                        "ball",
                        folder.string(), saved.files, saved.changed_on_disk, saved.outside_ball));
                }
            });
        const std::vector<AttackSummary> part(
            summaries_.begin() + static_cast<std::ptrdiff_t>(first), summaries_.end());
        // The page's table is wide, and its caption names the attack already.
        std::vector<std::string> columns = table_columns(part);
        std::vector<std::vector<std::string>> rows = table_rows(part);
        print_line(table_text(columns, rows));
        columns.erase(columns.begin());
        for (auto& row : rows) {
            row.erase(row.begin());
        }
        tables.table("Attack " + part.front().attack, columns, rows);
    }
    report_.lead(attack_sentence(victims_.front().name, summaries_));
    report_.key_figures(attack_figures(summaries_));
    add_curves();
    report_.append(tables);
    const std::vector<std::string> columns = {"attack",
                                              "eps",
                                              "class",
                                              "total",
                                              "wrong",
                                              "broken",
                                              "wrong under attack",
                                              "recall under attack"};
    table("Per class: wrong before the attack, broken by it, wrong under it", columns,
          class_rows(summaries_));
    if (format().class_names == std::vector<std::string>{"no cancer", "cancer"}) {
        for (const AttackSummary& s : summaries_) {
            print_line(cancer_sentence(s));
        }
    }
    const auto [held, text] = budgets_held(summaries_);
    print_line(text);
    report_.verdict(text, held);
}

void Trial::attack_with_detector() {
    report_.subsection("With a detector in front");
    std::vector<std::vector<std::string>> rows;
    const std::vector<std::int32_t> on_clean = detector_->predictions(chosen_.set.levels);
    const double alarms = static_cast<double>(std::count(on_clean.begin(), on_clean.end(), 1)) /
                          static_cast<double>(on_clean.size());
    for (const AttackMethod* method : job_.methods) {
        run_method(
            victims_.front(), nullptr, *method,
            [&](const AttackResult& result, const AttackSummary& s) {
                const std::vector<std::int32_t> stopped = detector_->predictions(result.levels);
                std::int64_t caught = 0, through = 0;
                for (std::size_t i = 0; i < stopped.size(); ++i) {
                    const std::int32_t label = chosen_.set.labels[i];
                    if (result.samples[i].right(label) && result.samples[i].rounded_broken(label)) {
                        (stopped[i] == 1 ? caught : through) += 1;
                    }
                }
                rows.push_back({s.attack, epsilon_text(s.epsilon), std::to_string(s.correct),
                                std::to_string(s.rounded_broken), std::to_string(caught),
                                std::to_string(through)});
                json_["unaware_of_detector"].push_back({{"attack", s.attack},
                                                        {"eps", epsilon_text(s.epsilon)},
                                                        {"correct", s.correct},
                                                        {"fools_classifier", s.rounded_broken},
                                                        {"stopped", caught},
                                                        {"through", through}});
            });
    }
    table(fmt::format(
              "(a) and (b): the attack does not know the detector, which stops {:.2f} % of the "
              "clean patches",
              100 * alarms),
          {"attack", "eps", "correct C", "(a) fools the classifier", "(b) of these stopped",
           "get through"},
          rows);
    report_.paragraph(
        "(c), the score that counts: the attack knows both models and fools them together. Right "
        "is there what is called right and let through, so that false alarms cost accuracy.");
    print_line("(c) joint adaptive attack on classifier and detector:");
}

void Trial::add_chart(const std::optional<Chart>& chart, const char* file, const char* caption) {
    if (!chart) {
        return;
    }
    report_.chart(chart_svg(*chart), caption);
    if (job_.place().writes()) {
        write_chart(job_.out / file, *chart);
    }
}

void Trial::add_curves() {
    add_chart(robustness_curve(summaries_, format().class_count()), "curve.svg",
              "Share of all patches that are right and stay right.");
    add_chart(distance_curve(summaries_), "distance.svg",
              "What success costs in distance: a point for each lambda, the largest on the left.");
}

void Trial::show(const AttackResult& result, const std::string& attack,
                 const LoadedVictim& victim) {
    const std::string on = victims_.size() > 1 ? " on " + victim.name : "";
    report_.sheet(attack_sheet(result, chosen_.set, format(), sheet_rows),
                  fmt::format("{}{}, eps {}, in the 8 bits of a file", attack, on,
                              epsilon_text(result.epsilon)));
}

void Trial::check_sanity() {
    const std::string reason = job_.why_unchecked();
    if (!reason.empty()) {
        const std::string line = "The checks of this evaluation were left out: " + reason;
        print_line(line);
        report_.note(line + ".");
        json_["sanity_left_out"] = reason;
        return;
    }
    report_.section("Can this evaluation be trusted?");
    for (std::size_t v = 0; v < victims_.size(); ++v) {
        const Evaluation evaluation{victims_[v].members(), detector_.get(), job_.largest_epsilon(),
                                    fallen_[v]};
        const std::string whose = victims_.size() > 1 ? victims_[v].name + ": " : "";
        for (const SanityCheck& check : sanity_checks(evaluation, chosen_.set, sanity_count)) {
            print_line(fmt::format("{}: {}{}: {}", check.good ? "sane" : "WARNING", whose,
                                   check.name, check.found));
            report_.verdict(whose + check.name + ": " + check.found, check.good);
            if (!check.good) {
                report_.lead(
                    fmt::format("Not to be trusted as it is: one of its checks failed. {}{}: {}.",
                                whose, check.name, check.found),
                    Tone::bad);
            }
            json_["sanity"].push_back({{"model", victims_[v].name},
                                       {"check", check.name},
                                       {"found", check.found},
                                       {"good", check.good}});
        }
    }
    if (fallen_.front().empty()) {
        const std::string line =
            fmt::format("The attacks that ran are not compared with PGD: {}",
                        job_.options.targeted() ? "they have a target" : "they have no budget");
        print_line(line);
        report_.note(line + ".");
    }
}

void Trial::compare_defences() {
    std::vector<Kept> kept;
    std::vector<std::string> columns = {"model", "clean acc"};
    std::vector<std::vector<std::string>> rows;
    for (const LoadedVictim& victim : victims_) {
        std::vector<std::string> row = {victim.name, ""};
        kept.push_back({victim.name, std::numeric_limits<double>::quiet_NaN()});
        for (const AttackMethod* method : job_.methods) {
            run_method(
                victim, nullptr, *method, [&](const AttackResult& result, const AttackSummary& s) {
                    if (&victim == &victims_.front() && s.epsilon == job_.largest_epsilon()) {
                        show(result, s.attack, victim);
                    }
                    AttackSummary named = s;
                    named.attack = victim.name + ": " + s.attack;
                    summaries_.push_back(named);
                    row[1] = figure_text(s.clean_accuracy(), 4);
                    if (s.epsilon == job_.largest_epsilon() && s.epsilon > 0) {
                        kept.back().robust = std::fmin(kept.back().robust, s.robust_accuracy());
                    }
                    if (s.epsilon > 0) {
                        row.push_back(figure_text(s.robust_accuracy(), 4));
                        if (&victim == &victims_.front()) {
                            columns.push_back(std::string(method->name) + " " +
                                              (std::isinf(s.epsilon)
                                                   ? fmt::format("lambda {:g}", s.lambda)
                                                   : epsilon_text(s.epsilon)));
                        }
                    }
                });
        }
        AttackRunner runner(victim.members(), nullptr, chosen_.set, options_of(plain()));
        const LossSensitivity sensitivity = runner.sensitivity(job_.largest_epsilon());
        const double cost = victim.training_step / victims_.front().training_step;
        row.push_back(figure_text(cost, 2));
        row.push_back(fmt::format("{:.4g}", sensitivity.gradient_l1));
        row.push_back(fmt::format("{:.4g}", sensitivity.gradient_l2));
        row.push_back(fmt::format("{:.3f}", sensitivity.nonlinearity));
        json_["defences"].push_back({{"model", victim.name},
                                     {"training_step_ms", victim.training_step},
                                     {"gradient_l1", sensitivity.gradient_l1},
                                     {"gradient_l2", sensitivity.gradient_l2},
                                     {"nonlinearity", sensitivity.nonlinearity}});
        rows.push_back(row);
    }
    report_.lead(defence_sentence(kept));
    add_curves();
    columns.insert(columns.end(), {"step cost", "gradient L1", "gradient L2", "nonlinearity"});
    table("Defences: robust accuracy per attack, time of a training step relative to the first "
          "model, mean norms of the loss gradient by the pixels, and how far the loss along FGSM's "
          "direction departs from its first-order prediction (relative)",
          columns, rows);
}

void Trial::transfer() {
    std::vector<std::vector<std::int32_t>> clean;
    for (const LoadedVictim& victim : victims_) {
        clean.push_back(
            AttackRunner(victim.members(), nullptr, chosen_.set, options_of(plain())).clean());
    }
    for (const AttackMethod* method : job_.methods) {
        for (const double epsilon : job_.epsilons) {
            if (epsilon > 0) {
                transfer(*method, epsilon, clean);
            }
        }
    }
}

void Trial::transfer(const AttackMethod& method, double epsilon,
                     const std::vector<std::vector<std::int32_t>>& clean) {
    std::vector<std::string> columns = {"forged on \\ tested on"};
    for (const LoadedVictim& victim : victims_) {
        columns.push_back(victim.name);
    }
    std::vector<std::vector<std::string>> rows;
    std::vector<double> passed;
    for (const LoadedVictim& source : victims_) {
        AttackRunner forger(source.members(), nullptr, chosen_.set, options_of(method));
        const AttackResult forged = forger.run(epsilon);
        if (&source == &victims_.front() && epsilon == job_.largest_epsilon()) {
            show(forged, options_of(method).text(format().pixels()), source);
        }
        const AttackSet images{forged.levels, chosen_.set.labels, {}};
        std::vector<std::string> row = {source.name};
        for (std::size_t t = 0; t < victims_.size(); ++t) {
            const std::vector<std::int32_t> answers =
                AttackRunner(victims_[t].members(), nullptr, images, options_of(plain())).clean();
            const auto [broken, correct] = broken_of_right(forged, images, clean[t], answers);
            const double rate = share_of(broken, correct);
            if (&victims_[t] != &source) {
                passed.push_back(rate);
            }
            row.push_back(fmt::format("{} ({}/{})", figure_text(rate, 3), broken, correct));
            json_["transfer"].push_back({{"attack", options_of(method).text(format().pixels())},
                                         {"eps", epsilon},
                                         {"source", source.name},
                                         {"target", victims_[t].name},
                                         {"broken", broken},
                                         {"correct", correct},
                                         {"rate", rate}});
        }
        rows.push_back(row);
    }
    const std::string caption = fmt::format(
        "Transfer of {} at eps {}: share of the patches a model gets right that the 8-bit images "
        "forged on another break",
        options_of(method).text(format().pixels()), epsilon_text(epsilon));
    print_line(caption);
    const auto [least, most] = std::ranges::minmax(passed);
    report_.lead(fmt::format("Of what a model gets right, {} forged on another at eps {} breaks "
                             "{:.1f} to {:.1f} %.",
                             options_of(method).text(format().pixels()), epsilon_text(epsilon),
                             100 * least, 100 * most));
    table(caption, columns, rows);
}

void Trial::run() {
    Session session(job_.place());
    for (const fs::path& folder : job_.save ? job_.save_folders() : std::vector<fs::path>()) {
        session.empty(folder);
    }
    print_line(fmt::format("Device: {}", backend_->description()));
    print_line(fmt::format("Patches: {} ({})", chosen_.set.count(), chosen_.how));
    if (!unlabelled_.empty()) {
        print_line(unlabelled_);
        report_.note(unlabelled_ + ". Clean accuracy is 1 by that; what counts is what is broken.");
    }
    report_.section(job_.transfer         ? "Do forgeries pass to another model?"
                    : victims_.size() > 1 ? "Attacks on several models"
                                          : "Attacks on " + victims_.front().name);
    if (job_.transfer) {
        transfer();
    } else if (victims_.size() > 1) {
        compare_defences();
    } else {
        if (detector_) {
            attack_with_detector();
        }
        attack_one();
    }
    check_sanity();
    finish(session);
}

void Trial::finish(Session& session) {
    std::vector<std::pair<std::string, std::string>> facts = {
        {"patches", fmt::format("{} ({})", chosen_.set.count(), chosen_.how)},
        {"device", backend_->description()},
        {"seed", std::to_string(job_.options.seed)},
        {"patchforge", version_text()}};
    for (const LoadedVictim& victim : victims_) {
        facts.emplace_back("model " + victim.name, victim.hashes());
    }
    report_.settings(job_.transfer ? "Settings of the transfer" : "Settings of the attack", facts);
    report_.note("No claim of robustness reaches further than the attacks run here.");
    Json document;
    for (const auto& [name, value] : facts) {
        document["facts"][name] = value;
    }
    document["attacks"] = summaries_json(summaries_);
    for (const auto& [name, value] : json_.members()) {
        document[name] = value;
    }
    session.write("attack.csv", summaries_csv(summaries_));
    session.complete(report_, document, job_.listeners);
}

} // namespace

void run_attack_job(const PackedSet& set, const AttackJob& job) {
    job.validate();
    Trial(set, job).run();
}

} // namespace patchforge
