// What privacy measured, as a table for the console and as a page.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "host/privacy/privacy.h"

namespace patchforge {

class Report;

// A row an attack, and the verdict.
std::string privacy_table(const Privacy& privacy);

// The verdict, the nearest copies of both sides in pictures, the attacks, what the fakes teach, settings.
Report privacy_page(const Privacy& privacy, const Suspects& suspects, const ImageSet& fakes,
                    const std::string& source,
                    const std::vector<std::pair<std::string, std::string>>& settings);

} // namespace patchforge
