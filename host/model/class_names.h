// Classes of two sets, or of a set and a network, brought together by their names; and the folders
// that labelled pictures are written to.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace patchforge {

// For each of `others` its number among `names`: the equal name, or else, where it is written as a
// number ("1", "03"), that one. -1: no such class.
std::vector<std::int32_t> match_classes(std::span<const std::string> others,
                                        std::span<const std::string> names);

// One folder name a class. The class names where these sort in the order of the classes, so that a
// reader (`pack`, torchvision's ImageFolder) numbers them alike; otherwise the class numbers.
std::vector<std::string> class_folders(const std::vector<std::string>& class_names);

} // namespace patchforge
