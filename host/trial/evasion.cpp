#include "host/trial/evasion.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <stdexcept>

#include "data/class_match.h"
#include "data/escape.h"
#include "host/attack/latent_search.h"
#include "host/classifier/real_or_fake.h"
#include "host/evaluate/compared_images.h"
#include "host/files/json.h"
#include "host/model/classifier_members.h"
#include "host/page/image_grid.h"
#include "host/page/report.h"
#include "host/page/text_table.h"
#include "host/run/progress.h"
#include "host/run/version.h"
#include "host/session/loaded_models.h"
#include "host/trial/attack_rows.h"
#include "host/trial/attack_table.h"
#include "host/trial/evasion_page.h"
#include "host/trial/searched_distance.h"

namespace patchforge {

namespace {

namespace fs = std::filesystem;

// A group of patches and its name in the tables.
struct Group {
    std::string name;
    std::vector<std::uint8_t> bytes;
    // The class of each, as the models number them; empty: they are of none.
    std::vector<std::int32_t> of{};
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

class Evasion {
  public:
    Evasion(const PackedSet* set, const EvasionJob& job)
        : job_(job), backend_(job.device.make()), loaded_(*backend_, job.generator, job.checkpoint),
          report_("Do fakes fool classifiers?",
                  fmt::format("{} fakes of {} before {} classifiers.", job.count, job.generator,
                              job.models.size())) {
        for (const std::string& path : job.models) {
            models_.push_back(load_victim(*backend_, {path}, job.reading));
            for (const auto& member : models_.back().models) {
                check(member->format(), path);
            }
        }
        if (!job.detector.empty()) {
            detector_ = load_detector(*backend_, job.detector, format(), job.reading);
        }
        job.reading.refuse_unheeded();
        if (job.search_target >= format().class_count()) {
            throw std::invalid_argument(fmt::format(
                "--search target={}: the models know classes 0 to {}; choose one of them",
                job.search_target, format().class_count() - 1));
        }
        if (set) {
            class_of_label_ = model_classes(*set, format(), job.models.front());
        }
        findings_.models = job.models;
        findings_.classes = classes();
        findings_.conditional = !loaded_.images().format().classes.empty();
        findings_.searched = job.search_target;
        gather(set);
    }

    std::vector<EvasionRow> run();

  private:
    void check(const ClassifierFormat& model, const std::string& path) {
        const Extent made = loaded_.images().format().extent();
        if (model.extent() != made) {
            throw std::invalid_argument(fmt::format(
                "--models {}: takes {} pictures, the generator makes {}; give models of the same "
                "patches",
                path, model.extent().text(), made.text()));
        }
        if (!same_classes(model.class_names, classes())) {
            throw std::invalid_argument(fmt::format(
                "--models {}: knows the classes {}, {} knows {}; give models of the same classes",
                path, terminal_list(model.class_names), job_.models.front(),
                terminal_list(classes())));
        }
    }
    void gather(const PackedSet* set);
    void gather_real(const PackedSet& set);
    void gather_noise();
    void tell_apart(const PackedSet& set, const std::vector<std::int32_t>& rows);
    std::int32_t class_named(const std::string& name) const;
    void search();
    EvasionRow count(const Group& group, std::size_t model, std::span<const float> logits) const;
    std::vector<Image> first_ones(const std::vector<std::uint8_t>& bytes) const;
    void show(const Group& group);
    PictureSheet some_of_each() const;
    void finish(Session& session);
    const ClassifierFormat& format() const { return models_.front().format(); }
    const std::vector<std::string>& classes() const { return format().class_names; }

    const EvasionJob& job_;
    std::unique_ptr<Backend> backend_;
    LoadedGenerator loaded_;
    std::vector<LoadedVictim> models_;
    std::unique_ptr<ClassifierModel> detector_;
    std::vector<std::int32_t> class_of_label_; // the models', of the real patches' classes
    std::vector<Group> groups_;
    std::string real_; // which real patches, in words; or empty
    EvasionFindings findings_;
    Report report_;
};

void Evasion::gather(const PackedSet* set) {
    ImageGenerator& generator = loaded_.images();
    const std::vector<float> latents = generator.latents(job_.count, job_.seed);
    const std::vector<std::int32_t> made_as = generator.classes_of(latents);
    const std::vector<std::string>& made = generator.format().classes;
    groups_.push_back({all_fakes, generator.bytes(latents)});
    for (std::size_t i = 0; !made.empty() && i < made_as.size(); ++i) {
        groups_.front().of.push_back(class_named(made[made_as[i]]));
    }
    for (std::size_t c = 0; c < made.size(); ++c) {
        Group group{fakes_of(made[c]),
                    fakes_of_class(groups_.front().bytes, made_as, static_cast<std::int32_t>(c))};
        if (!group.bytes.empty()) {
            group.of.assign(group.bytes.size() / static_cast<std::size_t>(format().pixels()),
                            class_named(made[c]));
            groups_.push_back(std::move(group));
        }
    }
    if (set) {
        gather_real(*set);
    }
    gather_noise();
}

// Its number among the models' classes; -1: they know none of that name.
std::int32_t Evasion::class_named(const std::string& name) const {
    const auto found = std::ranges::find(classes(), name);
    return found == classes().end() ? -1 : static_cast<std::int32_t>(found - classes().begin());
}

// As many of each class as there are fakes, evenly spaced, or all.
void Evasion::gather_real(const PackedSet& set) {
    std::vector<std::string> seeing = job_.models;
    if (detector_) {
        seeing.push_back(job_.detector);
    }
    const ChosenRows chosen = choose_rows(set, seeing, "auto", 0);
    real_ = fmt::format("{} ({})", chosen.set.count(), chosen.how);
    if (!chosen.labelled) {
        groups_.push_back(
            {all_real, part_of(chosen.set, evenly_spaced(chosen.set.count(), job_.count)).levels});
    }
    for (std::size_t c = 0; c < classes().size(); ++c) {
        std::vector<std::int64_t> of_class;
        for (std::int64_t i = 0; chosen.labelled && i < chosen.set.count(); ++i) {
            const std::int32_t label = chosen.set.labels[i];
            if (class_of_label_[label] == static_cast<std::int32_t>(c)) {
                of_class.push_back(i);
            }
        }
        std::vector<std::int64_t> taken;
        for (const std::int64_t i : evenly_spaced(std::ssize(of_class), job_.count)) {
            taken.push_back(of_class[i]);
        }
        if (!taken.empty()) {
            groups_.push_back({real_of(classes()[c]), part_of(chosen.set, taken).levels,
                               std::vector(taken.size(), static_cast<std::int32_t>(c))});
        }
    }
    if (job_.real_or_fake) {
        tell_apart(set, chosen.rows);
    }
}

// As many real patches as fakes, evenly spaced.
void Evasion::tell_apart(const PackedSet& set, const std::vector<std::int32_t>& rows) {
    std::vector<std::int32_t> chosen;
    for (const std::int64_t i : evenly_spaced(std::ssize(rows), job_.count)) {
        chosen.push_back(rows[i]);
    }
    const ImageSet real = subjects_at(set, chosen);
    print_line("Training a network to tell fakes from real patches");
    findings_.told =
        real_or_fake(*backend_, real.shape, real.bytes, real.patients, groups_.front().bytes,
                     {.seed = job_.seed,
                      .seeds = 1,
                      .iterations = job_.real_or_fake_iterations,
                      .half = false,
                      .floor = false})
            .counts;
}

// As many as there are fakes: every pixel uniform, drawn a thousand patches at a time.
void Evasion::gather_noise() {
    constexpr std::int64_t at_once = 1000;
    const std::int64_t pixels = format().pixels();
    DeviceArray<float> drawn(*backend_, std::min(job_.count, at_once) * pixels);
    Group group{noise_group, {}};
    for (std::int64_t first = 0; first < job_.count; first += at_once) {
        const std::int64_t size = std::min(at_once, job_.count - first) * pixels;
        backend_->fill_uniform(drawn.view().part(0, size), -1, 1,
                               attack_stream(job_.seed, AttackStream::others,
                                             static_cast<std::uint64_t>(first / at_once)));
        std::vector<float> noise(static_cast<std::size_t>(size));
        drawn.download(noise.data(), size);
        std::transform(noise.begin(), noise.end(), std::back_inserter(group.bytes),
                       byte_of_signed_unit);
    }
    groups_.push_back(std::move(group));
}

EvasionRow Evasion::count(const Group& group, std::size_t model,
                          std::span<const float> logits) const {
    const std::vector<float> p = softmax_of(logits, format().class_count());
    const std::size_t width = classes().size();
    EvasionRow row;
    row.group = group.name;
    row.model = job_.models[model];
    row.count = static_cast<std::int64_t>(p.size() / width);
    row.called.assign(width, 0);
    row.right = group.of.empty() ? -1 : 0;
    for (std::size_t first = 0; first < p.size(); first += width) {
        const auto best = std::max_element(p.begin() + static_cast<std::ptrdiff_t>(first),
                                           p.begin() + static_cast<std::ptrdiff_t>(first + width));
        const std::size_t answer = static_cast<std::size_t>(best - p.begin()) - first;
        ++row.called[answer];
        row.right += !group.of.empty() && group.of[first / width] == static_cast<int>(answer);
        row.above_90 += *best > 0.9f;
        row.above_99 += *best > 0.99f;
        row.last_class.push_back(p[first + width - 1]);
    }
    return row;
}

void Evasion::show(const Group& group) {
    std::vector<std::vector<std::int32_t>> answers;
    for (std::size_t m = 0; m < models_.size(); ++m) {
        const std::vector<float> logits = mean_logits(models_[m].models, group.bytes);
        findings_.rows.push_back(this->count(group, m, logits));
        answers.push_back(argmax_of(logits, format().class_count()));
    }
    const std::int64_t count = std::ssize(answers.front());
    std::int64_t unanimous = -1, stopped = -1;
    if (models_.size() > 1) {
        unanimous = 0;
        for (std::size_t i = 0; i < answers.front().size(); ++i) {
            unanimous += std::all_of(answers.begin(), answers.end(),
                                     [&](const auto& of) { return of[i] == answers.front()[i]; });
        }
    }
    if (detector_) {
        const std::vector<std::int32_t> alarms = detector_->predictions(group.bytes);
        stopped = std::count(alarms.begin(), alarms.end(), 1);
    }
    for (std::size_t m = 0; m < models_.size(); ++m) {
        EvasionRow& row = findings_.rows[findings_.rows.size() - models_.size() + m];
        row.all_agree = unanimous;
        row.detector_stops = stopped;
    }
    const auto share = [&](std::int64_t part) {
        return part < 0 ? undefined : share_text(part, count);
    };
    findings_.together.push_back(
        {group.name, std::to_string(count), share(unanimous), share(stopped)});
}

void Evasion::search() {
    const auto found_model = std::find(job_.models.begin(), job_.models.end(), job_.search_against);
    const auto against = static_cast<std::size_t>(
        found_model == job_.models.end() ? 0 : found_model - job_.models.begin());
    const GeneratorFormat& format = loaded_.images().format();
    TargetClass objective(models_[against].members(), job_.search_target, LatentSearch::batch);
    LatentSearch search(loaded_.network(), objective,
                        {.steps = job_.search_steps,
                         .learning_rate = job_.search_rate,
                         .prior = job_.search_prior,
                         .numbers = loaded_.images().latent_dim() - std::ssize(format.classes),
                         .in_unit_box = format.latent == "uniform"});
    const std::vector<float> start = loaded_.images().latents(job_.search_count, job_.seed);
    ProgressBar bar("search", job_.search_count, "codes");
    const std::vector<float> found =
        search.run(start, [&](std::int64_t done) { bar.update(done); });
    const Group before{before_search, loaded_.images().bytes(start)};
    const Group after{searched_for(classes()[job_.search_target], job_.models[against]),
                      loaded_.images().bytes(found)};
    show(before);
    show(after);
    if (job_.search_count > 1) {
        const SearchedDistance distance =
            searched_distance(loaded_.images(), {start, before.bytes}, {found, after.bytes},
                              job_.seed, job_.device.backend.threads);
        for (EvasionRow& row : findings_.rows) {
            if (row.group == before.name || row.group == after.name) {
                const bool searched = row.group == after.name;
                row.frechet_to_fakes = searched ? distance.frechet_after : distance.frechet_before;
                row.code_mean_square =
                    searched ? distance.mean_square_after : distance.mean_square_before;
            }
        }
    }
    findings_.search = {.rows = {first_ones(before.bytes), first_ones(after.bytes)},
                        .row_names = {"before", "after"},
                        .scale = sheet_scale(this->format().width)};
    findings_.against = job_.models[against];
}

// At most eight.
std::vector<Image> Evasion::first_ones(const std::vector<std::uint8_t>& bytes) const {
    const ClassifierFormat& of = format();
    const std::int64_t all = std::ssize(bytes) / of.pixels();
    std::vector<Image> pictures;
    for (std::int64_t i = 0; i < std::min<std::int64_t>(8, all); ++i) {
        pictures.push_back(picture_at(bytes.data(), i, of.channels, of.height, of.width));
    }
    return pictures;
}

PictureSheet Evasion::some_of_each() const {
    PictureSheet sheet{.scale = sheet_scale(format().width)};
    for (const Group& group : groups_) {
        sheet.rows.push_back(first_ones(group.bytes));
        sheet.row_names.push_back(group.name);
    }
    return sheet;
}

void Evasion::finish(Session& session) {
    std::vector<std::string>& columns = findings_.table_columns;
    columns = {"patches", "model", "count"};
    for (const std::string& name : classes()) {
        columns.push_back("called " + name);
    }
    columns.insert(columns.end(), {"above 0.9", "above 0.99"});
    Json json = Json::array();
    std::string csv = "patches,model,count,class,called,share,above_0.9,above_0.99,all_agree,"
                      "detector_stops,right\n";
    for (const EvasionRow& row : findings_.rows) {
        const auto share = [&](std::int64_t part) { return share_of(part, row.count); };
        const auto shared = [&](std::int64_t part) {
            return part < 0 ? "" : fmt::format("{:.6f}", share(part));
        };
        std::vector<std::string> line = {row.group, row.model, std::to_string(row.count)};
        Json one = {{"patches", row.group}, {"model", row.model}, {"count", row.count}};
        for (std::size_t c = 0; c < row.called.size(); ++c) {
            line.push_back(fmt::format("{:.4f}", share(row.called[c])));
            one["called"][classes()[c]] = row.called[c];
            csv += fmt::format("{},{},{},{},{},{:.6f},{:.6f},{:.6f},{},{},{}\n",
                               quoted_csv_field(row.group), quoted_csv_field(row.model), row.count,
                               quoted_csv_field(classes()[c]), row.called[c], share(row.called[c]),
                               share(row.above_90), share(row.above_99), shared(row.all_agree),
                               shared(row.detector_stops), shared(row.right));
        }
        line.push_back(fmt::format("{:.4f}", share(row.above_90)));
        line.push_back(fmt::format("{:.4f}", share(row.above_99)));
        one["above_0.9"] = row.above_90;
        one["above_0.99"] = row.above_99;
        for (const auto& [name, known] :
             {std::pair("right", row.right), std::pair("all_agree", row.all_agree),
              std::pair("detector_stops", row.detector_stops)}) {
            if (known >= 0) {
                one[name] = known;
            }
        }
        if (row.frechet_to_fakes >= 0) {
            one["frechet_to_fakes"] = row.frechet_to_fakes;
            one["code_mean_square"] = row.code_mean_square;
        }
        json.push_back(one);
        findings_.table.push_back(line);
    }
    print_line(table_text(columns, findings_.table));
    findings_.together_columns = {"patches", "count", "all models agree", "detector stops"};
    if (models_.size() > 1 || detector_) {
        print_line(table_text(findings_.together_columns, findings_.together));
    } else {
        findings_.together.clear();
    }
    findings_.groups = some_of_each();
    const std::vector<std::string> sentences = evasion_sentences(findings_);
    for (const std::string& sentence : sentences) {
        print_line(terminal_text(sentence));
    }
    if (job_.verdict) {
        *job_.verdict = sentences;
    }
    add_evasion_sections(report_, findings_);
    std::vector<std::pair<std::string, std::string>> facts = {
        {"generator", loaded_.weights().string()},
        {"seed", std::to_string(job_.seed)},
        {"device", backend_->description()},
        {"patchforge", version_text()}};
    if (!real_.empty()) {
        facts.emplace_back("real patches", real_);
    }
    for (const LoadedVictim& model : models_) {
        facts.emplace_back("model " + model.name, model.hashes());
    }
    report_.settings("Settings of the evasion", facts);
    session.write("evasion.csv", csv);
    session.complete(report_, json, job_.listeners);
}

std::vector<EvasionRow> Evasion::run() {
    Session session(job_.place());
    print_line(fmt::format("Device: {}", backend_->description()));
    if (!real_.empty()) {
        print_line("Real patches: " + real_);
    }
    for (const Group& group : groups_) {
        show(group);
    }
    if (job_.search_target >= 0) {
        search();
    }
    finish(session);
    return findings_.rows;
}

} // namespace

std::vector<EvasionRow> run_evasion(const PackedSet* set, const EvasionJob& job) {
    job.validate();
    if (job.real_or_fake && !set) {
        throw std::invalid_argument("--real-or-fake: wants real patches; give --data");
    }
    return Evasion(set, job).run();
}

} // namespace patchforge
