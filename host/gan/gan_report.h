// What a GAN run looks like on a page, read from its folder alone.
#pragma once

#include <filesystem>

namespace patchforge {

class Report;

// report.html of the run.
void write_gan_report(const std::filesystem::path& run);

// The same sections into a page that holds other things too.
void add_gan_sections(Report& report, const std::filesystem::path& run);

} // namespace patchforge
