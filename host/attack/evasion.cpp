#include "host/attack/evasion.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "data/atomic_file.h"
#include "host/attack/attack_job.h"
#include "host/attack/attack_table.h"
#include "host/attack/latent_search.h"
#include "host/model/classifier_model.h"
#include "host/model/load_generator.h"
#include "host/run/chart.h"
#include "host/run/image_grid.h"
#include "host/run/progress.h"
#include "host/run/report.h"
#include "host/run/version.h"

namespace patchforge {

namespace {

namespace fs = std::filesystem;

// A group of patches and its name in the tables.
struct Group {
    std::string name;
    std::vector<std::uint8_t> bytes;
};

// Those of the fakes that the generator made as `wanted`.
std::vector<std::uint8_t> fakes_of_class(const std::vector<std::uint8_t>& fakes,
                                         const std::vector<std::int32_t>& made_as,
                                         std::int32_t wanted) {
    const auto pixels = static_cast<std::ptrdiff_t>(fakes.size() / made_as.size());
    std::vector<std::uint8_t> chosen;
    for (std::size_t i = 0; i < made_as.size(); ++i) {
        if (made_as[i] == wanted) {
            const auto begin = fakes.begin() + static_cast<std::ptrdiff_t>(i) * pixels;
            chosen.insert(chosen.end(), begin, begin + pixels);
        }
    }
    return chosen;
}

class Session {
  public:
    Session(const PackedSet* set, const EvasionJob& job)
        : job_(job), backend_(make_backend(job.device, job.backend)),
          loaded_(*backend_, job.generator, job.checkpoint),
          report_("Do fakes fool classifiers?",
                  fmt::format("{} fakes of {} before {} classifiers.", job.count, job.generator,
                              job.models.size())) {
        for (const std::string& path : job.models) {
            models_.push_back(ClassifierModel::load(*backend_, path));
            check(*models_.back(), path);
        }
        if (!job.detector.empty()) {
            detector_ = ClassifierModel::load(*backend_, job.detector);
            check(*detector_, job.detector);
        }
        if (job.search_target >= models_.front()->class_count()) {
            throw std::invalid_argument(fmt::format(
                "--search target={}: the models know classes 0 to {}; choose one of them",
                job.search_target, models_.front()->class_count() - 1));
        }
        gather(set);
    }

    std::vector<EvasionRow> run();

  private:
    void check(const ClassifierModel& model, const std::string& path) {
        if (model.pixels() != loaded_.network().shape().outputs()) {
            throw std::invalid_argument(fmt::format(
                "{}: takes {} pixels, the generator makes {}; give models of the same patches",
                path, model.pixels(), loaded_.network().shape().outputs()));
        }
    }
    void gather(const PackedSet* set);
    void search();
    EvasionRow ask(const Group& group, std::size_t model) const;
    void show(const Group& group);
    void finish();
    const std::vector<std::string>& classes() const {
        return models_.front()->format().class_names;
    }

    const EvasionJob& job_;
    std::unique_ptr<Backend> backend_;
    LoadedGenerator loaded_;
    std::vector<std::unique_ptr<ClassifierModel>> models_;
    std::unique_ptr<ClassifierModel> detector_;
    std::vector<Group> groups_;
    std::vector<EvasionRow> rows_;
    std::vector<std::vector<std::string>> agreement_; // a row each group
    Report report_;
};

void Session::gather(const PackedSet* set) {
    ImageGenerator& generator = loaded_.images();
    const std::vector<float> latents = generator.latents(job_.count, job_.seed);
    const std::vector<std::int32_t> made_as = generator.classes_of(latents);
    groups_.push_back({"fakes", generator.bytes(latents)});
    for (std::size_t c = 0; c < generator.format().classes.size(); ++c) {
        groups_.push_back(
            {"fakes: " + generator.format().classes[c],
             fakes_of_class(groups_.front().bytes, made_as, static_cast<std::int32_t>(c))});
        if (groups_.back().bytes.empty()) {
            groups_.pop_back();
        }
    }
    if (set) {
        const ChosenRows chosen = choose_rows(*set, job_.models.front(), "auto", 0);
        for (std::size_t c = 0; c < classes().size(); ++c) {
            Group group{"real: " + classes()[c], {}};
            std::int64_t taken = 0;
            for (std::int64_t i = 0; i < chosen.set.count() && taken < job_.count; ++i) {
                if (chosen.set.labels[static_cast<std::size_t>(i)] ==
                    static_cast<std::int32_t>(c)) {
                    const auto patch = chosen.set.patch(i);
                    group.bytes.insert(group.bytes.end(), patch.begin(), patch.end());
                    ++taken;
                }
            }
            if (taken > 0) {
                groups_.push_back(std::move(group));
            }
        }
    }
    const std::int64_t count = std::min<std::int64_t>(job_.count, 1000);
    const std::int64_t size = count * loaded_.network().shape().outputs();
    DeviceArray<float> drawn(*backend_, size);
    backend_->fill_uniform(drawn.view(), -1, 1, attack_stream(job_.seed, AttackStream::others, 0));
    std::vector<float> noise(static_cast<std::size_t>(size));
    drawn.download(noise.data(), size);
    Group group{"noise", std::vector<std::uint8_t>(noise.size())};
    std::transform(noise.begin(), noise.end(), group.bytes.begin(), byte_of_signed_unit);
    groups_.push_back(std::move(group));
}

EvasionRow Session::ask(const Group& group, std::size_t model) const {
    const std::vector<float> p = models_[model]->probabilities(group.bytes);
    const std::size_t width = classes().size();
    EvasionRow row{group.name,
                   job_.models[model],
                   static_cast<std::int64_t>(p.size() / width),
                   std::vector<std::int64_t>(width, 0),
                   0,
                   0,
                   {}};
    for (std::size_t first = 0; first < p.size(); first += width) {
        const auto best = std::max_element(p.begin() + static_cast<std::ptrdiff_t>(first),
                                           p.begin() + static_cast<std::ptrdiff_t>(first + width));
        ++row.called[static_cast<std::size_t>(best - p.begin()) - first];
        row.above_90 += *best > 0.9f;
        row.above_99 += *best > 0.99f;
        row.last_class.push_back(p[first + width - 1]);
    }
    return row;
}

void Session::show(const Group& group) {
    std::vector<std::vector<std::int32_t>> answers;
    for (std::size_t m = 0; m < models_.size(); ++m) {
        rows_.push_back(ask(group, m));
        answers.push_back(models_[m]->predictions(group.bytes));
    }
    const std::size_t count = answers.front().size();
    std::size_t unanimous = 0;
    for (std::size_t i = 0; i < count; ++i) {
        unanimous += std::all_of(answers.begin(), answers.end(),
                                 [&](const auto& of) { return of[i] == answers.front()[i]; });
    }
    std::string stopped = "-";
    if (detector_) {
        const std::vector<std::int32_t> alarms = detector_->predictions(group.bytes);
        stopped =
            fmt::format("{:.4f}", static_cast<double>(std::count(alarms.begin(), alarms.end(), 1)) /
                                      static_cast<double>(count));
    }
    agreement_.push_back(
        {group.name, std::to_string(count),
         models_.size() > 1
             ? fmt::format("{:.4f}", static_cast<double>(unanimous) / static_cast<double>(count))
             : "-",
         stopped});
}

void Session::search() {
    const auto against = static_cast<std::size_t>(job_.search_against);
    LatentSearch search(loaded_.network(), *models_[against],
                        {job_.search_steps, job_.search_rate, job_.search_prior});
    const std::vector<float> start = loaded_.images().latents(job_.search_count, job_.seed);
    ProgressBar bar("search", job_.search_count, "codes");
    const std::vector<float> found =
        search.run(start, job_.search_target, [&](std::int64_t done) { bar.update(done); });
    const Group before{"before the search", loaded_.images().bytes(start)};
    const Group after{fmt::format("searched: {} for {}",
                                  classes()[static_cast<std::size_t>(job_.search_target)],
                                  job_.models[against]),
                      loaded_.images().bytes(found)};
    show(before);
    show(after);
    const std::vector<Image> first = loaded_.images().images(
        {start.begin(),
         start.begin() + std::min<std::ptrdiff_t>(static_cast<std::ptrdiff_t>(start.size()),
                                                  8 * loaded_.images().latent_dim())});
    const std::vector<Image> last = loaded_.images().images(
        {found.begin(),
         found.begin() + std::min<std::ptrdiff_t>(static_cast<std::ptrdiff_t>(found.size()),
                                                  8 * loaded_.images().latent_dim())});
    report_.section("Search in the latent space");
    report_.image(
        labelled_sheet({first, last},
                       {.scale = 2, .column_names = {}, .row_names = {"before", "after"}}),
        "The same codes before and after the search.");
}

void Session::finish() {
    std::vector<std::string> columns = {"patches", "model", "count"};
    for (const std::string& name : classes()) {
        columns.push_back("called " + name);
    }
    columns.insert(columns.end(), {"above 0.9", "above 0.99"});
    std::vector<std::vector<std::string>> table;
    nlohmann::ordered_json json = nlohmann::ordered_json::array();
    std::string csv = "patches,model,count,class,called,share,above_0.9,above_0.99\n";
    for (const EvasionRow& row : rows_) {
        const auto share = [&](std::int64_t part) { return AttackSummary::ratio(part, row.count); };
        std::vector<std::string> line = {row.group, row.model, std::to_string(row.count)};
        nlohmann::ordered_json one = {
            {"patches", row.group}, {"model", row.model}, {"count", row.count}};
        for (std::size_t c = 0; c < row.called.size(); ++c) {
            line.push_back(fmt::format("{:.4f}", share(row.called[c])));
            one["called"][classes()[c]] = row.called[c];
            csv += fmt::format("\"{}\",\"{}\",{},\"{}\",{},{:.6f},{:.6f},{:.6f}\n", row.group,
                               row.model, row.count, classes()[c], row.called[c],
                               share(row.called[c]), share(row.above_90), share(row.above_99));
        }
        line.push_back(fmt::format("{:.4f}", share(row.above_90)));
        line.push_back(fmt::format("{:.4f}", share(row.above_99)));
        one["above_0.9"] = row.above_90;
        one["above_0.99"] = row.above_99;
        json.push_back(one);
        table.push_back(line);
    }
    print_line(table_text(columns, table));
    const std::vector<std::string> together = {"patches", "count", "all models agree",
                                               "detector stops"};
    print_line(table_text(together, agreement_));
    report_.section("What the classifiers say");
    report_.table("Shares of each group; confidence is the largest probability", columns, table);
    report_.table("Classifiers together, and the detector", together, agreement_);
    for (const auto& model : job_.models) {
        Histogram histogram{.title = "Confidence",
                            .x_label = "probability of " + classes().back(),
                            .series = {},
                            .low = 0,
                            .high = 1};
        for (const EvasionRow& row : rows_) {
            if (row.model == model && histogram.series.size() < 8) {
                histogram.series.push_back({row.group, {}, row.last_class});
            }
        }
        report_.chart(histogram_svg(histogram), "What " + model + " thinks of each group.");
    }
    std::vector<std::vector<Image>> sheet;
    std::vector<std::string> names;
    const ClassifierFormat& format = models_.front()->format();
    for (const Group& group : groups_) {
        const auto pixels = static_cast<std::size_t>(format.pixels());
        sheet.emplace_back();
        names.push_back(group.name);
        for (std::size_t i = 0; i < 8 && (i + 1) * pixels <= group.bytes.size(); ++i) {
            const auto begin = group.bytes.begin() + static_cast<std::ptrdiff_t>(i * pixels);
            sheet.back().push_back({format.width,
                                    format.height,
                                    format.channels,
                                    {begin, begin + static_cast<std::ptrdiff_t>(pixels)}});
        }
    }
    report_.image(labelled_sheet(sheet, {.scale = 2, .column_names = {}, .row_names = names}),
                  "Some of each group.");
    std::vector<std::pair<std::string, std::string>> facts = {
        {"generator", loaded_.weights().string()},
        {"seed", std::to_string(job_.seed)},
        {"device", backend_->description()},
        {"patchforge", version_text()}};
    for (std::size_t m = 0; m < models_.size(); ++m) {
        facts.emplace_back("model " + job_.models[m], models_[m]->hash());
    }
    report_.facts(facts);
    if (job_.page) {
        job_.page->append(report_);
    }
    if (!job_.out.empty()) {
        fs::create_directories(job_.out);
        write_file_atomically(job_.out / "evasion.csv", csv);
        write_file_atomically(job_.out / "evasion.json", json.dump(2) + "\n");
        report_.write(job_.out / "report.html");
        print_line(fmt::format("Look at {}", (job_.out / "report.html").string()));
    }
}

std::vector<EvasionRow> Session::run() {
    print_line(fmt::format("Device: {}", backend_->description()));
    for (const Group& group : groups_) {
        show(group);
    }
    if (job_.search_target >= 0) {
        search();
    }
    finish();
    return rows_;
}

} // namespace

void EvasionJob::validate() const {
    const auto refuse = [](const std::string& what) { throw std::invalid_argument(what); };
    if (generator.empty() || models.empty()) {
        refuse("evade: give --generator and --models");
    }
    if (count < 1 || search_count < 1 || search_steps < 1) {
        refuse("--count, --search-count, --search-steps: give at least 1");
    }
    if (search_against < 0 || search_against >= static_cast<std::int64_t>(models.size())) {
        refuse("--against: names none of --models; give one of them");
    }
}

std::vector<EvasionRow> run_evasion(const PackedSet* set, const EvasionJob& job) {
    job.validate();
    return Session(set, job).run();
}

} // namespace patchforge
