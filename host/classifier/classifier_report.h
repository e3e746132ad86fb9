// What a classifier run looks like on a page, read from its folder.
#pragma once

#include <filesystem>

namespace patchforge {

class Report;

// report.html of the run. training_seconds: of this process, 0 when unknown.
void write_classifier_report(const std::filesystem::path& run, double training_seconds);

void add_classifier_sections(Report& report, const std::filesystem::path& run);

} // namespace patchforge
