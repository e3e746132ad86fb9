#include "host/classifier/classifier_data.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <map>
#include <set>
#include <stdexcept>

#include "data/open_data_set.h"
#include "data/split.h"
#include "host/model/class_names.h"
#include "host/model/classifier_members.h"
#include "host/run/parameters_file.h"
#include "host/run/run_folder.h"
#include "host/session/open_set.h"

namespace patchforge {

ClassifierFormat format_of(const PackedSet& set) {
    const auto names = set.class_names();
    return {set.channels(), set.height(), set.width(), {names.begin(), names.end()}, false};
}

std::vector<std::uint8_t> bytes_of(const PatchRows& patches) {
    const auto width = static_cast<std::size_t>(patches.pixels_per_patch());
    std::vector<std::uint8_t> bytes(static_cast<std::size_t>(patches.used()) * width);
    for (std::int64_t i = 0; i < patches.used(); ++i) {
        std::memcpy(bytes.data() + static_cast<std::size_t>(i) * width,
                    patches.pixels + static_cast<std::size_t>(patches.row(i)) * width, width);
    }
    return bytes;
}

std::vector<std::int32_t> labels_of(const PatchRows& patches) {
    std::vector<std::int32_t> labels;
    for (std::int64_t i = 0; i < patches.used(); ++i) {
        labels.push_back(patches.labels[patches.row(i)]);
    }
    return labels;
}

void OwnedPatches::append(const PatchRows& patches) {
    const std::vector<std::uint8_t> more_bytes = bytes_of(patches);
    const std::vector<std::int32_t> more_labels = labels_of(patches);
    bytes.insert(bytes.end(), more_bytes.begin(), more_bytes.end());
    labels.insert(labels.end(), more_labels.begin(), more_labels.end());
}

PatchRows OwnedPatches::rows(const PatchRows& like) const {
    return {bytes.data(), std::ssize(labels), like.channels, like.height, like.width, labels, {}};
}

namespace {

// Patients, or a share of the rows, of `among` (empty: of all).
Split split_of(const PackedSet& set, const char* option, double patients, std::uint64_t seed,
               std::vector<std::int32_t> among) {
    SplitOptions options{.seed = seed, .among = std::move(among)};
    if (patients < 1) {
        options.test_fraction = patients;
    } else {
        options.test_patients = std::llround(patients);
    }
    if (!set.patient_names().empty()) {
        try {
            return split_by_patient(set, options);
        } catch (const std::runtime_error& error) {
            throw std::runtime_error(fmt::format("{} {}: {}", option, patients, error.what()));
        }
    }
    if (patients >= 1) {
        throw std::invalid_argument(
            fmt::format("{} {}: the set knows no patients; give a share below 1{}", option,
                        patients, option == std::string("--test-patients") ? " or --test" : ""));
    }
    return split_by_row(set, options);
}

} // namespace

PatientChoice patient_choice(const std::string& text) {
    PatientChoice choice;
    const auto [end, error] =
        std::from_chars(text.data(), text.data() + text.size(), choice.number);
    if (error != std::errc() || end != text.data() + text.size()) {
        choice.list = text;
    }
    return choice;
}

void describe_test_patients(Options& options, double& number, std::string& list,
                            const std::string& what) {
    Option& tested =
        options.number("test_patients", number, {1e-6, 1e6},
                       what + ": a share below 1, a number, or a file that lists them");
    tested.set = [&list, set_number = tested.set](const std::string& text) {
        list = patient_choice(text).list;
        if (list.empty() || !std::filesystem::exists(list)) {
            set_number(text); // which says what is wrong where it is neither
        }
    };
    tested.get = [&list, get_number = tested.get]() -> ParameterValue {
        return list.empty() ? get_number() : ParameterValue(list);
    };
    tested.placeholder = "N|FILE";
}

ClassifierData classifier_data(const PackedSet& set, const PackedSet* test,
                               const DataSplit& split) {
    ClassifierData data{rows_of(set), rows_of(test ? *test : set), "a set of its own"};
    if (test) {
        if (extent_of(*test) != extent_of(set) ||
            !std::ranges::equal(test->class_names(), set.class_names())) {
            throw std::invalid_argument(fmt::format("--test {}: its patches or classes are not "
                                                    "those of --data {}; give a set of the same "
                                                    "kind",
                                                    test->path().string(), set.path().string()));
        }
    } else {
        const Split sides = split.test_list.empty() ? split_of(set, "--test-patients",
                                                               split.test_patients, split.seed, {})
                                                    : split_by_list(set, split.test_list);
        data.how = sides.test_patients.empty()
                       ? "patches held out: the set knows no patients"
                       : fmt::format("{} patients held out", sides.test_patients.size());
        data.train.subset = sides.train;
        data.test.subset = sides.test;
    }
    if (split.validation_patients > 0) {
        const Split sides = split_of(set, "--validation-patients", split.validation_patients,
                                     split.seed, data.train.subset);
        data.validation = data.train;
        data.validation->subset = sides.test;
        data.train.subset = sides.train;
    }
    return data;
}

void add_training_patches(ClassifierData& data, const PackedSet& set, const PackedSet& extra) {
    const std::vector<std::int32_t> numbers = match_classes(extra.class_names(), set.class_names());
    if (extent_of(extra) != extent_of(set) || numbers.empty() ||
        std::ranges::count(numbers, -1) > 0) {
        throw std::invalid_argument(fmt::format(
            "--extra-data {}: its patches or classes are not those of --data {}; give a set of the "
            "same kind, such as `attack --save` or `generate --class` writes",
            extra.path().string(), set.path().string()));
    }
    auto owned = std::make_shared<OwnedPatches>();
    owned->append(data.train);
    const auto first = owned->labels.size();
    owned->append(rows_of(extra));
    for (std::size_t i = first; i < owned->labels.size(); ++i) {
        owned->labels[i] = owned->labels[i] < 0 ? -1 : numbers[owned->labels[i]];
    }
    data.train = owned->rows(data.train);
    data.owned.push_back(owned);
}

std::optional<DataSplit> split_of_run(const std::filesystem::path& run, const PackedSet& set) {
    const std::filesystem::path folder = classifier_members(run).front();
    if (!is_run_folder(folder)) {
        return std::nullopt;
    }
    std::map<std::string, std::string> told = parameter_texts(read_parameters(folder));
    if (told["data_hash"] != hash_of(set) || !told.contains("test_patients") ||
        !told.contains("validation_patients") || !told.contains("split_seed")) {
        return std::nullopt;
    }
    const PatientChoice tested = patient_choice(told["test_patients"]);
    return DataSplit{tested.number, std::stod(told["validation_patients"]),
                     std::stoull(told["split_seed"]), tested.list, !told["test"].empty()};
}

namespace {

// The set that a run was trained on, where it still lies where it lay.
std::optional<PackedSet> set_of_run(const std::filesystem::path& run) {
    const std::filesystem::path folder = classifier_members(run).front();
    if (!is_run_folder(folder)) {
        return std::nullopt;
    }
    std::map<std::string, std::string> told = parameter_texts(read_parameters(folder));
    try {
        PackedSet set = open_data_set(told["data"]);
        return told["data_hash"] == hash_of(set) ? std::optional(std::move(set)) : std::nullopt;
    } catch (const std::exception&) {
        return std::nullopt;
    }
}

// The patients, or in a set without any the patches.
std::set<std::string> subjects(const PackedSet& set, const std::vector<std::int32_t>& rows) {
    std::set<std::string> names;
    for (const std::int32_t row : rows) {
        const std::int32_t patient = set.patients()[row];
        names.insert(patient < 0 ? std::string(set.name(row)) : set.patient_names()[patient]);
    }
    return names;
}

std::vector<std::int32_t> rows_used(const PatchRows& patches) {
    std::vector<std::int32_t> rows;
    for (std::int64_t i = 0; i < patches.used(); ++i) {
        rows.push_back(static_cast<std::int32_t>(patches.row(i)));
    }
    return rows;
}

} // namespace

std::string patients_seen(const std::filesystem::path& run, const PackedSet& set,
                          const PatchRows& compared) {
    std::optional<PackedSet> other;
    std::optional<DataSplit> split = split_of_run(run, set);
    if (!split) {
        other = set_of_run(run);
        split = other ? split_of_run(run, *other) : std::nullopt;
    }
    if (!split) {
        return fmt::format(
            "{}: nobody can say whether it was trained on the patients that the fakes "
            "are compared with; features of patches that it has learnt flatter them",
            run.string());
    }
    const PackedSet& own = other ? *other : set;
    std::set<std::string> seen;
    if (split->whole_set) {
        seen = subjects(own, rows_used(rows_of(own)));
    } else {
        const ClassifierData data = classifier_data(own, nullptr, *split);
        seen = subjects(own, rows_used(data.train));
        if (data.validation) {
            seen.merge(subjects(own, rows_used(*data.validation)));
        }
    }
    const std::set<std::string> asked = subjects(set, rows_used(compared));
    const auto both =
        std::ranges::count_if(asked, [&](const std::string& name) { return seen.contains(name); });
    return both == 0
               ? ""
               : fmt::format(
                     "{}: was trained on {} of the {} {} that the fakes are compared with, whose "
                     "features it has learnt; train it on others (docs/evaluation.md)",
                     run.string(), both, asked.size(),
                     set.patient_names().empty() ? "patches" : "patients");
}

} // namespace patchforge
