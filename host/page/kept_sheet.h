// Sheets of pictures that a run folder keeps for its page, where their words are text: one safetensors file
// each, with a tensor "row.K" [pictures, channels, height, width] of bytes a row, and caption, names of rows
// and columns and the scale in the metadata.
#pragma once

#include <filesystem>
#include <string>

#include "host/page/image_grid.h"

namespace patchforge {

class Report;

// Pictures of a row have one size, and there is at least one: std::invalid_argument.
void keep_sheet(const std::filesystem::path& file, const PictureSheet& sheet,
                const std::string& caption);

// Every sheet of run/images/sheets, in the order of their names; nothing without that folder. Throws
// std::runtime_error for a file that is damaged or is no sheet.
void add_kept_sheets(Report& report, const std::filesystem::path& run);

// Where a sheet of this name is kept; makes the folder.
std::filesystem::path kept_sheet_file(const std::filesystem::path& run, const std::string& name);

} // namespace patchforge
