#include "host/attack/attack_job.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>
#include <stdexcept>

#include "data/atomic_file.h"
#include "data/read_bytes.h"
#include "host/attack/attack_images.h"
#include "host/attack/attack_table.h"
#include "host/attack/sanity_checks.h"
#include "host/model/classifier_members.h"
#include "host/run/chart.h"
#include "host/run/parameters_file.h"
#include "host/run/progress.h"
#include "host/run/report.h"
#include "host/run/run_folder.h"
#include "host/run/version.h"
#include "host/train/classifier_data.h"

namespace patchforge {

namespace {

namespace fs = std::filesystem;

constexpr std::int64_t sanity_count = 128;
constexpr int sheet_rows = 8;

// A victim with the name by which tables call it.
struct Victim {
    std::string name;
    std::vector<std::unique_ptr<ClassifierModel>> models;
    double training_seconds = std::numeric_limits<double>::quiet_NaN(); // as its run recorded it

    std::vector<const ClassifierModel*> members() const {
        std::vector<const ClassifierModel*> list;
        for (const auto& model : models) {
            list.push_back(model.get());
        }
        return list;
    }
    std::string hashes() const {
        std::string text;
        for (const auto& model : models) {
            text += (text.empty() ? "" : " ") + model->hash();
        }
        return text;
    }
};

double training_seconds(const fs::path& run) {
    const fs::path file = run / "timing.json";
    if (!fs::exists(file)) {
        return std::numeric_limits<double>::quiet_NaN();
    }
    const std::vector<std::uint8_t> bytes = read_bytes(file, 1 << 16);
    const auto json = nlohmann::json::parse(bytes.begin(), bytes.end(), nullptr, false);
    return json.is_object() && json.contains("training_seconds") &&
                   json["training_seconds"].is_number()
               ? json["training_seconds"].get<double>()
               : std::numeric_limits<double>::quiet_NaN();
}

Victim load_victim(Backend& backend, const std::vector<std::string>& paths) {
    Victim victim;
    victim.training_seconds = 0;
    for (const std::string& path : paths) {
        victim.name += (victim.name.empty() ? "" : "+") + path;
        for (const fs::path& member : classifier_members(path)) {
            victim.models.push_back(ClassifierModel::load(backend, member));
            victim.training_seconds += training_seconds(member);
        }
    }
    return victim;
}

// Console, report and files of one job.
class Session {
  public:
    Session(const PackedSet& set, const AttackJob& job)
        : job_(job), backend_(make_backend(job.device, job.backend)),
          chosen_(choose_rows(set, job.victims.front().front(), job.rows, job.count)),
          report_("Attack on " + job.victims.front().front(),
                  fmt::format("{} patches ({}).", chosen_.set.count(), chosen_.how)) {
        for (const auto& paths : job.victims) {
            victims_.push_back(load_victim(*backend_, paths));
        }
        if (!job.detector.empty()) {
            detector_ = ClassifierModel::load(*backend_, job.detector);
        }
        check_what_fits(set);
    }

    void run();

  private:
    void check_what_fits(const PackedSet& set) const;
    const ClassifierFormat& format() const { return victims_.front().models.front()->format(); }
    AttackOptions options_of(AttackMethod method) const {
        AttackOptions options = job_.options;
        options.method = method;
        return options;
    }
    // Every budget (or lambda) of a method, each told to `each`.
    void run_method(const Victim& victim, const ClassifierModel* detector, AttackMethod method,
                    const std::function<void(const AttackResult&, const AttackSummary&)>& each);
    void attack_one();
    void attack_with_detector();
    void compare_defences();
    void transfer();
    void check_sanity();
    void add_curve(const std::vector<AttackSummary>& summaries);
    void say(const std::string& line) { print_line(line); }
    void table(const std::string& caption, const std::vector<std::string>& columns,
               const std::vector<std::vector<std::string>>& rows) {
        print_line(table_text(columns, rows));
        report_.table(caption, columns, rows);
    }
    double largest_epsilon() const {
        return *std::max_element(job_.epsilons.begin(), job_.epsilons.end());
    }
    void finish();

    const AttackJob& job_;
    std::unique_ptr<Backend> backend_;
    ChosenRows chosen_;
    std::vector<Victim> victims_;
    std::unique_ptr<ClassifierModel> detector_;
    Report report_;
    std::vector<AttackSummary> summaries_;
    nlohmann::ordered_json json_ = nlohmann::ordered_json::object();
};

void Session::check_what_fits(const PackedSet& set) const {
    for (const Victim& victim : victims_) {
        for (const auto& model : victim.models) {
            const ClassifierFormat& f = model->format();
            if (f.channels != set.channels() || f.height != set.height() ||
                f.width != set.width()) {
                throw std::invalid_argument(fmt::format(
                    "--data {}: holds {} x {} x {} patches, {} takes {} x {} x {}; give data "
                    "of the model's size",
                    set.path().string(), set.channels(), set.height(), set.width(), victim.name,
                    f.channels, f.height, f.width));
            }
            if (f.class_names.size() != set.class_names().size()) {
                throw std::invalid_argument(fmt::format(
                    "--data {}: has {} classes, {} knows {}; give data of the model's classes",
                    set.path().string(), set.class_names().size(), victim.name,
                    f.class_names.size()));
            }
        }
    }
    if (detector_ && (detector_->format().channels != set.channels() ||
                      detector_->format().height != set.height() ||
                      detector_->format().width != set.width() || detector_->class_count() != 2)) {
        const ClassifierFormat& f = detector_->format();
        throw std::invalid_argument(fmt::format(
            "--detector {}: takes {} x {} x {} patches and knows {} classes; give a model of two "
            "classes (clean, adversarial) for {} x {} x {} patches",
            job_.detector, f.channels, f.height, f.width, f.class_count(), set.channels(),
            set.height(), set.width()));
    }
    for (const AttackMethod method : job_.methods) {
        options_of(method).validate(format().class_count());
    }
}

void Session::run_method(
    const Victim& victim, const ClassifierModel* detector, AttackMethod method,
    const std::function<void(const AttackResult&, const AttackSummary&)>& each) {
    const AttackOptions options = options_of(method);
    AttackRunner runner(victim.members(), detector, chosen_.set, options, print_line);
    const auto run = [&](double epsilon, double lambda) {
        ProgressBar bar(options.text(format().pixels()), chosen_.set.count(), "patches");
        const AttackResult result =
            runner.run(epsilon, lambda, [&](std::int64_t done) { bar.update(done); });
        each(result,
             summarise(result, chosen_.set, options, format().class_names, format().pixels()));
    };
    if (method == AttackMethod::forge) {
        for (const double lambda : options.lambdas) {
            run(0, lambda);
        }
    } else if (is_unbounded(method)) {
        run(0, 0);
    } else {
        for (const double epsilon : job_.epsilons) {
            run(epsilon, 0);
        }
    }
}

void Session::attack_one() {
    for (const AttackMethod method : job_.methods) {
        const std::size_t first = summaries_.size();
        run_method(
            victims_.front(), detector_.get(), method,
            [&](const AttackResult& result, const AttackSummary& summary) {
                summaries_.push_back(summary);
                const bool last =
                    std::isinf(result.epsilon)
                        ? result.lambda == job_.options.lambdas.back() || method == AttackMethod::cw
                        : result.epsilon == largest_epsilon();
                if (last) {
                    double gain = 1;
                    report_.image(attack_sheet(result, chosen_.set, format(), sheet_rows, &gain),
                                  fmt::format("{}, eps {}: original, change ({:.0f} times), "
                                              "adversarial 8-bit image",
                                              summary.attack, epsilon_text(result.epsilon), gain));
                }
                if (job_.save && (result.epsilon > 0)) {
                    std::string name =
                        attack_method_name(method) + "_" +
                        (std::isinf(result.epsilon) ? fmt::format("lambda_{:g}", result.lambda)
                                                    : epsilon_text(result.epsilon));
                    std::replace(name.begin(), name.end(), '/', '-');
                    const fs::path folder = job_.out / "adversarial" / name;
                    const SavedImages saved =
                        save_images(folder, result, chosen_.set, format(), job_.options.norm);
                    say(fmt::format("{}: {} PNG files; read back: {} differ, {} pixels outside the "
                                    "ball",
                                    folder.string(), saved.files, saved.changed_on_disk,
                                    saved.outside_ball));
                }
            });
        const std::vector<AttackSummary> part(
            summaries_.begin() + static_cast<std::ptrdiff_t>(first), summaries_.end());
        table("Attack " + part.front().attack, table_columns(), table_rows(part));
    }
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
            say(fmt::format(
                "{} eps {}: missed cancers {} of {}, false alarms {} of {}, balanced accuracy "
                "{:.4f}, AUC {:.4f}",
                s.attack, epsilon_text(s.epsilon), s.classes[1].wrong(), s.classes[1].total,
                s.classes[0].wrong(), s.classes[0].total, s.balanced_accuracy, s.auc));
        }
    }
    std::int64_t ball = 0, box = 0, bad = 0;
    double ulps = 0;
    for (const AttackSummary& s : summaries_) {
        ball += s.violations.ball;
        box += s.violations.box;
        bad += s.violations.not_finite;
        ulps = std::max(ulps, s.violations.largest_ulps);
    }
    const std::string verdict = fmt::format(
        "Pixels (samples in L2 and L1) outside the ball: {}, outside the box: {}, not finite: "
        "{}; at most {:.1f} units in the last place",
        ball, box, bad, ulps);
    say(verdict);
    report_.verdict(verdict, ball + box + bad == 0);
}

void Session::attack_with_detector() {
    report_.section("With a detector in front");
    std::vector<std::vector<std::string>> rows;
    const std::vector<std::int32_t> on_clean = detector_->predictions(chosen_.set.levels);
    const double alarms = static_cast<double>(std::count(on_clean.begin(), on_clean.end(), 1)) /
                          static_cast<double>(on_clean.size());
    for (const AttackMethod method : job_.methods) {
        run_method(victims_.front(), nullptr, method,
                   [&](const AttackResult& result, const AttackSummary& s) {
                       const std::vector<std::int32_t> stopped =
                           detector_->predictions(result.levels);
                       std::int64_t caught = 0, through = 0;
                       for (std::size_t i = 0; i < stopped.size(); ++i) {
                           const std::int32_t label = chosen_.set.labels[i];
                           if (result.samples[i].clean == label &&
                               result.samples[i].rounded_broken(label)) {
                               (stopped[i] == 1 ? caught : through) += 1;
                           }
                       }
                       rows.push_back({s.attack, epsilon_text(s.epsilon), std::to_string(s.correct),
                                       std::to_string(s.rounded_broken), std::to_string(caught),
                                       std::to_string(through)});
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
        "(c), the score that counts: the attack knows both models and fools them together.");
    say("(c) joint adaptive attack on classifier and detector:");
}

void Session::add_curve(const std::vector<AttackSummary>& summaries) {
    Chart chart{.title = "Robust accuracy",
                .x_label = "eps (grey levels of 255)",
                .y_label = "robust accuracy",
                .kind = ChartKind::points,
                .series = {},
                .references = {{1.0 / static_cast<double>(format().class_count()), "chance"}}};
    for (const AttackSummary& s : summaries) {
        if (!std::isfinite(s.epsilon)) {
            continue;
        }
        if (chart.series.empty() || chart.series.back().name != s.attack) {
            if (chart.series.size() == 8) {
                return;
            }
            chart.series.push_back({s.attack, {}, {}});
        }
        chart.series.back().x.push_back(255 * s.epsilon);
        chart.series.back().y.push_back(s.robust_accuracy());
    }
    if (!chart.series.empty()) {
        report_.chart(chart_svg(chart), "Share of all patches that are right and stay right.");
        if (!job_.out.empty()) {
            write_chart(job_.out / "curve.svg", chart);
        }
    }
}

void Session::check_sanity() {
    const double epsilon = largest_epsilon();
    if (!job_.sanity || epsilon <= 0 || epsilon >= 1 || job_.options.norm != Norm::linf) {
        return;
    }
    report_.section("Can this evaluation be trusted?");
    for (const SanityCheck& check :
         sanity_checks(victims_.front().members(), chosen_.set, epsilon, sanity_count)) {
        say(fmt::format("{}: {}: {}", check.good ? "sane" : "WARNING", check.name, check.found));
        report_.verdict(check.name + ": " + check.found, check.good);
        json_["sanity"].push_back(
            {{"check", check.name}, {"found", check.found}, {"good", check.good}});
    }
}

void Session::compare_defences() {
    std::vector<std::string> columns = {"model", "clean acc"};
    std::vector<std::vector<std::string>> rows;
    for (const Victim& victim : victims_) {
        std::vector<std::string> row = {victim.name, ""};
        for (const AttackMethod method : job_.methods) {
            run_method(victim, nullptr, method, [&](const AttackResult&, const AttackSummary& s) {
                AttackSummary named = s;
                named.attack = victim.name + ": " + s.attack;
                summaries_.push_back(named);
                row[1] = fmt::format("{:.4f}", s.clean_accuracy());
                if (s.epsilon > 0) {
                    row.push_back(fmt::format("{:.4f}", s.robust_accuracy()));
                    if (&victim == &victims_.front()) {
                        columns.push_back(attack_method_name(method) + " " +
                                          (std::isinf(s.epsilon)
                                               ? fmt::format("lambda {:g}", s.lambda)
                                               : epsilon_text(s.epsilon)));
                    }
                }
            });
        }
        AttackRunner runner(victim.members(), nullptr, chosen_.set, options_of(AttackMethod::fgsm));
        const AttackRunner::Sensitivity sensitivity = runner.sensitivity(largest_epsilon());
        const double cost = victim.training_seconds / victims_.front().training_seconds;
        row.push_back(std::isfinite(cost) ? fmt::format("{:.2f}", cost) : "-");
        row.push_back(fmt::format("{:.4g}", sensitivity.gradient_l1));
        row.push_back(fmt::format("{:.4g}", sensitivity.gradient_l2));
        row.push_back(fmt::format("{:.3f}", sensitivity.nonlinearity));
        rows.push_back(row);
    }
    columns.insert(columns.end(), {"training cost", "gradient L1", "gradient L2", "nonlinearity"});
    table("Defences: robust accuracy per attack, training time relative to the first model, mean "
          "norms of "
          "the loss gradient by the pixels, and how far the loss along FGSM's direction departs "
          "from its "
          "first-order prediction (relative)",
          columns, rows);
}

void Session::transfer() {
    const AttackMethod method = job_.methods.front();
    const double epsilon = largest_epsilon();
    std::vector<std::string> columns = {"forged on \\ tested on"};
    std::vector<std::vector<std::int32_t>> clean;
    for (const Victim& victim : victims_) {
        columns.push_back(victim.name);
        clean.push_back(
            AttackRunner(victim.members(), nullptr, chosen_.set, options_of(AttackMethod::fgsm))
                .clean());
    }
    std::vector<std::vector<std::string>> rows;
    for (const Victim& source : victims_) {
        AttackRunner forger(source.members(), nullptr, chosen_.set, options_of(method));
        const AttackResult forged = forger.run(epsilon);
        const AttackSet images{forged.levels, chosen_.set.labels, {}};
        std::vector<std::string> row = {source.name};
        for (std::size_t t = 0; t < victims_.size(); ++t) {
            const std::vector<std::int32_t> answers =
                AttackRunner(victims_[t].members(), nullptr, images, options_of(AttackMethod::fgsm))
                    .clean();
            std::int64_t correct = 0, broken = 0;
            for (std::size_t i = 0; i < answers.size(); ++i) {
                const bool right = clean[t][i] == images.labels[i];
                correct += right;
                const std::int32_t target = forged.samples[i].target;
                broken +=
                    right && (target >= 0 ? answers[i] == target : answers[i] != images.labels[i]);
            }
            const double rate = AttackSummary::ratio(broken, correct);
            row.push_back(fmt::format("{:.3f} ({}/{})", rate, broken, correct));
            json_["transfer"].push_back({{"source", source.name},
                                         {"target", victims_[t].name},
                                         {"broken", broken},
                                         {"correct", correct},
                                         {"rate", rate}});
        }
        rows.push_back(row);
    }
    table(fmt::format(
              "Transfer of {} at eps {}: share of the patches a model gets right that the 8-bit "
              "images forged on another break",
              options_of(method).text(format().pixels()), epsilon_text(epsilon)),
          columns, rows);
}

void Session::run() {
    if (!job_.out.empty()) {
        fs::create_directories(job_.out);
    }
    say(fmt::format("Device: {}", backend_->description()));
    say(fmt::format("Patches: {} ({})", chosen_.set.count(), chosen_.how));
    report_.section("Attacks");
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
    add_curve(summaries_);
    if (victims_.size() == 1) {
        check_sanity();
    }
    finish();
}

void Session::finish() {
    report_.section("How this was made");
    std::vector<std::pair<std::string, std::string>> facts = {
        {"patches", fmt::format("{} ({})", chosen_.set.count(), chosen_.how)},
        {"device", backend_->description()},
        {"seed", std::to_string(job_.options.seed)},
        {"patchforge", version_text()}};
    for (const Victim& victim : victims_) {
        facts.emplace_back("model " + victim.name, victim.hashes());
    }
    report_.facts(facts);
    report_.note("No claim of robustness reaches further than the attacks run here.");
    if (job_.page) {
        job_.page->append(report_);
    }
    if (job_.out.empty()) {
        return;
    }
    nlohmann::ordered_json document;
    for (const auto& [name, value] : facts) {
        document["facts"][name] = value;
    }
    document["attacks"] = nlohmann::ordered_json::parse(summaries_json(summaries_));
    if (!json_.is_null()) { // transfer and detectors leave something of their own there
        document.update(json_);
    }
    write_file_atomically(job_.out / "attack.json", document.dump(2) + "\n");
    write_file_atomically(job_.out / "attack.csv", summaries_csv(summaries_));
    report_.write(job_.out / "report.html");
    say(fmt::format("Look at {}", (job_.out / "report.html").string()));
}

} // namespace

void AttackJob::validate() const {
    const auto refuse = [](const std::string& what) { throw std::invalid_argument(what); };
    if (victims.empty() || methods.empty() || epsilons.empty()) {
        refuse("attack: nothing to do; give --model, --method and --eps");
    }
    for (const double epsilon : epsilons) {
        if (!(epsilon >= 0)) {
            refuse(fmt::format("--eps {}: is below 0; give values from 0 on", epsilon));
        }
        if (options.norm == Norm::linf && epsilon > 1) {
            refuse(
                fmt::format("--eps {}: pixels are in [0, 1]; give at most 1, e.g. 8/255", epsilon));
        }
    }
    if (save && out.empty()) {
        refuse("--save: needs a folder; give --out too");
    }
    if (!detector.empty() && victims.size() > 1) {
        refuse("--detector: stands in front of one model; give --model with one victim");
    }
    for (const AttackMethod method : methods) {
        if (!detector.empty() && (is_black_box(method) || method == AttackMethod::worst)) {
            refuse(fmt::format("--detector: {} does not know how to fool two models at once; use "
                               "fgsm, pgd or mifgsm",
                               attack_method_name(method)));
        }
    }
    if (transfer && victims.size() < 2) {
        refuse("--transfer: needs two models at least; give --models a,b");
    }
    if (transfer && is_unbounded(methods.front())) {
        refuse("--transfer: takes attacks with a budget; use fgsm, pgd, mifgsm or square");
    }
}

ChosenRows choose_rows(const PackedSet& set, const std::string& model, const std::string& rows,
                       std::int64_t count) {
    PatchRows patches{set.pixels(), set.count(), set.channels(), set.height(), set.width(),
                      set.labels(), {}};
    std::string how = "all";
    if (rows != "all") {
        if (const auto split = split_of_run(model, set)) {
            const ClassifierData data =
                classifier_data(set, nullptr, split->test_patients, split->split_seed);
            patches = rows == "train" ? data.train : data.test;
            how = data.how + " by the model's training";
            how = rows == "train" ? "all but the " + how : how;
        } else if (rows != "auto") {
            throw std::invalid_argument(fmt::format("--rows {}: {} does not say which patches of "
                                                    "{} it left out; give --rows all, or the "
                                                    "run folder and the data it was trained on",
                                                    rows, model, set.path().string()));
        }
    }
    if (patches.subset.empty()) {
        patches.subset.resize(static_cast<std::size_t>(set.count()));
        std::iota(patches.subset.begin(), patches.subset.end(), 0);
    }
    std::erase_if(patches.subset, [&](std::int32_t row) {
        return set.labels()[static_cast<std::size_t>(row)] < 0;
    });
    if (patches.subset.empty()) {
        throw std::invalid_argument(
            fmt::format("--data {}: no patch has a label; attacks need to know the truth",
                        set.path().string()));
    }
    const auto available = static_cast<std::int64_t>(patches.subset.size());
    if (count > 0 && count < available) {
        std::vector<std::int32_t> some;
        for (std::int64_t i = 0; i < count; ++i) {
            some.push_back(patches.subset[static_cast<std::size_t>(i * available / count)]);
        }
        how += fmt::format(", {} of {} evenly spaced", count, available);
        patches.subset = std::move(some);
    }
    ChosenRows chosen{{bytes_of(patches), labels_of(patches), {}}, how};
    for (const std::int32_t row : patches.subset) {
        chosen.set.names.emplace_back(set.name(row));
    }
    return chosen;
}

void run_attack_job(const PackedSet& set, const AttackJob& job) {
    job.validate();
    Session(set, job).run();
}

} // namespace patchforge
