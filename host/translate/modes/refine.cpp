// Drawings made to look real, and whether that makes them better teachers (Shrivastava et al. 2017).
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>
#include <stdexcept>

#include "data/class_match.h"
#include "data/escape.h"
#include "data/resample.h"
#include "host/classifier/classifier_data.h"
#include "host/classifier/real_or_fake.h"
#include "host/numerics/evenly_spaced.h"
#include "host/session/open_set.h"
#include "host/translate/modes/judge.h"
#include "host/translate/picture_pairs.h"
#include "host/translate/refine_trainer.h"
#include "host/translate/translation_task.h"
#include "host/translate/translator.h"

namespace patchforge {

namespace {

constexpr std::size_t shown_refined = 8;
constexpr int resamples = 1000;

// Drawings and real pictures, those that are trained on and those held out.
struct Sets {
    const PackedSet* drawings = nullptr;
    const PackedSet* real = nullptr;
    PatchRows train, test;           // drawings
    PatchRows real_train, real_test; // real pictures
    std::string how;
};

Sets sets_of(const TranslateSets& sets, const TranslateOptions& options) {
    // The list or number of patients is that of the real pictures.
    const ClassifierData drawings = classifier_data(
        *sets.set, nullptr, {TranslateOptions{}.test_patients, 0, options.split_seed, {}});
    const ClassifierData real = classifier_data(
        *sets.target, nullptr, {options.test_patients, 0, options.split_seed, options.test_list});
    require_alike(*sets.set, *sets.target);
    if (std::min(drawings.train.used(), real.train.used()) < options.batch_size) {
        throw std::invalid_argument(fmt::format(
            "--batch-size {}: there are {} drawings and {} real pictures to train on; batches of "
            "both are whole",
            options.batch_size, drawings.train.used(), real.train.used()));
    }
    return {sets.set, sets.target, drawings.train, drawings.test, real.train, real.test, real.how};
}

std::vector<std::uint8_t> halved_bytes(const std::vector<Image>& pictures) {
    std::vector<std::uint8_t> bytes;
    for (const Image& picture : pictures) {
        const Image half = halved_by_means(picture);
        bytes.insert(bytes.end(), half.pixels.begin(), half.pixels.end());
    }
    return bytes;
}

using Classifiers = std::vector<std::unique_ptr<ClassifierModel>>;

Classifiers classifiers_of(Backend& backend, const TranslateOptions& options,
                           const PackedSet& drawings) {
    Classifiers classifiers;
    const Extent extent = extent_of(drawings);
    const auto names = drawings.class_names();
    for (const std::string& name : options.classifier) {
        auto classifier = ClassifierModel::load(backend, name);
        const ClassifierFormat& format = classifier->format();
        const Extent known = format.extent();
        if (known != extent || !std::ranges::equal(format.class_names, names) ||
            std::ranges::count(drawings.labels(), -1) > 0) {
            throw std::invalid_argument(fmt::format(
                "--classifier {}: knows {} in pictures of {}; the drawings are {}, of {}, and each "
                "must have its class; train one on them (train classifier --data ...)",
                name, terminal_list(format.class_names), known.text(), terminal_list(names),
                extent.text()));
        }
        classifiers.push_back(std::move(classifier));
    }
    return classifiers;
}

std::vector<const ClassifierModel*> pointers(const Classifiers& classifiers) {
    std::vector<const ClassifierModel*> pointers;
    for (const auto& classifier : classifiers) {
        pointers.push_back(classifier.get());
    }
    return pointers;
}

std::string text_of(const ScoreInterval& score, const char* value = "{:.3f} [{:.3f}, {:.3f}]") {
    return fmt::format(fmt::runtime(value), score.value, score.interval.low, score.interval.high);
}

class Refine final : public TranslationTask {
  public:
    Refine(Backend& backend, const TranslateSets& sets, const TranslateOptions& options,
           const Sharding& sharding)
        : backend_(backend), sets_(sets_of(sets, options)),
          classifiers_(classifiers_of(backend, options, *sets.set)),
          trainer_(backend, options, sets_.train, sets_.real_train, sharding,
                   pointers(classifiers_)) {}

    TranslationTrainer& trainer() override { return trainer_; }
    std::string about() const override {
        return fmt::format("{} drawings and {} real pictures, {} and {} held out ({})",
                           sets_.train.used(), sets_.real_train.used(), sets_.test.used(),
                           sets_.real_test.used(), sets_.how);
    }
    std::map<std::string, std::string> facts() const override {
        std::map<std::string, std::string> facts;
        for (const auto& classifier : classifiers_) { // of one alone: its hash
            std::string& hashes = facts["classifier_hash"];
            hashes += (hashes.empty() ? "" : ",") + classifier->hash();
        }
        return facts;
    }
    std::vector<TranslationSheet> sheets() override;
    TranslationResults measure(TrainingRun& run) override;

  private:
    Translator translator() {
        return {backend_, trainer_.options(), trainer_.network("generator").weights()};
    }
    // The drawings' class of every class of the real pictures; empty where either has none.
    std::vector<std::int32_t> shared_classes() const;
    std::vector<std::int32_t> patients(const PatchRows& real) const;
    void add_realness(TrainingRun& run, TranslationResults& results);
    void add_teaching(TrainingRun& run, TranslationResults& results);
    void add_change(TranslationResults& results);

    Backend& backend_;
    Sets sets_;
    Classifiers classifiers_;
    RefineTrainer trainer_;
    std::vector<Image> drawn_, refined_; // held out, in measure()
};

std::vector<TranslationSheet> Refine::sheets() {
    const auto count =
        std::min({std::int64_t{shown_refined}, sets_.test.used(), sets_.real_test.used()});
    std::vector<Image> drawn;
    for (const std::int64_t row : evenly_spaced(sets_.test.used(), count)) {
        drawn.push_back(picture_of(sets_.test, row));
    }
    const std::vector<Image> refined = translator().translate(drawn);
    TranslationSheet sheet{"pictures",
                           "Drawings that were held out, what the refiner makes of them, and, for "
                           "comparison, real pictures that have nothing to do with them.",
                           {"drawn", "refined", "real"},
                           {}};
    const std::vector<std::int64_t> real = evenly_spaced(sets_.real_test.used(), count);
    for (std::size_t i = 0; i < drawn.size(); ++i) {
        sheet.rows.push_back({drawn[i], refined[i], picture_of(sets_.real_test, real[i])});
    }
    return {sheet};
}

std::vector<std::int32_t> Refine::shared_classes() const {
    const auto names = sets_.drawings->class_names();
    const auto of_real = sets_.real->class_names();
    if (names.size() < 2 || of_real.size() < 2) {
        return {};
    }
    std::vector<std::int32_t> classes = match_classes(of_real, names);
    return std::ranges::count(classes, -1) > 0 ? std::vector<std::int32_t>() : classes;
}

// Of the used rows; empty where no patient is known.
std::vector<std::int32_t> Refine::patients(const PatchRows& real) const {
    std::vector<std::int32_t> patients;
    for (std::int64_t i = 0; i < real.used(); ++i) {
        patients.push_back(sets_.real->patients()[real.row(i)]);
    }
    return std::ranges::count(patients, -1) > 0 ? std::vector<std::int32_t>() : patients;
}

// Networks told to find out what is real, of pictures at half the size: single pixels would give every
// generator away.
void Refine::add_realness(TrainingRun& run, TranslationResults& results) {
    const std::int64_t count = std::min(sets_.test.used(), sets_.real_test.used());
    std::vector<Image> real, drawn, refined;
    std::vector<std::int32_t> of_real;
    const std::vector<std::int32_t> patients = this->patients(sets_.real_test);
    for (const std::int64_t row : evenly_spaced(sets_.real_test.used(), count)) {
        real.push_back(picture_of(sets_.real_test, row));
        of_real.push_back(patients.empty() ? static_cast<std::int32_t>(row) : patients[row]);
    }
    for (const std::int64_t row : evenly_spaced(sets_.test.used(), count)) {
        drawn.push_back(drawn_[row]);
        refined.push_back(refined_[row]);
    }
    const Extent half{sets_.test.channels, sets_.test.height / 2, sets_.test.width / 2};
    const std::set<std::int32_t> different(of_real.begin(), of_real.end());
    if (count < 40 || different.size() < 4 || std::min(half.height, half.width) < 16) {
        results.notes.push_back("Real or drawn was not asked: that takes 40 pictures of each kind "
                                "held out, 4 patients, and 32 pixels a side.");
        return;
    }
    RealOrFakeOptions options;
    options.seed = trainer_.options().seed + 2000;
    options.seeds = static_cast<int>(trainer_.options().judges);
    options.resamples = resamples;
    options.half = false; // these are halves
    const std::vector<std::uint8_t> real_bytes = halved_bytes(real);
    const auto asked = [&](const char* what, const std::vector<Image>& pictures, bool floor) {
        options.floor = floor; // the same either way
        run.log(fmt::format("Training networks to tell {} from real pictures", what));
        return real_or_fake(backend_, half, real_bytes, of_real, halved_bytes(pictures), options);
    };
    const RealOrFake before = asked("drawings", drawn, false),
                     after = asked("refined drawings", refined, true);
    const auto text = [](const RealOrFakeScore& score) {
        return text_of({score.mean, score.interval});
    };
    results.tables.push_back(
        {fmt::format("Told from {} real pictures of {} patients at {} by a cnn, AUC on other "
                     "patients, mean of {} seeds; 0.5 is chance. Intervals of 95 % over patients.",
                     count, different.size(), half.text(), options.seeds),
         {"pictures", "AUC"},
         {{"drawings", text(before.full)},
          {"refined", text(after.full)},
          {"real pictures of other patients", text(after.floor_full)}}});
    results.figures["auc_drawn"] = before.full.mean;
    results.figures["auc_refined"] = after.full.mean;
    results.figures["auc_real_against_real"] = after.floor_full.mean;
    const double fall = before.full.mean - after.full.mean;
    results.verdicts.push_back(
        {fmt::format("At half the size a network tells drawings from real pictures with an AUC of "
                     "{:.3f}, refined ones with {:.3f}: {}.",
                     before.full.mean, after.full.mean,
                     fall >= 0.05 ? "they look more real"
                                  : "less than 0.05 was gained, they do not look more real"),
         fall >= 0.05});
}

// The same classifiers trained on drawings and on what the refiner makes of them, asked about real
// pictures of patients that nobody saw, and about drawings that were held out.
void Refine::add_teaching(TrainingRun& run, TranslationResults& results) {
    const std::vector<std::int32_t> labels = labels_of(sets_.train);
    const std::vector<std::int32_t> test_labels = labels_of(sets_.test);
    if (sets_.drawings->class_names().size() < 2 || std::ranges::count(labels, -1) > 0 ||
        std::ranges::count(test_labels, -1) > 0) {
        results.notes.push_back("The drawings have no classes: what they teach was not asked.");
        return;
    }
    const auto classes = static_cast<std::int64_t>(sets_.drawings->class_names().size());
    const auto judges = static_cast<std::uint64_t>(trainer_.options().judges);
    const std::uint64_t seed = trainer_.options().seed + 1000;
    const std::vector<Image> train = pictures_of(sets_.train);
    const std::vector<std::uint8_t> real = bytes_of(sets_.real_test);
    struct Taught {
        const char* by;
        std::vector<float> of_real{}; // logits, summed over the judges
        double drawn_right = 0, refined_right = 0;
    };
    const auto taught = [&](const char* by, const std::vector<Image>& pictures,
                            double stain_jitter = 0) {
        Taught result{by};
        OwnedPatches patches;
        append(patches, pictures, 0);
        patches.labels = labels;
        const auto share_right = [&](const Judge& judge, const std::vector<Image>& asked) {
            const std::vector<std::int32_t> called = argmax_of(judge.answers(asked), classes);
            double right = 0;
            for (std::size_t i = 0; i < called.size(); ++i) {
                right += called[i] == test_labels[i];
            }
            return right / static_cast<double>(called.size() * judges);
        };
        for (std::uint64_t number = 0; number < judges; ++number) {
            run.log(fmt::format("Training classifier {} of {} on {}", number + 1, judges, by));
            const Judge judge(backend_, patches.rows(sets_.train), seed + number, classes,
                              stain_jitter);
            result.drawn_right += share_right(judge, drawn_);
            result.refined_right += share_right(judge, refined_);
            const std::vector<float> answers = judge.answers(real);
            result.of_real.resize(answers.size());
            std::ranges::transform(answers, result.of_real, result.of_real.begin(), std::plus());
        }
        return result;
    };
    const Taught by_drawn = taught("drawings", train);
    // A picture whose colours have moved is another one to classifiers that never saw other stains.
    std::optional<Taught> by_stained;
    if (sets_.train.channels == 3) {
        by_stained = taught("drawings under other stains", train, 0.2);
    }
    const Taught by_refined = taught("refined drawings", translator().translate(train));

    TranslationResults::Table kept{
        fmt::format("Called what they were drawn as, share of {} held-out drawings", drawn_.size()),
        {"classifiers trained on", "drawings", "refined"},
        {}};
    const auto add_row = [&](const Taught& by) {
        kept.rows.push_back({by.by, fmt::format("{:.3f}", by.drawn_right),
                             fmt::format("{:.3f}", by.refined_right)});
    };
    add_row(by_drawn);
    if (by_stained) {
        add_row(*by_stained);
    }
    add_row(by_refined);
    results.tables.push_back(kept);
    if (by_stained) {
        results.figures["labels_survive_stained"] = by_stained->refined_right;
    }
    results.figures["labels_right_drawn"] = by_drawn.drawn_right;
    results.figures["labels_survive"] = by_drawn.refined_right;
    results.figures["labels_survive_taught"] = by_refined.refined_right;
    results.verdicts.push_back(
        {fmt::format("{:.1f} % of the labels survive: classifiers of drawings call so many refined "
                     "ones what they were drawn as, and {:.1f} % of the drawings themselves.",
                     100 * by_drawn.refined_right, 100 * by_drawn.drawn_right),
         by_drawn.refined_right >= 0.9});

    const std::vector<std::int32_t> shared = shared_classes();
    std::vector<std::int32_t> truth = labels_of(sets_.real_test);
    if (shared.empty() || std::ranges::count(truth, -1) > 0) {
        results.notes.push_back("The real pictures have no classes of the drawings' names: what "
                                "they teach about real ones was not asked.");
        return;
    }
    for (std::int32_t& label : truth) {
        label = shared[label];
    }
    const std::vector<std::int32_t> groups = patients(sets_.real_test);
    const auto scores = [&](std::span<const float> of, std::span<const float> minus = {}) {
        return bootstrap_scores(of, truth, classes, groups, seed, resamples, minus);
    };
    const IntervalScores drawn = scores(by_drawn.of_real), refined = scores(by_refined.of_real);
    const IntervalScores gain = scores(by_refined.of_real, by_drawn.of_real);
    const std::set<std::int32_t> different(groups.begin(), groups.end());
    const char* const signs = "{:+.3f} [{:+.3f}, {:+.3f}]";
    results.tables.push_back(
        {fmt::format("Asked about {} real pictures{} that nothing was trained on, {} classifiers "
                     "each, their answers added. 95 % intervals by bootstrap of {}; the difference "
                     "is taken sample by sample.",
                     truth.size(),
                     groups.empty() ? "" : fmt::format(" of {} patients", different.size()), judges,
                     groups.empty() ? "pictures" : "patients"),
         {"classifiers trained on", "balanced accuracy", "AUC"},
         {{"drawings", text_of(drawn.balanced_accuracy), text_of(drawn.auc)},
          {"refined drawings", text_of(refined.balanced_accuracy), text_of(refined.auc)},
          {"refined minus drawings", text_of(gain.balanced_accuracy, signs),
           text_of(gain.auc, signs)}}});
    const auto keep = [&](const std::string& name, const IntervalScores& one) {
        for (const auto& [score, value] :
             {std::pair("balanced_accuracy", &one.balanced_accuracy), std::pair("auc", &one.auc)}) {
            results.figures[fmt::format("taught_{}_{}", name, score)] = value->value;
            results.figures[fmt::format("taught_{}_{}_low", name, score)] = value->interval.low;
            results.figures[fmt::format("taught_{}_{}_high", name, score)] = value->interval.high;
        }
    };
    keep("drawn", drawn);
    keep("refined", refined);
    keep("gain", gain);
    const Interval& interval = gain.balanced_accuracy.interval;
    results.verdicts.push_back(
        {fmt::format("On real pictures classifiers that learned from refined drawings reach a "
                     "balanced accuracy of {:.3f}, from drawings {:.3f}: {}{}.",
                     refined.balanced_accuracy.value, drawn.balanced_accuracy.value,
                     text_of(gain.balanced_accuracy, signs),
                     interval.low > 0    ? ", refined ones teach more"
                     : interval.high < 0 ? ", refined ones teach less"
                                         : ", which may be nothing"),
         interval.low > 0});
}

void Refine::add_change(TranslationResults& results) {
    double sum = 0, count = 0;
    for (std::size_t i = 0; i < drawn_.size(); ++i) {
        for (std::size_t k = 0; k < drawn_[i].pixels.size(); ++k, ++count) {
            sum += std::abs(int{drawn_[i].pixels[k]} - int{refined_[i].pixels[k]});
        }
    }
    results.figures["change"] = sum / count;
    const std::vector<Image> real = pictures_of(sets_.real_test);
    results.tables.push_back(colour_table(
        fmt::format("Mean colour, levels of 255. A pixel of a drawing changes by {:.1f} in the "
                    "mean.",
                    sum / count),
        {{"drawings", drawn_}, {"refined", refined_}, {"real", real}}));
}

TranslationResults Refine::measure(TrainingRun& run) {
    TranslationResults results;
    drawn_ = pictures_of(sets_.test);
    refined_ = translator().translate(drawn_);
    if (trainer_.options().judges > 0) {
        add_teaching(run, results);
        add_realness(run, results);
    }
    add_change(results);
    return results;
}

} // namespace

std::unique_ptr<TranslationTask> refine_task(Backend& backend, const TranslateSets& sets,
                                             const TranslateOptions& options, Placement placement,
                                             const Sharding& sharding) {
    if (placement == Placement::streamed) {
        throw std::invalid_argument("--placement streamed: --mode refine keeps drawings and real "
                                    "pictures on the device; leave it out");
    }
    return std::make_unique<Refine>(backend, sets, options, sharding);
}

} // namespace patchforge
