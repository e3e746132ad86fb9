// The folders that labelled pictures are written to; data/class_match.h brings classes together.
#pragma once

#include <string>
#include <vector>

#include "data/class_match.h"

namespace patchforge {

// One folder name a class. The class names where these sort in the order of the classes, so that a
// reader (`pack`, torchvision's ImageFolder) numbers them alike; otherwise
// numbers with leading zeros: the names, where these are numbers, or the classes' own.
std::vector<std::string> class_folders(const std::vector<std::string>& class_names);

} // namespace patchforge
