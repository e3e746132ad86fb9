// Where attack and evade write.
#pragma once

#include <filesystem>
#include <string>

namespace patchforge {

// Refuses, with std::invalid_argument, a folder whose report.html is somebody else's: a run's, an
// ensemble's, or any that `mark` (a file that this verb writes too) does not stand beside. An empty
// path is fine.
void check_output_folder(const std::filesystem::path& out, const std::string& mark);

} // namespace patchforge
