// report.html of a `train translate` run: verdict and pictures first.
#pragma once

#include <filesystem>
#include <string>

#include "host/translate/translation_task.h"

namespace patchforge {

std::string results_json(const TranslationResults& results);

// From what the run folder holds.
void write_translate_report(const std::filesystem::path& run);

} // namespace patchforge
