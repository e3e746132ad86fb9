#include "data/set_part.h"

#include "data/layout.h"
#include "data/packed_set_writer.h"

#include <string_view>

namespace patchforge {

namespace {

/// Whether any folder is named as a part. Most sets end here: the names of a folder lie side by side,
/// so a few are looked at.
bool may_have_parts(const PackedSet& set) {
    std::string_view before;
    for (std::int64_t i = 0; i < set.count(); ++i) {
        const std::string_view name = set.name(i);
        const std::string_view folder = name.substr(0, name.rfind('/') + 1);
        if (folder == before) {
            continue;
        }
        before = folder;
        for (const std::string_view part : components(folder)) {
            if (part_word(part).part != Part::all) {
                return true;
            }
        }
    }
    return false;
}

} // namespace

std::map<Part, std::vector<std::int64_t>> parts_of(const PackedSet& set) {
    std::map<Part, std::vector<std::int64_t>> parts;
    if (!may_have_parts(set)) {
        return parts;
    }
    std::vector<std::string> names;
    names.reserve(static_cast<std::size_t>(set.count()));
    for (std::int64_t i = 0; i < set.count(); ++i) {
        names.emplace_back(set.name(i));
    }
    // What the classes are was decided when the set was packed.
    const Arrangement arrangement = arrange(set.path().string(), names, {}, Layout::class_folders);
    for (std::int64_t i = 0; i < set.count() && !arrangement.parts.empty(); ++i) {
        const auto place = arrangement.place(names[static_cast<std::size_t>(i)]);
        if (!place.components.empty()) {
            parts[place.part].push_back(i);
        }
    }
    return parts;
}

void write_rows(const PackedSet& set, const std::vector<std::int64_t>& rows,
                const std::filesystem::path& out) {
    PackedSetWriter writer(out, set.channels(), set.height(), set.width());
    for (const std::int64_t i : rows) {
        const auto row = static_cast<std::size_t>(i);
        writer.append(set.patch(i),
                      {set.name(i), set.labels()[row], set.patients()[row], set.x(i), set.y(i)});
    }
    writer.finish(set.class_names(), set.patient_names(), set.source_layout());
}

} // namespace patchforge
