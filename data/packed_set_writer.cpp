#include "data/packed_set_writer.h"

#include "data/crc.h"
#include "data/packed_set_format.h"

#include <fmt/format.h>

#include <cstring>
#include <stdexcept>

namespace patchforge {

using namespace packed_set_format;

namespace {

constexpr std::size_t buffer_bytes = std::size_t{1} << 20;

std::string string_table(std::span<const std::uint64_t> ends, std::string_view text) {
    const std::uint64_t count = ends.size();
    std::string table(sizeof count + ends.size_bytes(), '\0');
    std::memcpy(table.data(), &count, sizeof count);
    if (!ends.empty()) {
        std::memcpy(table.data() + sizeof count, ends.data(), ends.size_bytes());
    }
    return table.append(text);
}

std::string string_table(std::span<const std::string> strings) {
    std::vector<std::uint64_t> ends;
    std::string text;
    for (const std::string& string : strings) {
        text += string;
        ends.push_back(text.size());
    }
    return string_table(ends, text);
}

void check_named(std::span<const std::int32_t> indices, std::size_t names, const char* what) {
    for (const std::int32_t index : indices) {
        if (index < -1 || index >= static_cast<std::int64_t>(names)) {
            throw std::invalid_argument(fmt::format("{}: number {} has no name; give {} names or "
                                                    "more",
                                                    what, index, index + 1));
        }
    }
}

} // namespace

PackedSetWriter::PackedSetWriter(const std::filesystem::path& path, int channels, int height,
                                 int width)
    : path_(path), file_(path), channels_(channels), height_(height), width_(width) {
    if ((channels != 1 && channels != 3) || height < 1 || height > 65536 || width < 1 ||
        width > 65536) {
        throw std::invalid_argument(fmt::format(
            "{}: patches of {} x {} x {} cannot be packed; use 1 or 3 channels and sides of 1 to "
            "65536",
            path.string(), channels, height, width));
    }
    file_.seek(header_bytes);
}

void PackedSetWriter::write_buffer() {
    pixels_checksum_ = crc_of(buffer_.data(), buffer_.size(), pixels_checksum_);
    file_.write(buffer_);
    buffer_.clear();
}

void PackedSetWriter::append(std::span<const std::uint8_t> pixels, const PatchFacts& facts) {
    if (pixels.size() != static_cast<std::size_t>(channels_) * height_ * width_) {
        throw std::invalid_argument(fmt::format("{}: {} bytes are no patch of {} x {} x {}; give "
                                                "as many bytes as the patch has",
                                                facts.name, pixels.size(), channels_, height_,
                                                width_));
    }
    buffer_.insert(buffer_.end(), pixels.begin(), pixels.end());
    if (buffer_.size() >= buffer_bytes) {
        write_buffer();
    }
    labels_.push_back(facts.label);
    patients_.push_back(facts.patient);
    positions_.push_back(facts.x);
    positions_.push_back(facts.y);
    name_text_ += facts.name;
    name_ends_.push_back(name_text_.size());
}

void PackedSetWriter::finish(std::span<const std::string> class_names,
                             std::span<const std::string> patient_names,
                             std::string_view source_layout) {
    if (labels_.empty()) {
        throw std::runtime_error(fmt::format("{}: no patches to write; check the folder and the "
                                             "options",
                                             path_.string()));
    }
    check_named(labels_, class_names.size(), "class");
    check_named(patients_, patient_names.size(), "patient");
    write_buffer();

    Header header{};
    std::memcpy(header.signature, signature, sizeof signature);
    header.version = version;
    header.section_entries = section_count;
    header.count = labels_.size();
    header.channels = static_cast<std::uint32_t>(channels_);
    header.height = static_cast<std::uint32_t>(height_);
    header.width = static_cast<std::uint32_t>(width_);
    header.sections[section_pixels] = {header_bytes, file_.position() - header_bytes,
                                       pixels_checksum_, 0};

    const auto add = [&](Section section, const void* bytes, std::size_t count) {
        const std::uint64_t start =
            (file_.position() + section_alignment - 1) / section_alignment * section_alignment;
        file_.write(std::string(start - file_.position(), '\0'));
        file_.write(bytes, count);
        header.sections[section] = {start, count, crc_of(bytes, count), 0};
    };
    const auto add_integers = [&](Section section, const std::vector<std::int32_t>& values) {
        add(section, values.data(), values.size() * sizeof(std::int32_t));
    };
    const auto add_strings = [&](Section section, const std::string& table) {
        add(section, table.data(), table.size());
    };
    const std::string layout_table[] = {std::string(source_layout)};
    add_integers(section_labels, labels_);
    add_integers(section_patients, patients_);
    add_integers(section_positions, positions_);
    add_strings(section_names, string_table(name_ends_, name_text_));
    add_strings(section_class_names, string_table(class_names));
    add_strings(section_patient_names, string_table(patient_names));
    add_strings(section_source_layout, string_table(layout_table));

    header.file_bytes = file_.position();
    header.checksum = crc_of(&header, header_bytes - 4);
    file_.seek(0);
    file_.write(&header, sizeof header);
    file_.commit();
}

} // namespace patchforge
