#include "data/split.h"

#include "data/random_sequence.h"
#include "data/read_bytes.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <optional>
#include <set>
#include <sstream>
#include <stdexcept>

namespace patchforge {

namespace {

constexpr int draws = 64;
constexpr std::uint64_t max_list_bytes = 1 << 26;

void check(const SplitOptions& options) {
    if (!(options.test_fraction > 0.0 && options.test_fraction < 1.0)) {
        throw std::invalid_argument(fmt::format(
            "test fraction: {} is outside 0..1; use for example 0.2", options.test_fraction));
    }
    if (options.test_patients < 0) {
        throw std::invalid_argument(fmt::format(
            "test patients: {} is negative; use 0 for the fraction", options.test_patients));
    }
}

/// Patches of each class, and of no class at the end.
using Counts = std::vector<std::int64_t>;

/// Distance of the tested part from `fraction` of the set, summed over the classes. Nothing when a
/// class of the set is missing on one side.
std::optional<double> distance(const Counts& all, const Counts& test, double fraction) {
    double sum = 0.0;
    for (std::size_t c = 0; c < all.size(); ++c) {
        const bool is_class = c + 1 < all.size();
        if (is_class && all[c] > 0 && (test[c] == 0 || test[c] == all[c])) {
            return std::nullopt;
        }
        if (all[c] > 0) {
            sum += std::abs(static_cast<double>(test[c]) / static_cast<double>(all[c]) - fraction);
        }
    }
    return sum;
}

std::vector<std::int32_t> rows_to_part(const PackedSet& set, const SplitOptions& options) {
    if (!options.among.empty()) {
        return options.among;
    }
    std::vector<std::int32_t> rows(static_cast<std::size_t>(set.count()));
    std::iota(rows.begin(), rows.end(), 0);
    return rows;
}

} // namespace

Split split_by_patient(const PackedSet& set, const SplitOptions& options) {
    check(options);
    const std::size_t classes = set.class_names().size();
    // By name, so that the numbers of patients, which depend on the file, do not matter.
    std::map<std::string_view, Counts> by_name;
    Counts all(classes + 1);
    const std::vector<std::int32_t> rows = rows_to_part(set, options);
    for (const std::int32_t i : rows) {
        const std::int32_t patient = set.patients()[i];
        if (patient < 0) {
            throw std::runtime_error(fmt::format(
                "{}: {} has no patient, so patches of one patient could stand on both sides; split "
                "by row, or use data in the IDC layout",
                set.path().string(), set.name(i)));
        }
        Counts& counts = by_name[set.patient_names()[patient]];
        counts.resize(classes + 1);
        const std::int32_t label = set.labels()[i];
        const std::size_t at = label < 0 ? classes : static_cast<std::size_t>(label);
        ++counts[at];
        ++all[at];
    }
    const auto patients = static_cast<std::int64_t>(by_name.size());
    std::int64_t wanted = options.test_patients;
    if (wanted == 0) {
        wanted = std::max<std::int64_t>(
            1, std::llround(options.test_fraction * static_cast<double>(patients)));
    }
    if (wanted >= patients) {
        throw std::runtime_error(
            fmt::format("{}: cannot hold out {} of {} patients; hold out fewer "
                        "or add patients",
                        set.path().string(), wanted, patients));
    }

    const double fraction = static_cast<double>(wanted) / static_cast<double>(patients);
    std::optional<double> best;
    std::vector<std::string> chosen;
    for (int draw = 0; draw < draws; ++draw) {
        const std::uint64_t seed = mix_bits(options.seed) + static_cast<std::uint64_t>(draw);
        std::vector<std::pair<std::uint64_t, std::string_view>> order;
        order.reserve(by_name.size());
        for (const auto& [name, counts] : by_name) {
            order.emplace_back(hash_text(seed, name), name);
        }
        std::sort(order.begin(), order.end());
        Counts test(classes + 1);
        for (std::int64_t k = 0; k < wanted; ++k) {
            const Counts& counts = by_name[order[k].second];
            for (std::size_t c = 0; c <= classes; ++c) {
                test[c] += counts[c];
            }
        }
        const std::optional<double> found = distance(all, test, fraction);
        if (found && (!best || *found < *best)) {
            best = found;
            chosen.clear();
            for (std::int64_t k = 0; k < wanted; ++k) {
                chosen.emplace_back(order[k].second);
            }
        }
    }
    if (!best) {
        throw std::runtime_error(fmt::format(
            "{}: no choice of {} of {} patients leaves every class on both sides; hold out another "
            "number or add patients",
            set.path().string(), wanted, patients));
    }
    std::sort(chosen.begin(), chosen.end());

    std::vector<bool> tested(set.patient_names().size());
    for (std::size_t p = 0; p < tested.size(); ++p) {
        tested[p] = std::binary_search(chosen.begin(), chosen.end(), set.patient_names()[p]);
    }
    Split split;
    for (const std::int32_t i : rows) {
        auto& side = tested[set.patients()[i]] ? split.test : split.train;
        side.push_back(i);
    }
    split.test_patients = std::move(chosen);
    return split;
}

Split split_by_list(const PackedSet& set, const std::filesystem::path& list) {
    const std::vector<std::uint8_t> bytes = read_bytes(list, max_list_bytes);
    std::string text(bytes.begin(), bytes.end());
    if (text.starts_with("\xEF\xBB\xBF")) { // a byte order mark, as spreadsheets write it
        text.erase(0, 3);
    }
    std::istringstream file(text);
    const auto names = set.patient_names();
    std::set<std::string> tested;
    for (std::string line; std::getline(file, line);) {
        line.erase(line.find_last_not_of(" \t\r") + 1);
        line.erase(0, std::min(line.find_first_not_of(" \t"), line.size()));
        if (line.empty() || line[0] == '#') {
            continue;
        }
        if (std::find(names.begin(), names.end(), line) == names.end()) {
            throw std::runtime_error(
                fmt::format("{}: the set has no patient '{}'; list patients of {}", list.string(),
                            line, set.path().string()));
        }
        tested.insert(line);
    }
    Split split;
    for (std::int64_t row = 0; row < set.count(); ++row) {
        const std::int32_t patient = set.patients()[static_cast<std::size_t>(row)];
        const bool test = patient >= 0 && tested.contains(names[static_cast<std::size_t>(patient)]);
        (test ? split.test : split.train).push_back(static_cast<std::int32_t>(row));
    }
    if (split.test.empty() || split.train.empty()) {
        throw std::runtime_error(fmt::format("{}: leaves nobody to {}; list some of the patients",
                                             list.string(), split.test.empty() ? "test" : "train"));
    }
    split.test_patients = {tested.begin(), tested.end()};
    return split;
}

Split split_by_row(const PackedSet& set, const SplitOptions& options) {
    check(options);
    std::map<std::int32_t, std::vector<std::pair<std::uint64_t, std::int32_t>>> by_class;
    for (const std::int32_t i : rows_to_part(set, options)) {
        by_class[set.labels()[i]].emplace_back(hash_text(options.seed, set.name(i)), i);
    }
    Split split;
    for (auto& [label, rows] : by_class) {
        const auto count = static_cast<std::int64_t>(rows.size());
        if (count < 2) {
            throw std::runtime_error(fmt::format("{}: a class with a single patch cannot stand on "
                                                 "both sides; add patches or leave the class out",
                                                 set.path().string()));
        }
        std::sort(rows.begin(), rows.end());
        const std::int64_t wanted = std::clamp<std::int64_t>(
            std::llround(options.test_fraction * static_cast<double>(count)), 1, count - 1);
        for (std::int64_t k = 0; k < count; ++k) {
            (k < wanted ? split.test : split.train).push_back(rows[k].second);
        }
    }
    std::sort(split.train.begin(), split.train.end());
    std::sort(split.test.begin(), split.test.end());
    return split;
}

} // namespace patchforge
