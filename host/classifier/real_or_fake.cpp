#include "host/classifier/real_or_fake.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <set>
#include <stdexcept>

#include "data/resample.h"
#include "host/classifier/classifier_trainer.h"
#include "host/numerics/philox_sequence.h"
#include "host/page/report.h"
#include "host/page/text_table.h"

namespace patchforge {
namespace {

constexpr std::int64_t batch = 64;

// Pictures with their side (0 or 1) and the patient, or the number of a fake, that they belong to.
struct Sides {
    Extent extent;
    std::vector<std::uint8_t> bytes;
    std::vector<std::int32_t> side;
    std::vector<std::int32_t> patient;

    void add(std::span<const std::uint8_t> picture, std::int32_t to, std::int32_t of) {
        bytes.insert(bytes.end(), picture.begin(), picture.end());
        side.push_back(to);
        patient.push_back(of);
    }
    std::span<const std::uint8_t> picture(std::size_t i) const {
        return std::span(bytes).subspan(i * static_cast<std::size_t>(extent.size()),
                                        static_cast<std::size_t>(extent.size()));
    }
};

// Means of 2 x 2 pixels.
Sides halved(const Sides& sides) {
    const Extent in = sides.extent;
    Sides result{{in.channels, in.height / 2, in.width / 2}, {}, sides.side, sides.patient};
    for (std::size_t i = 0; i < sides.side.size(); ++i) {
        const auto picture = sides.picture(i);
        const Image half =
            halved_by_means({in.width, in.height, in.channels, {picture.begin(), picture.end()}});
        result.bytes.insert(result.bytes.end(), half.pixels.begin(), half.pixels.end());
    }
    return result;
}

// Patients in random order.
std::vector<std::int32_t> shuffled_patients(std::span<const std::int32_t> patients,
                                            std::uint64_t seed) {
    const std::set<std::int32_t> all(patients.begin(), patients.end());
    const std::vector<std::int32_t> list(all.begin(), all.end());
    std::vector<std::int32_t> order;
    for (const std::int64_t i : PhiloxSequence(seed).sample(std::ssize(list), std::ssize(list))) {
        order.push_back(list[i]);
    }
    return order;
}

// A half of the patients of each side trains, the other half judges: no patient is in both.
std::vector<bool> trains(const Sides& sides, std::uint64_t seed) {
    std::set<std::int32_t> training;
    for (const std::int32_t side : {0, 1}) {
        std::vector<std::int32_t> of_side;
        for (std::size_t i = 0; i < sides.side.size(); ++i) {
            if (sides.side[i] == side) {
                of_side.push_back(sides.patient[i]);
            }
        }
        const std::vector<std::int32_t> order = shuffled_patients(of_side, seed);
        training.insert(order.begin(), order.begin() + std::ssize(order) / 2);
    }
    std::vector<bool> result;
    for (const std::int32_t patient : sides.patient) {
        result.push_back(training.contains(patient));
    }
    return result;
}

struct Judgement {
    ScoreInterval auc;
    RealOrFakeCounts counts; // of side 1 as the fakes
};

Judgement judge(Backend& backend, const Sides& sides, std::uint64_t seed,
                const RealOrFakeOptions& options) {
    const std::vector<bool> training = trains(sides, seed);
    PatchRows rows{sides.bytes.data(),
                   std::ssize(sides.side),
                   sides.extent.channels,
                   sides.extent.height,
                   sides.extent.width,
                   sides.side,
                   {}};
    std::vector<std::uint8_t> asked;
    std::vector<std::int32_t> side, patients;
    for (std::size_t i = 0; i < training.size(); ++i) {
        if (training[i]) {
            rows.subset.push_back(static_cast<std::int32_t>(i));
            continue;
        }
        const auto picture = sides.picture(i);
        asked.insert(asked.end(), picture.begin(), picture.end());
        side.push_back(sides.side[i]);
        patients.push_back(sides.patient[i]);
    }
    ClassifierOptions classifier = classifier_preset("cnn");
    classifier.seed = seed;
    classifier.batch_size = batch;
    const std::int64_t batches = (rows.used() + batch - 1) / batch;
    classifier.epochs = std::max<std::int64_t>(1, options.iterations / batches);
    const ClassifierFormat format{sides.extent.channels,
                                  sides.extent.height,
                                  sides.extent.width,
                                  {"one side", "other side"},
                                  false};
    ClassifierTrainer trainer(backend, classifier, format, rows);
    trainer.run_to_the_end();
    const std::vector<float> logits = trainer.model().logits(asked);
    Judgement result{bootstrap_scores(logits, side, 2, patients, seed, options.resamples).auc, {}};
    for (std::size_t i = 0; i < side.size(); ++i) {
        const bool called_fake = logits[2 * i + 1] > logits[2 * i];
        ++(side[i] == 1 ? result.counts.fakes : result.counts.real);
        (side[i] == 1 ? result.counts.fakes_told : result.counts.real_called_fake) += called_fake;
    }
    return result;
}

void add(RealOrFakeScore& score, const ScoreInterval& one, int seeds) {
    score.by_seed.push_back(one.value);
    score.mean += one.value / seeds;
    if (score.by_seed.size() == 1) {
        score.interval = {0, 0};
    }
    score.interval.low += one.interval.low / seeds;
    score.interval.high += one.interval.high / seeds;
}

std::string text_of(const RealOrFakeScore& score) {
    return score_text(score.mean, score.interval);
}

std::string caption_of(const RealOrFake& result) {
    return fmt::format(
        "A cnn trained to tell {} real patches of {} patients from as many fakes, on "
        "half of the patients and of the fakes; AUC on the other half, mean of {} "
        "seeds from {} on, with 95 % intervals over patients. 0.5: nothing is told "
        "apart.",
        result.pictures, result.patients, result.full.by_seed.size(), result.seed);
}

const std::vector<std::string> columns_of_tests = {"real patches against", "full size",
                                                   "2 x 2 means"};

std::vector<std::vector<std::string>> rows_of(const RealOrFake& result) {
    return {
        {"fakes", text_of(result.full), text_of(result.half)},
        {"real patches of other patients", text_of(result.floor_full), text_of(result.floor_half)}};
}

} // namespace

RealOrFake real_or_fake(Backend& backend, Extent extent, std::span<const std::uint8_t> real,
                        std::span<const std::int32_t> patients, std::span<const std::uint8_t> fakes,
                        const RealOrFakeOptions& options,
                        const std::function<void(const std::string&)>& progress) {
    const auto start = std::chrono::steady_clock::now();
    const auto size = static_cast<std::size_t>(extent.size());
    const std::size_t count = std::min({real.size() / size, fakes.size() / size, patients.size()});
    const std::set<std::int32_t> all(patients.begin(),
                                     patients.begin() + static_cast<std::ptrdiff_t>(count));
    if (count < 40 || all.size() < 4 || std::min(extent.height, extent.width) < 16) {
        throw std::invalid_argument(fmt::format(
            "--real-or-fake: {} real patches of {} patients and {} fakes of {}; it takes at least "
            "40 of each, 4 patients and pictures of 16 x 16",
            real.size() / size, all.size(), fakes.size() / size, extent.text()));
    }
    RealOrFake result;
    result.pictures = static_cast<std::int64_t>(count);
    result.patients = std::ssize(all);
    result.seed = options.seed;
    Sides fake_sides{extent, {}, {}, {}};
    // The fakes' own numbers lie above those of patients.
    const std::int32_t first_fake = *all.rbegin() + 1;
    for (std::size_t i = 0; i < count; ++i) {
        fake_sides.add(real.subspan(i * size, size), 0, patients[i]);
        fake_sides.add(fakes.subspan(i * size, size), 1, first_fake + static_cast<std::int32_t>(i));
    }
    const auto ask = [&](RealOrFakeScore& full, RealOrFakeScore& half, const Sides& sides,
                         std::uint64_t seed) {
        const Judgement judgement = judge(backend, sides, seed, options);
        add(full, judgement.auc, options.seeds);
        if (options.half) {
            add(half, judge(backend, halved(sides), seed, options).auc, options.seeds);
        }
        return judgement.counts;
    };
    for (int s = 0; s < options.seeds; ++s) {
        const std::uint64_t seed = options.seed + static_cast<std::uint64_t>(s);
        progress(fmt::format("real or fake, network {} of {}", s + 1, options.seeds));
        const RealOrFakeCounts counts = ask(result.full, result.half, fake_sides, seed);
        result.counts.fakes += counts.fakes;
        result.counts.fakes_told += counts.fakes_told;
        result.counts.real += counts.real;
        result.counts.real_called_fake += counts.real_called_fake;
        if (!options.floor) {
            continue;
        }
        const std::vector<std::int32_t> order =
            shuffled_patients(patients.first(count), seed + 1'000'000);
        const std::set<std::int32_t> one(order.begin(), order.begin() + std::ssize(order) / 2);
        Sides real_sides{extent, {}, {}, {}};
        for (std::size_t i = 0; i < count; ++i) {
            real_sides.add(real.subspan(i * size, size), one.contains(patients[i]) ? 0 : 1,
                           patients[i]);
        }
        ask(result.floor_full, result.floor_half, real_sides, seed);
    }
    result.seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return result;
}

MetricResult real_or_fake_line(const RealOrFake& result) {
    MetricResult line{"real_or_fake",  {},          result.seconds, {"cnn", ""}, result.pictures,
                      result.pictures, result.seed, utc_now()};
    const std::pair<const char*, const RealOrFakeScore*> scores[] = {
        {"auc", &result.full},
        {"auc_half_size", &result.half},
        {"auc_real_against_real", &result.floor_full},
        {"auc_real_against_real_half_size", &result.floor_half}};
    for (const auto& [name, score] : scores) {
        append_score(line.results, name, score->mean, score->interval);
        for (std::size_t s = 0; s < score->by_seed.size(); ++s) {
            line.results.emplace_back(fmt::format("{}_seed_{}", name, result.seed + s),
                                      score->by_seed[s]);
        }
    }
    line.results.emplace_back("n_patients", static_cast<double>(result.patients));
    return line;
}

std::string real_or_fake_text(const RealOrFake& result) {
    return caption_of(result) + "\n" + table_text(columns_of_tests, rows_of(result));
}

void add_real_or_fake_section(Report& report, const RealOrFake& result) {
    report.lead(
        fmt::format("A trained network tells fakes from real patches with AUC {:.3f} [{:.3f}, "
                    "{:.3f}] (real patches of other patients: {:.3f}); 0.5 is chance.",
                    result.full.mean, result.full.interval.low, result.full.interval.high,
                    result.floor_full.mean),
        result.full.interval.low > result.floor_full.interval.high ? Tone::bad : Tone::neutral);
    report.section("Real or fake?");
    report.table(caption_of(result), columns_of_tests, rows_of(result));
    report.note("At full size a network finds what no eye does: read both columns, and beside them "
                "the lower row, which is what patients differ by.");
}

} // namespace patchforge
