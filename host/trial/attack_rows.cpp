#include "host/trial/attack_rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <numeric>
#include <stdexcept>

#include "host/classifier/classifier_data.h"

namespace patchforge {

namespace {

// One side of a run's split, ascending; empty where it has no such side.
std::vector<std::int32_t> side_of(const ClassifierData& data, const std::string& rows) {
    if (rows == "validation") {
        return data.validation ? data.validation->subset : std::vector<std::int32_t>();
    }
    return rows == "train" ? data.train.subset : data.test.subset;
}

std::string listed(const std::vector<std::string>& names) {
    return fmt::format("{}", fmt::join(names, ", "));
}

// What models say of a set.
struct Testimony {
    std::vector<std::vector<std::int32_t>> sides; // of each that says how it parted the set
    std::vector<std::string> silent;              // that do not
    std::string how; // the first one's test patches were chosen, in words
};

Testimony ask(const PackedSet& set, const std::vector<std::string>& models,
              const std::string& rows) {
    Testimony told;
    for (const std::string& model : models) {
        const auto split = split_of_run(model, set);
        if (!split) {
            told.silent.push_back(model);
        } else if (split->whole_set) {
            if (rows != "train") {
                throw std::invalid_argument(fmt::format(
                    "--data {}: {} was trained on all of it; give the set it was tested on, or "
                    "--rows all",
                    set.path().string(), model));
            }
            std::vector<std::int32_t> all(static_cast<std::size_t>(set.count()));
            std::iota(all.begin(), all.end(), 0);
            told.sides.push_back(std::move(all));
        } else {
            const ClassifierData data = classifier_data(set, nullptr, *split);
            told.sides.push_back(side_of(data, rows));
            told.how = told.how.empty() ? data.how : told.how;
        }
    }
    return told;
}

} // namespace

AttackSet part_of(const AttackSet& set, const std::vector<std::int64_t>& samples) {
    AttackSet part;
    for (const std::int64_t sample : samples) {
        const auto patch = set.patch(sample);
        part.levels.insert(part.levels.end(), patch.begin(), patch.end());
        part.labels.push_back(set.labels[sample]);
        if (!set.names.empty()) {
            part.names.push_back(set.names[sample]);
        }
    }
    return part;
}

ChosenRows choose_rows(const PackedSet& set, const std::vector<std::string>& models,
                       const std::string& rows, std::int64_t count) {
    std::vector<std::int32_t> chosen(static_cast<std::size_t>(set.count()));
    std::iota(chosen.begin(), chosen.end(), 0);
    std::string how = "all";
    if (rows != "all") {
        const Testimony told = ask(set, models, rows);
        if (rows != "auto" && !told.silent.empty()) {
            throw std::invalid_argument(fmt::format(
                "--rows {}: {} does not say which patches of {} it left out; give --rows all, or "
                "the run folder and the data it was trained on",
                rows, told.silent.front(), set.path().string()));
        }
        bool same = true;
        for (const std::vector<std::int32_t>& side : told.sides) {
            same = same && side == told.sides.front();
            std::vector<std::int32_t> common;
            std::set_intersection(chosen.begin(), chosen.end(), side.begin(), side.end(),
                                  std::back_inserter(common));
            chosen = std::move(common);
        }
        const std::string whose =
            models.size() == 1 ? "the model's training" : "the models' training";
        if (!told.sides.empty()) {
            how = rows == "train"        ? fmt::format("seen by {}", whose)
                  : rows == "validation" ? fmt::format("chosen by in {}", whose)
                  : same                 ? fmt::format("{} by {}", told.how, whose)
                         : fmt::format("those that each of {} models held out, of different splits",
                                       told.sides.size());
            if (!told.silent.empty()) {
                how +=
                    fmt::format("; {} says nothing of what it was trained on", listed(told.silent));
            }
        }
        if (chosen.empty()) {
            throw std::invalid_argument(fmt::format(
                "--rows {}: no patch of {} is left that all of {} have on that side; give models "
                "of one split, or --rows all",
                rows, set.path().string(), listed(models)));
        }
    }
    const bool labelled =
        std::ranges::any_of(set.labels(), [](std::int32_t label) { return label >= 0; });
    if (labelled) {
        std::erase_if(chosen, [&](std::int32_t row) { return set.labels()[row] < 0; });
    }
    if (chosen.empty()) {
        throw std::invalid_argument(fmt::format(
            "--data {}: none of the patches that --rows {} leaves has a label; give --rows all",
            set.path().string(), rows));
    }
    const std::int64_t available = std::ssize(chosen);
    PatchRows patches = rows_of(set);
    for (const std::int64_t i : evenly_spaced(available, count > 0 ? count : available)) {
        patches.subset.push_back(chosen[i]);
    }
    if (patches.used() < available) {
        how += fmt::format(", {} of {} evenly spaced", patches.used(), available);
    }
    ChosenRows result{{bytes_of(patches), labels_of(patches), {}}, how, labelled, patches.subset};
    for (const std::int32_t row : patches.subset) {
        result.set.names.emplace_back(set.name(row));
    }
    return result;
}

std::string settle_labels(ChosenRows& chosen, const PackedSet& set,
                          const std::vector<LoadedVictim>& victims) {
    const LoadedVictim& first = victims.front();
    const std::vector<std::int32_t> classes = model_classes(set, first.format(), first.name);
    for (const LoadedVictim& victim : victims) {
        for (const auto& model : victim.models) {
            if (model_classes(set, model->format(), victim.name) != classes) {
                throw std::invalid_argument(
                    fmt::format("--model {}: numbers the classes otherwise than {}; give models of "
                                "the same classes",
                                victim.name, first.name));
            }
        }
    }
    if (chosen.labelled) {
        for (std::int32_t& label : chosen.set.labels) {
            label = classes[label];
        }
        return "";
    }
    std::vector<std::int64_t> alike = evenly_spaced(chosen.set.count(), chosen.set.count());
    chosen.set.labels = first.answers(chosen.set.levels);
    for (const LoadedVictim& victim : victims) {
        const std::vector<std::int32_t> answers = victim.answers(chosen.set.levels);
        std::erase_if(alike, [&](std::int64_t i) {
            const auto at = static_cast<std::size_t>(i);
            return answers[at] != chosen.set.labels[at];
        });
    }
    if (alike.empty()) {
        throw std::invalid_argument(fmt::format(
            "--data {}: has no labels, and the models agree on none of its patches; give patches "
            "with labels, or fewer models",
            set.path().string()));
    }
    if (victims.size() == 1) {
        return "The patches have no labels: right is what the model answers without an attack";
    }
    const std::int64_t asked = chosen.set.count();
    chosen.set = part_of(chosen.set, alike);
    return fmt::format(
        "The patches have no labels: right is what all models answer alike without an "
        "attack, which is so for {} of {}",
        alike.size(), asked);
}

} // namespace patchforge
