#include "data/packed_set.h"

#include "data/class_match.h"
#include "data/crc.h"
#include "data/escape.h"
#include "data/file_kind.h"
#include "data/mapped_file.h"
#include "data/packed_set_format.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>
#include <fcntl.h>
#include <stdexcept>
#include <unistd.h>

namespace patchforge {

using namespace packed_set_format;

namespace {

/// Throws with the file's name and what is wrong with it. For files that are packed sets: only these
/// may be written again.
class Complaint {
  public:
    explicit Complaint(const std::filesystem::path& shown) : name_(shown.string()) {}

    [[noreturn]] void operator()(const std::string& what) const {
        throw std::runtime_error(fmt::format(
            "{}: {}; make it again with `patchforge pack <folder> --out {}`", name_, what, name_));
    }

  private:
    std::string name_;
};

struct StringTable {
    std::span<const std::uint64_t> ends;
    std::string_view text;

    std::string_view operator[](std::size_t i) const {
        const std::uint64_t start = i == 0 ? 0 : ends[i - 1];
        return text.substr(start, ends[i] - start);
    }
    std::vector<std::string> texts() const {
        std::vector<std::string> all;
        for (std::size_t i = 0; i < ends.size(); ++i) {
            all.push_back(utf8_text((*this)[i]));
        }
        return all;
    }
};

/// Sections of a mapped file whose header has been checked.
class Sections {
  public:
    Sections(const std::uint8_t* file, const Header& header, const Complaint& complain)
        : file_(file), header_(header), complain_(complain) {}

    std::span<const std::int32_t> integers(Section section, std::uint64_t values) const {
        const SectionEntry& entry = header_.sections[section];
        if (entry.bytes != values * sizeof(std::int32_t)) {
            wrong_size(section);
        }
        return {reinterpret_cast<const std::int32_t*>(file_ + entry.offset), values};
    }

    StringTable strings(Section section) const {
        const SectionEntry& entry = header_.sections[section];
        if (entry.bytes < sizeof(std::uint64_t)) {
            wrong_size(section);
        }
        const auto* numbers = reinterpret_cast<const std::uint64_t*>(file_ + entry.offset);
        const std::uint64_t strings = numbers[0];
        if (strings > entry.bytes / sizeof(std::uint64_t) - 1) {
            wrong_size(section);
        }
        const std::uint64_t text_start = (strings + 1) * sizeof(std::uint64_t);
        StringTable table{{numbers + 1, strings},
                          {reinterpret_cast<const char*>(file_ + entry.offset + text_start),
                           entry.bytes - text_start}};
        const std::uint64_t last = strings == 0 ? 0 : table.ends.back();
        if (!std::is_sorted(table.ends.begin(), table.ends.end()) || last != table.text.size()) {
            complain_(fmt::format("damaged: the {} do not fit together",
                                  section_names_for_errors[section]));
        }
        return table;
    }

  private:
    [[noreturn]] void wrong_size(Section section) const {
        complain_(fmt::format("damaged: the section of {} has the wrong size",
                              section_names_for_errors[section]));
    }

    const std::uint8_t* file_;
    const Header& header_;
    const Complaint& complain_;
};

void check_header(const Header& header, std::uint64_t size, const Complaint& complain) {
    if (header.version > version) {
        complain(fmt::format("written in format version {}, this patchforge reads version {}",
                             header.version, version));
    }
    if (crc_of(header.signature, header_bytes - 4) != header.checksum) {
        complain("damaged: the checksum of the header does not match");
    }
    if (header.version != version || header.section_entries != section_count) {
        complain(fmt::format("unknown format version {}", header.version));
    }
    if (header.file_bytes != size) {
        complain(fmt::format("{}: {} bytes, the header says {}",
                             size < header.file_bytes ? "truncated" : "bytes were added", size,
                             header.file_bytes));
    }
    const bool sensible = header.count >= 1 && header.count < (std::uint64_t{1} << 31) &&
                          (header.channels == 1 || header.channels == 3) && header.height >= 1 &&
                          header.height <= 65536 && header.width >= 1 && header.width <= 65536;
    if (!sensible) {
        complain(fmt::format("sizes make no sense: {} patches of {} x {} x {}", header.count,
                             header.channels, header.height, header.width));
    }
    // In 64 bits: 2^31 * 3 * 2^16 * 2^16 would not fit, so divide.
    const std::uint64_t patch = std::uint64_t{header.channels} * header.height * header.width;
    const SectionEntry& pixels = header.sections[section_pixels];
    if (pixels.bytes / patch != header.count || pixels.bytes % patch != 0 ||
        pixels.offset != header_bytes) {
        complain("damaged: the section of pixels has the wrong size");
    }
}

/// Sections follow each other in their order with nothing but zeros between them, so that no
/// byte of the file is outside every checksum.
void check_sections(const Header& header, const std::uint8_t* file, const Complaint& complain) {
    std::uint64_t end = header_bytes;
    for (std::uint32_t s = 0; s < section_count; ++s) {
        const SectionEntry& entry = header.sections[s];
        const std::uint64_t start =
            (end + section_alignment - 1) / section_alignment * section_alignment;
        if (entry.offset != start || entry.offset > header.file_bytes ||
            entry.bytes > header.file_bytes - entry.offset) {
            complain(fmt::format("damaged: the section of {} lies outside its place",
                                 section_names_for_errors[s]));
        }
        if (std::any_of(file + end, file + start, [](std::uint8_t byte) { return byte != 0; })) {
            complain(fmt::format("damaged: the gap before the {} is not zero",
                                 section_names_for_errors[s]));
        }
        if (s != section_pixels && crc_of(file + entry.offset, entry.bytes) != entry.checksum) {
            complain(fmt::format("damaged: the checksum of the {} does not match",
                                 section_names_for_errors[s]));
        }
        end = entry.offset + entry.bytes;
    }
    if (end != header.file_bytes) {
        complain("damaged: bytes follow after the last section");
    }
}

void check_range(std::span<const std::int32_t> indices, std::size_t names, const char* what,
                 const Complaint& complain) {
    for (const std::int32_t index : indices) {
        if (index < -1 || index >= static_cast<std::int64_t>(names)) {
            complain(fmt::format("damaged: {} number {} does not exist", what, index));
        }
    }
}

std::uint64_t fnv1a(std::uint64_t hash, std::uint64_t value) {
    for (int byte = 0; byte < 8; ++byte) {
        hash = (hash ^ (value >> (8 * byte) & 0xff)) * 0x100000001b3;
    }
    return hash;
}

std::uint64_t hash_of(const Header& header) {
    std::uint64_t hash = 0xcbf29ce484222325;
    for (const std::uint64_t value : {header.count, std::uint64_t{header.channels},
                                      std::uint64_t{header.height}, std::uint64_t{header.width}}) {
        hash = fnv1a(hash, value);
    }
    for (const SectionEntry& entry : header.sections) {
        hash = fnv1a(fnv1a(hash, entry.bytes), entry.checksum);
    }
    return hash;
}

} // namespace

PackedSet PackedSet::open(const std::filesystem::path& path, const std::filesystem::path& shown) {
    const Complaint complain(shown.empty() ? path : shown);
    PackedSet set;
    set.path_ = shown.empty() ? path : shown;
    set.file_ = std::make_shared<const MappedFile>(path, set.path_);
    const std::uint8_t* file = set.file_->bytes().data();
    const std::uint64_t size = set.file_->bytes().size();
    if (size < sizeof signature || std::memcmp(file, signature, sizeof signature) != 0) {
        throw std::runtime_error(
            fmt::format("{}: {}, not a packed set (.pfs); give a folder of patches or a .pfs file",
                        set.path_.string(), file_kind(set.file_->bytes())));
    }
    if (size < header_bytes) {
        complain(fmt::format("truncated: {} bytes, the header alone has {}", size, header_bytes));
    }
    const Header& header = *reinterpret_cast<const Header*>(file);
    check_header(header, size, complain);
    check_sections(header, file, complain);

    set.count_ = static_cast<std::int64_t>(header.count);
    set.channels_ = static_cast<int>(header.channels);
    set.height_ = static_cast<int>(header.height);
    set.width_ = static_cast<int>(header.width);
    set.pixels_ = file + header.sections[section_pixels].offset;
    set.pixels_checksum_ = header.sections[section_pixels].checksum;
    set.content_hash_ = hash_of(header);

    const Sections sections(file, header, complain);
    set.labels_ = sections.integers(section_labels, header.count);
    set.patients_ = sections.integers(section_patients, header.count);
    set.positions_ = sections.integers(section_positions, 2 * header.count);
    const StringTable names = sections.strings(section_names);
    const StringTable layout = sections.strings(section_source_layout);
    if (names.ends.size() != header.count || layout.ends.size() != 1) {
        complain("damaged: there is not one name for each patch");
    }
    set.name_ends_ = names.ends;
    set.name_text_ = names.text;
    set.source_layout_ = layout[0];
    set.class_names_ = sections.strings(section_class_names).texts();
    set.patient_names_ = sections.strings(section_patient_names).texts();
    check_range(set.labels_, set.class_names_.size(), "class", complain);
    check_range(set.patients_, set.patient_names_.size(), "patient", complain);
    return set;
}

std::int64_t PackedSet::file_bytes() const {
    return static_cast<std::int64_t>(file_->bytes().size());
}

std::span<const std::uint8_t> PackedSet::patch(std::int64_t i) const {
    if (i < 0 || i >= count_) {
        throw std::invalid_argument(fmt::format("patch: number {} is outside 0..{}; choose one "
                                                "inside",
                                                i, count_ - 1));
    }
    const std::int64_t size = pixels_per_patch();
    return {pixels_ + i * size, static_cast<std::size_t>(size)};
}

std::string_view PackedSet::name(std::int64_t i) const {
    return StringTable{name_ends_, name_text_}[static_cast<std::size_t>(i)];
}

std::vector<std::int64_t> PackedSet::class_counts() const {
    std::vector<std::int64_t> counts(class_names_.size());
    for (const std::int32_t label : labels_) {
        if (label >= 0) {
            ++counts[label];
        }
    }
    return counts;
}

PackedSet PackedSet::with_classes(std::span<const std::string> class_names) const {
    const std::vector<std::int32_t> numbers = match_classes(class_names_, class_names);
    const std::vector<std::int64_t> counts = class_counts();
    for (std::size_t c = 0; c < numbers.size(); ++c) {
        if (numbers[c] < 0 && counts[c] > 0) {
            throw std::invalid_argument(fmt::format(
                "{}: its class '{}' ({} patches) is none of {}; give data of these classes, or "
                "leave that one out",
                path_.string(), terminal_text(class_names_[c]), counts[c],
                terminal_text(fmt::format("{}", fmt::join(class_names, ", ")))));
        }
    }
    auto labels = std::make_shared<std::vector<std::int32_t>>();
    labels->reserve(labels_.size());
    for (const std::int32_t label : labels_) {
        labels->push_back(label < 0 ? -1 : numbers[static_cast<std::size_t>(label)]);
    }
    PackedSet set = *this;
    set.labels_ = *labels;
    set.own_labels_ = std::move(labels);
    set.class_names_.assign(class_names.begin(), class_names.end());
    return set;
}

void PackedSet::verify() const {
    const auto bytes = static_cast<std::uint64_t>(count_ * pixels_per_patch());
    if (crc_of(pixels_, bytes) != pixels_checksum_) {
        Complaint{path_}("damaged: the checksum of the pixels does not match");
    }
}

bool is_packed_set(const std::filesystem::path& path) {
    const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0) {
        return false;
    }
    std::uint8_t head[sizeof signature];
    const bool matches = ::read(file, head, sizeof head) == sizeof head &&
                         std::memcmp(head, signature, sizeof head) == 0;
    ::close(file);
    return matches;
}

} // namespace patchforge
