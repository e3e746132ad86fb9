#include "host/privacy/privacy_job.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>
#include <stdexcept>
#include <utility>

#include "data/class_match.h"
#include "data/split.h"
#include "host/evaluate/compared_images.h"
#include "host/files/json.h"
#include "host/numerics/evenly_spaced.h"
#include "host/numerics/philox_sequence.h"
#include "host/page/report.h"
#include "host/privacy/discriminator_scores.h"
#include "host/privacy/latent_recovery.h"
#include "host/privacy/privacy_report.h"
#include "host/ranks/shared_rows.h"
#include "host/run/parameters_file.h"
#include "host/run/progress.h"
#include "host/run/version.h"
#include "host/session/loaded_models.h"
#include "host/session/open_set.h"
#include "host/session/session.h"

namespace patchforge {

namespace {

ResultsPlace place_of(const PrivacyJob& job) {
    return {.verb = "privacy", .out = job.out.empty() ? job.run : job.out};
}

namespace fs = std::filesystem;

using RowsOfPatients = std::map<std::int32_t, std::vector<std::int32_t>>;

RowsOfPatients by_patient(const PackedSet& set, const std::vector<std::int32_t>& rows) {
    RowsOfPatients patients;
    for (const std::int32_t row : rows) {
        if (const std::int32_t patient = set.patients()[row]; patient >= 0) {
            patients[patient].push_back(row);
        }
    }
    return patients;
}

Split split_of(const PackedSet& set, const PrivacyJob& job) {
    if (!is_run_folder(job.run) || read_run_kind(job.run) != "train gan") {
        throw std::invalid_argument(fmt::format(
            "--run {}: is not the folder of a `train gan` run, which says who was held out; give "
            "one",
            job.run));
    }
    const HeldOut held_out = held_out_by(job.run, set);
    if (!held_out.same_data) {
        throw std::invalid_argument(fmt::format(
            "--data: {} is not the set that {} was trained on ({}), or is read by other options: "
            "who was trained on is not known; give that set",
            set.path().string(), job.run, held_out.data));
    }
    if (held_out.patients == 0) {
        throw std::invalid_argument(fmt::format(
            "--run {}: held out no patients, so there is nobody to compare those with that it was "
            "trained on; train it with --test-patients",
            job.run));
    }
    return split_by_patient(set, {.test_patients = held_out.patients, .seed = held_out.seed});
}

// As many patches of each patient on both sides, as far as a patient has them: sides whose patients
// weigh differently could be told apart by that alone.
Suspects suspects_of(const PackedSet& set, const Split& split, const PrivacyJob& job,
                     Privacy& privacy) {
    const RowsOfPatients in = by_patient(set, split.train), out = by_patient(set, split.test);
    if (in.empty() || out.empty()) {
        throw std::invalid_argument(
            "--data: no patch of one side has a patient; name patients in the set's folders");
    }
    const auto most = static_cast<std::int64_t>(std::max(in.size(), out.size()));
    const std::int64_t each = std::max<std::int64_t>(1, job.count / most);
    std::vector<std::int32_t> chosen;
    Suspects suspects;
    for (const RowsOfPatients* side : {&in, &out}) {
        suspects.members = std::ssize(chosen);
        for (const auto& [patient, rows] : *side) {
            PhiloxSequence random(job.seed, static_cast<std::uint64_t>(patient));
            const std::int64_t taken = std::min(std::ssize(rows), each);
            for (const std::int64_t place : random.sample(std::ssize(rows), taken)) {
                chosen.push_back(rows[place]);
            }
        }
    }
    suspects.images = images_at(set, chosen);
    privacy.member_patients = std::ssize(in);
    privacy.stranger_patients = std::ssize(out);
    privacy.members = suspects.members;
    privacy.strangers = suspects.strangers();
    return suspects;
}

class Audit {
  public:
    Audit(const PackedSet& set, const PackedSet* generated, const PrivacyJob& job)
        : set_(set), job_(job), split_(split_of(set, job)), backend_(job.device.make()),
          generator_(*backend_, job.run, job.checkpoint) {
        require_one_size(job.run, generator_.images().format().extent(), extent_of(set));
        if (generated) {
            require_one_size(job.generated, extent_of(*generated), extent_of(set));
        }
        privacy_.generator = file_fingerprint(generator_.weights());
        privacy_.given = generated != nullptr;
        privacy_.seed = job.seed;
        suspects_ = suspects_of(set, split_, job, privacy_);
        fakes_ = generated ? fakes_of(*generated, set.class_names(), job.fakes, job.seed)
                           : fakes_like(generator_.images(), set.class_names(), members(),
                                        job.fakes, job.seed);
        privacy_.fakes = fakes_.count();
    }

    Privacy measure() {
        print_line(fmt::format("nearest fakes of {} patches", suspects_.images.count()));
        measure_nearness(privacy_, suspects_, fakes_, extractor(), job_.device.backend.threads);
        search();
        ask_discriminator();
        if (SharedRows::writes()) { // one rank's work: no rows are shared
            const SharedRows::Alone alone;
            teach();
            write();
        }
        return std::move(privacy_);
    }

  private:
    ImageSet some(const std::vector<std::int64_t>& rows) const {
        const ImageSet& all = suspects_.images;
        const std::int64_t size = set_.pixels_per_patch();
        ImageSet images{all.shape, {}, {}};
        for (const std::int64_t row : rows) {
            const auto first = all.bytes.begin() + row * size;
            images.bytes.insert(images.bytes.end(), first, first + size);
            images.labels.push_back(all.labels[row]);
        }
        return images;
    }
    ImageSet members() const { return some(evenly_spaced(suspects_.members, suspects_.members)); }

    FeatureExtractor extractor();
    void search();
    void ask_discriminator();
    void teach();
    void write();
    std::vector<std::pair<std::string, std::string>> settings() const;

    const PackedSet& set_;
    const PrivacyJob& job_;
    Split split_;
    std::unique_ptr<Backend> backend_;
    LoadedGenerator generator_;
    std::unique_ptr<ClassifierModel> classifier_;
    Privacy privacy_;
    Suspects suspects_;
    ImageSet fakes_;
};

FeatureExtractor Audit::extractor() {
    if (job_.features.empty()) {
        return random_extractor(suspects_.images.shape, job_.seed, job_.device.backend.threads);
    }
    classifier_ = load_classifier(*backend_, "--features", job_.features, set_.pixels_per_patch(),
                                  "the patches have");
    return classifier_extractor(*classifier_);
}

void Audit::search() {
    if (job_.search_patches == 0) {
        privacy_.left_out.emplace_back("The generator was not searched (--search-patches 0).");
        return;
    }
    std::vector<std::int64_t> rows = evenly_spaced(suspects_.members, job_.search_patches);
    for (const std::int64_t i : evenly_spaced(suspects_.strangers(), job_.search_patches)) {
        rows.push_back(suspects_.members + i);
    }
    ProgressBar bar("search", std::ssize(rows), "patches");
    const std::vector<double> found = recovery_distances(
        generator_, some(rows),
        {.steps = job_.search_steps, .seed = job_.seed + 1, .threads = job_.device.backend.threads},
        [&](std::int64_t done) { bar.update(done); });
    privacy_.judge_distances("search", "nearest picture that it can make", "generator", suspects_,
                             rows, privacy_.pixels, found);
}

void Audit::ask_discriminator() {
    const fs::path weights = generator_.weights().parent_path() / "discriminator.safetensors";
    if (!fs::exists(weights)) {
        privacy_.left_out.emplace_back(
            "The discriminator was not asked: this checkpoint holds none.");
        return;
    }
    const std::vector<std::string>& classes = generator_.images().format().classes;
    std::vector<std::int32_t> labels;
    if (!classes.empty()) {
        const std::vector<std::int32_t> known = match_classes(set_.class_names(), classes);
        for (const std::int32_t label : suspects_.images.labels) {
            labels.push_back(label < 0 ? -1 : known[label]);
        }
        if (std::ranges::count(labels, -1) > 0) {
            privacy_.left_out.emplace_back("The discriminator was not asked: patches have classes "
                                           "that it does not know.");
            return;
        }
    }
    const std::vector<float> scores = discriminator_scores(*backend_, weights, suspects_.images,
                                                           std::ssize(classes), labels, job_.seed);
    privacy_.judge("discriminator", "how real it calls a patch", "discriminator", true, suspects_,
                   evenly_spaced(suspects_.images.count(), suspects_.images.count()), scores);
}

void Audit::teach() {
    if (job_.tstr_epochs == 0) {
        privacy_.left_out.emplace_back("No classifier was taught (--tstr-epochs 0).");
        return;
    }
    if (fakes_.labels.empty()) {
        privacy_.left_out.emplace_back("No classifier was taught: the fakes have no classes, or "
                                       "not those of the patches (train gan --conditional).");
        return;
    }
    privacy_.taught = train_on_fakes(*backend_, set_, split_.test, members(), fakes_,
                                     job_.tstr_epochs, job_.seed, print_line);
}

std::vector<std::pair<std::string, std::string>> Audit::settings() const {
    return {{"generator", generator_.weights().string()},
            {"its content", privacy_.generator},
            {"fakes", privacy_.given ? job_.generated : fmt::format("{} drawn", job_.fakes)},
            {"features", job_.features.empty() ? privacy_.space : job_.features},
            {"search", fmt::format("{} patches of either side, {} steps", job_.search_patches,
                                   job_.search_steps)},
            {"seed", std::to_string(job_.seed)},
            {"program", version_text()}};
}

void Audit::write() {
    Session session(place_of(job_));
    fmt::print("{}", privacy_table(privacy_));
    session.write("privacy.json", privacy_.json().dump(1) + "\n");
    session.complete(
        privacy_page(privacy_, suspects_, fakes_, generator_.weights().string(), settings()),
        "privacy.html");
}

} // namespace

void describe(Options& options, PrivacyJob& job) {
    options.text("run", job.run, "FOLDER", "a GAN's run folder, trained with --test-patients")
        .must_be_given();
    describe_checkpoint(options, job.checkpoint);
    options.text("generated", job.generated, "FOLDER",
                 "the very fakes that are released, PNG files, instead of drawn ones");
    options.text("features", job.features, "FOLDER|FILE",
                 "a classifier whose features distances are measured in (without: an untrained "
                 "network)");
    options.number("count", job.count, {20, 1000000},
                   "patches of either side at most, as many of each patient");
    options.number("fakes", job.fakes, {20, 1000000}, "fakes that the attacker has, at most");
    options.number("search_patches", job.search_patches, {0, 1000000},
                   "patches of either side whose nearest picture the generator is searched for (0: "
                   "none)");
    options.number("search_steps", job.search_steps, {1, 100000}, "steps of that search a patch");
    options.number("tstr_epochs", job.tstr_epochs, {0, 100000},
                   "of a conditional GAN: passes of the classifiers taught by fakes and by patches "
                   "(0: none)");
    options.number("seed", job.seed, any_seed,
                   "of fakes, of the choice of patches and of intervals");
    options.text("out", job.out, "FOLDER", "folder for the results (the run's, unless given)");
    describe(options, job.device);
}

Privacy run_privacy(const PackedSet& set, const PackedSet* generated, const PrivacyJob& job) {
    check_ranges(job);
    Audit audit(set, generated, job); // what is not a GAN's run is said first
    place_of(job).check();
    return audit.measure();
}

} // namespace patchforge
