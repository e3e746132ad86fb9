#include "data/set_union.h"

#include "data/packed_set_writer.h"

#include <algorithm>
#include <fmt/format.h>
#include <stdexcept>

namespace patchforge {

namespace {

/// Where each of `names` stands in `all`, which takes what it lacks.
std::vector<std::int32_t> numbers_in(std::vector<std::string>& all,
                                     std::span<const std::string> names) {
    std::vector<std::int32_t> numbers;
    for (const std::string& name : names) {
        const auto found = std::ranges::find(all, name);
        numbers.push_back(static_cast<std::int32_t>(found - all.begin()));
        if (found == all.end()) {
            all.push_back(name);
        }
    }
    return numbers;
}

} // namespace

std::vector<std::filesystem::path> listed_paths(const std::filesystem::path& list) {
    std::error_code ignored;
    const std::string text = list.string();
    if (text.find(',') == std::string::npos || std::filesystem::exists(list, ignored)) {
        return {list};
    }
    std::vector<std::filesystem::path> paths;
    for (std::size_t begin = 0; begin <= text.size();) {
        const std::size_t end = std::min(text.find(',', begin), text.size());
        if (end > begin) {
            paths.emplace_back(text.substr(begin, end - begin));
        }
        begin = end + 1;
    }
    return paths;
}

void write_union(const std::vector<PackedSet>& sets, const std::filesystem::path& out) {
    const PackedSet& first = sets.at(0);
    for (const PackedSet& set : sets) {
        if (set.channels() != first.channels() || set.height() != first.height() ||
            set.width() != first.width()) {
            throw std::invalid_argument(fmt::format(
                "{}: its patches are {} x {} x {}, those of {} are {} x {} x {}; give sets "
                "of one size",
                set.path().string(), set.channels(), set.height(), set.width(),
                first.path().string(), first.channels(), first.height(), first.width()));
        }
    }
    std::vector<std::string> classes, patients;
    PackedSetWriter writer(out, first.channels(), first.height(), first.width());
    for (const PackedSet& set : sets) {
        const std::vector<std::int32_t> class_of = numbers_in(classes, set.class_names());
        const std::vector<std::int32_t> patient_of = numbers_in(patients, set.patient_names());
        const auto renumbered = [](const std::vector<std::int32_t>& numbers, std::int32_t number) {
            return number < 0 ? number : numbers[static_cast<std::size_t>(number)];
        };
        for (std::int64_t i = 0; i < set.count(); ++i) {
            const auto row = static_cast<std::size_t>(i);
            writer.append(set.patch(i),
                          {set.name(i), renumbered(class_of, set.labels()[row]),
                           renumbered(patient_of, set.patients()[row]), set.x(i), set.y(i)});
        }
    }
    writer.finish(classes, patients, "several sets");
}

} // namespace patchforge
