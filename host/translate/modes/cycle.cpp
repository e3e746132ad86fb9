// One kind of picture to another without pairs: the classes of a set, or two sets.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "data/class_match.h"
#include "data/escape.h"
#include "host/classifier/classifier_data.h"
#include "host/classifier/classifier_scores.h"
#include "host/translate/cycle_trainer.h"
#include "host/translate/modes/judge.h"
#include "host/translate/picture_pairs.h"
#include "host/translate/translation_task.h"
#include "host/translate/translator.h"

namespace patchforge {

namespace {

constexpr std::size_t shown_pictures = 6;

// The pictures of one kind that are trained on, and those held out.
struct KindOfPicture {
    std::string name;
    PatchRows train, test;
    std::vector<std::int32_t>
        test_groups; // patient of each test row; its number where none is known
};

PatchRows of_class(PatchRows rows, std::int32_t label) {
    std::vector<std::int32_t> subset;
    for (std::int64_t i = 0; i < rows.used(); ++i) {
        const auto row = static_cast<std::int32_t>(rows.row(i));
        if (rows.labels[row] == label) {
            subset.push_back(row);
        }
    }
    rows.subset = std::move(subset);
    return rows;
}

struct KindsOfPicture {
    KindOfPicture a, b;
    std::string how;
};

std::vector<std::int32_t> groups_of(const PackedSet& set, const PatchRows& rows) {
    std::vector<std::int32_t> groups;
    for (std::int64_t i = 0; i < rows.used(); ++i) {
        const std::int32_t patient = set.patients()[rows.row(i)];
        groups.push_back(patient >= 0 ? patient : static_cast<std::int32_t>(i));
    }
    return groups;
}

KindsOfPicture kinds_of(const TranslateSets& sets, const TranslateOptions& options) {
    const auto split = [&](const PackedSet& set) {
        return classifier_data(set, nullptr,
                               {options.test_patients, 0, options.split_seed, options.test_list});
    };
    const ClassifierData data = split(*sets.set);
    KindsOfPicture kinds;
    kinds.how = data.how;
    if (sets.target) {
        const ClassifierData target = split(*sets.target);
        kinds.a = {terminal_text(sets.set->path().stem().string()), data.train, data.test,
                   groups_of(*sets.set, data.test)};
        kinds.b = {terminal_text(sets.target->path().stem().string()), target.train, target.test,
                   groups_of(*sets.target, target.test)};
        if (kinds.a.name == kinds.b.name) {
            kinds.a.name += " (data)";
            kinds.b.name += " (target)";
        }
        require_alike(*sets.set, *sets.target);
    } else {
        const auto names = sets.set->class_names();
        if (names.size() < 2) {
            throw std::invalid_argument(
                "--mode cycle: the set has no two classes; give patches in folders by class, or a "
                "second set with --target");
        }
        const std::vector<std::string> asked = {
            options.class_a.empty() ? names[0] : options.class_a,
            options.class_b.empty() ? names[1] : options.class_b};
        const std::vector<std::int32_t> labels = match_classes(asked, names);
        for (std::size_t i = 0; i < 2; ++i) {
            if (labels.size() != 2 || labels[i] < 0) {
                throw std::invalid_argument(
                    fmt::format("--class-{} {}: no such class; use one of {}", i == 0 ? 'a' : 'b',
                                asked[i], terminal_list(names)));
            }
            KindOfPicture& kind = i == 0 ? kinds.a : kinds.b;
            kind.name = names[labels[i]];
            kind.train = of_class(data.train, labels[i]);
            kind.test = of_class(data.test, labels[i]);
        }
        kinds.a.test_groups = groups_of(*sets.set, kinds.a.test);
        kinds.b.test_groups = groups_of(*sets.set, kinds.b.test);
    }
    for (const KindOfPicture* kind : {&kinds.a, &kinds.b}) {
        if (kind->train.used() < options.batch_size || kind->test.used() < 1) {
            throw std::invalid_argument(fmt::format(
                "--batch-size {}: there are {} pictures of {} to train on and {} held out; a cycle "
                "takes whole batches of each kind",
                options.batch_size, kind->train.used(), kind->name, kind->test.used()));
        }
    }
    return kinds;
}

// Every picture by as much as the mean colours of the kinds differ: what a translation must beat.
std::vector<Image> shifted(std::vector<Image> pictures, const std::vector<double>& from,
                           const std::vector<double>& to) {
    for (Image& picture : pictures) {
        const std::size_t plane = picture.pixels.size() / from.size();
        for (std::size_t k = 0; k < picture.pixels.size(); ++k) {
            picture.pixels[k] = static_cast<std::uint8_t>(std::clamp(
                std::lround(picture.pixels[k] + to[k / plane] - from[k / plane]), 0L, 255L));
        }
    }
    return pictures;
}

double mean_difference(const std::vector<float>& a, const std::vector<float>& b) {
    double sum = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
        sum += std::fabs(a[i] - b[i]);
    }
    return sum / static_cast<double>(a.size());
}

// As many levels of 255 up as down, in turn by an irregular rule that is the same every time.
std::vector<float> with_noise(std::vector<float> values) {
    std::uint32_t state = 1;
    for (float& value : values) {
        state = state * 1664525u + 1013904223u;
        value += (state >> 31 ? 1.0f : -1.0f) * 2.0f / 255.0f;
    }
    return values;
}

class Cycle final : public TranslationTask {
  public:
    Cycle(Backend& backend, const TranslateSets& sets, const TranslateOptions& options,
          const Sharding& sharding)
        : backend_(backend), kinds_(kinds_of(sets, options)),
          trainer_(backend, options, kinds_.a.train, kinds_.b.train, sharding) {}

    TranslationTrainer& trainer() override { return trainer_; }
    std::string about() const override {
        return fmt::format("{} pictures of {} and {} of {}, {} and {} held out ({})",
                           kinds_.a.train.used(), kinds_.a.name, kinds_.b.train.used(),
                           kinds_.b.name, kinds_.a.test.used(), kinds_.b.test.used(), kinds_.how);
    }
    std::map<std::string, std::string> facts() const override {
        return {{"kind_a", kinds_.a.name}, {"kind_b", kinds_.b.name}};
    }
    std::vector<TranslationSheet> sheets() override;
    TranslationResults measure(TrainingRun& run) override;

  private:
    Translator translator(const char* generator) {
        return {backend_, trainer_.options(), trainer_.network(generator).weights()};
    }
    void add_cycle_errors(TranslationResults& results);
    void add_colours(TranslationResults& results);
    void add_judgements(TrainingRun& run, TranslationResults& results);
    void add_detection(TrainingRun& run, TranslationResults& results);

    Backend& backend_;
    KindsOfPicture kinds_;
    CycleTrainer trainer_;
    std::vector<Image> test_a_, test_b_, made_b_, made_a_; // in measure()
};

std::vector<TranslationSheet> Cycle::sheets() {
    Translator to_b = translator("generator_b"), to_a = translator("generator_a");
    std::vector<TranslationSheet> sheets;
    for (const bool from_a : {true, false}) {
        const KindOfPicture& kind = from_a ? kinds_.a : kinds_.b;
        const KindOfPicture& other = from_a ? kinds_.b : kinds_.a;
        const std::int64_t count = std::min<std::int64_t>(shown_pictures, kind.test.used());
        std::vector<Image> given;
        for (std::int64_t i = 0; i < count; ++i) {
            given.push_back(picture_of(kind.test, i * kind.test.used() / count));
        }
        const std::vector<Image> made = (from_a ? to_b : to_a).translate(given);
        const std::vector<Image> back = (from_a ? to_a : to_b).translate(made);
        TranslationSheet sheet{from_a ? "a_to_b" : "b_to_a",
                               fmt::format("{} as {}, and back", kind.name, other.name),
                               {"given", "made", "back"},
                               {}};
        for (std::size_t i = 0; i < given.size(); ++i) {
            sheet.rows.push_back({given[i], made[i], back[i]});
        }
        sheets.push_back(sheet);
    }
    return sheets;
}

void Cycle::add_cycle_errors(TranslationResults& results) {
    Translator to_b = translator("generator_b"), to_a = translator("generator_a");
    const Extent extent = kinds_.a.test.extent();
    TranslationResults::Table table{"There and back: mean |difference|, levels of 255",
                                    {"", "there and back", "with a level of noise on the way"},
                                    {}};
    double plain_sum = 0, noisy_sum = 0;
    for (const bool from_a : {true, false}) {
        Translator& there = from_a ? to_b : to_a;
        Translator& back = from_a ? to_a : to_b;
        const std::vector<float> given = signed_unit(from_a ? test_a_ : test_b_);
        const std::vector<float> made = there.translate(given, extent);
        const double plain = 127.5 * mean_difference(back.translate(made, extent), given);
        const double noisy =
            127.5 * mean_difference(back.translate(with_noise(made), extent), given);
        table.rows.push_back({from_a ? kinds_.a.name : kinds_.b.name, fmt::format("{:.2f}", plain),
                              fmt::format("{:.2f}", noisy)});
        plain_sum += plain / 2;
        noisy_sum += noisy / 2;
    }
    results.tables.push_back(table);
    results.figures["cycle_error"] = plain_sum;
    results.figures["cycle_error_noisy"] = noisy_sum;
    results.verdicts.push_back(
        {fmt::format("There and back a picture changes by {:.1f} levels in the mean, with noise of "
                     "one level on the way by {:.1f}: {}.",
                     plain_sum, noisy_sum,
                     noisy_sum < 2 * plain_sum
                         ? "the way back is not written in invisible detail"
                         : "the way back is hidden in detail that nobody sees"),
         noisy_sum < 2 * plain_sum});
}

void Cycle::add_colours(TranslationResults& results) {
    results.tables.push_back(
        colour_table("Mean colour, levels of 255", {{kinds_.a.name, test_a_},
                                                    {kinds_.b.name + ", made", made_b_},
                                                    {kinds_.b.name, test_b_},
                                                    {kinds_.a.name + ", made", made_a_}}));
}

// Share of pictures that a classifier takes for the kind they were made into: mean over both ways.
void Cycle::add_judgements(TrainingRun& run, TranslationResults& results) {
    const std::int64_t judges = trainer_.options().judges;
    if (judges == 0) {
        return;
    }
    OwnedPatches patches;
    const std::vector<Image> train_a = pictures_of(kinds_.a.train);
    const std::vector<Image> train_b = pictures_of(kinds_.b.train);
    append(patches, train_a, 0);
    append(patches, train_b, 1);
    const std::vector<double> colour_a = mean_colour(train_a), colour_b = mean_colour(train_b);
    struct Asked {
        const char* name;
        std::vector<Image> from_a, from_b;
        double sum = 0;
    };
    Asked asked[] = {{"untouched", test_a_, test_b_},
                     {"shifted to the other kind's mean colour",
                      shifted(test_a_, colour_a, colour_b), shifted(test_b_, colour_b, colour_a)},
                     {"translated", made_b_, made_a_}};
    TranslationResults::Table table{
        "Taken for the other kind by classifiers that the run never saw",
        {"classifier", "right on untouched", "untouched", "colour shifted", "translated"},
        {}};
    for (std::int64_t judge = 0; judge < judges; ++judge) {
        run.log(fmt::format("Training judge {} of {}", judge + 1, judges));
        const Judge classifier(backend_, patches.rows(kinds_.a.train),
                               trainer_.options().seed + 1000 + static_cast<std::uint64_t>(judge));
        std::vector<std::string> row = {fmt::format("cnn {}", judge + 1), ""};
        for (Asked& way : asked) {
            double share = 0;
            for (const bool from_a : {true, false}) {
                const std::vector<std::int32_t> called =
                    argmax_of(classifier.answers(from_a ? way.from_a : way.from_b), 2);
                share += static_cast<double>(std::ranges::count(called, from_a ? 1 : 0)) /
                         static_cast<double>(called.size()) / 2;
            }
            way.sum += share / static_cast<double>(judges);
            row.push_back(fmt::format("{:.3f}", share));
            if (row[1].empty()) {
                row[1] = fmt::format("{:.3f}", 1 - share);
            }
        }
        table.rows.push_back(row);
    }
    results.tables.push_back(table);
    const double untouched = asked[0].sum, shift = asked[1].sum, made = asked[2].sum;
    results.figures["flip_rate"] = made;
    results.figures["flip_rate_untouched"] = untouched;
    results.figures["flip_rate_colour_shift"] = shift;
    results.verdicts.push_back(
        {fmt::format("Classifiers that the run never saw take {:.0f} % of the translations for the "
                     "other kind; of untouched pictures {:.0f} %, of pictures with the other "
                     "kind's mean colour {:.0f} %.",
                     100 * made, 100 * untouched, 100 * shift),
         made >= untouched + 0.2 && made > shift});
}

// A classifier of real against made, trained on one half of the held-out pictures and their
// translations and asked about the other half; whole patients stand on one side.
void Cycle::add_detection(TrainingRun& run, TranslationResults& results) {
    run.log("Training the detector");
    OwnedPatches patches;
    std::vector<Image> asked;
    std::vector<std::int32_t> labels;
    const auto add = [&](const std::vector<Image>& pictures, const KindOfPicture& kind,
                         std::int32_t label) {
        for (std::size_t i = 0; i < pictures.size(); ++i) {
            if (kind.test_groups[i] % 2 == 0) {
                append(patches, {pictures[i]}, label);
            } else {
                asked.push_back(pictures[i]);
                labels.push_back(label);
            }
        }
    };
    add(test_a_, kinds_.a, 0);
    add(test_b_, kinds_.b, 0);
    add(made_b_, kinds_.a, 1);
    add(made_a_, kinds_.b, 1);
    if (patches.labels.empty() || asked.empty()) {
        results.notes.push_back("No detector: too few patients are held out to part them again.");
        return;
    }
    const Judge detector(backend_, patches.rows(kinds_.a.train), trainer_.options().seed + 2000);
    const ClassifierScores scores = score_logits(detector.answers(asked), labels, 2);
    results.figures["detector_auc"] = scores.auc;
    results.figures["detector_accuracy"] = scores.balanced_accuracy;
    results.verdicts.push_back(
        {fmt::format("A detector trained on other translations of this run tells made from real "
                     "with a balanced accuracy of {:.3f} (AUC {:.3f}; 0.5 is chance).",
                     scores.balanced_accuracy, scores.auc),
         scores.balanced_accuracy < 0.75});
}

TranslationResults Cycle::measure(TrainingRun& run) {
    TranslationResults results;
    test_a_ = pictures_of(kinds_.a.test);
    test_b_ = pictures_of(kinds_.b.test);
    made_b_ = translator("generator_b").translate(test_a_);
    made_a_ = translator("generator_a").translate(test_b_);
    add_judgements(run, results);
    add_detection(run, results);
    add_cycle_errors(results);
    add_colours(results);
    results.notes.push_back(
        "A high flip rate beside a high detection rate means: classifiers are fooled by something "
        "that no real picture has. Both belong together.");
    return results;
}

} // namespace

std::unique_ptr<TranslationTask> cycle_task(Backend& backend, const TranslateSets& sets,
                                            const TranslateOptions& options, Placement placement,
                                            const Sharding& sharding) {
    if (placement == Placement::streamed) {
        throw std::invalid_argument("--placement streamed: a cycle keeps both kinds of pictures on "
                                    "the device; leave it out");
    }
    return std::make_unique<Cycle>(backend, sets, options, sharding);
}

} // namespace patchforge
