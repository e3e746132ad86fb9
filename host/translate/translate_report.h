// report.html of a `train translate` run: verdict and pictures first.
#pragma once

#include <filesystem>
#include <string>

#include "host/translate/translation_task.h"

namespace patchforge {

class Report;

std::string results_json(const TranslationResults& results);

// What the run folder holds, as one section of a page about more.
void add_translate_section(Report& report, const std::filesystem::path& run);
// The same as a page of its own.
void write_translate_report(const std::filesystem::path& run);

} // namespace patchforge
