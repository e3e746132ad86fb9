#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace patchforge {

/// Classes of two sets, or of a set and a network, brought together: for each of `others` its index
/// among `names`, which is that of the equal name; else, where it is written as a number ("1",
/// "03"), of the name of that value ("3"), or where no name is a number, that index. -1: no such class.
std::vector<std::int32_t> match_classes(std::span<const std::string> others,
                                        std::span<const std::string> names);

} // namespace patchforge
