#include "host/page/kept_sheet.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <vector>

#include "host/files/entries.h"
#include "host/files/safetensors.h"
#include "host/files/tensor_facts.h"
#include "host/page/report.h"

namespace patchforge {

namespace {

namespace fs = std::filesystem;

fs::path folder_of(const fs::path& run) {
    return run / "images" / "sheets";
}

std::string row_name(std::size_t row) {
    return fmt::format("row.{}", row);
}

std::vector<Image> pictures_of(const TensorFile& file, const Tensor& row) {
    const auto is_extent = [](std::int64_t extent) { return extent >= 1 && extent <= 4096; };
    const std::vector<std::int64_t>& shape = row.shape;
    if (row.dtype != "U8" || shape.size() != 4 || !std::ranges::all_of(shape, is_extent) ||
        (shape[1] != 1 && shape[1] != 3)) {
        throw std::runtime_error(fmt::format("{}: '{}' is no row of pictures; delete the file, the "
                                             "training writes it again",
                                             file.name, row.name));
    }
    const auto pixels = static_cast<std::size_t>(shape[1] * shape[2] * shape[3]);
    std::vector<Image> pictures;
    for (std::size_t i = 0; i < static_cast<std::size_t>(shape[0]); ++i) {
        pictures.push_back({static_cast<int>(shape[3]), static_cast<int>(shape[2]),
                            static_cast<int>(shape[1]), std::vector<std::uint8_t>(pixels)});
        std::memcpy(pictures.back().pixels.data(), row.bytes.data() + i * pixels, pixels);
    }
    return pictures;
}

} // namespace

fs::path kept_sheet_file(const fs::path& run, const std::string& name) {
    fs::create_directories(folder_of(run));
    return folder_of(run) / (name + ".safetensors");
}

void keep_sheet(const fs::path& file, const PictureSheet& sheet, const std::string& caption) {
    std::vector<Tensor> rows;
    for (const std::vector<Image>& pictures : sheet.rows) {
        if (pictures.empty()) {
            throw std::invalid_argument(
                fmt::format("{}: a row without pictures cannot be kept", file.string()));
        }
        const Image& first = pictures.front();
        Tensor row{row_name(rows.size()),
                   "U8",
                   {std::ssize(pictures), first.channels, first.height, first.width},
                   {}};
        for (const Image& picture : pictures) {
            const auto bytes = std::as_bytes(std::span(picture.pixels));
            row.bytes.insert(row.bytes.end(), bytes.begin(), bytes.end());
        }
        rows.push_back(std::move(row));
    }
    write_safetensors(file, rows,
                      {{"caption", names_entry({caption})},
                       {"row_names", names_entry(sheet.row_names)},
                       {"column_names", names_entry(sheet.column_names)},
                       {"scale", std::to_string(sheet.scale)}});
}

void add_kept_sheets(Report& report, const fs::path& run) {
    for (const fs::path& path : entries_of(folder_of(run), "", ".safetensors")) {
        const TensorFile file = read_safetensors(path);
        PictureSheet sheet;
        while (file.has(row_name(sheet.rows.size()))) {
            sheet.rows.push_back(pictures_of(file, file.at(row_name(sheet.rows.size()))));
        }
        sheet.row_names = names_of(file, "row_names").value_or(std::vector<std::string>());
        sheet.column_names = names_of(file, "column_names").value_or(std::vector<std::string>());
        sheet.scale = metadata_number(file, "scale", 1, 100).value_or(1);
        const auto caption = names_of(file, "caption").value_or(std::vector<std::string>());
        report.sheet(sheet, caption.empty() ? path.stem().string() : caption.front());
    }
}

} // namespace patchforge
