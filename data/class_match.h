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

/// The model's class for each class of a set, -1 for one that it does not know. As match_classes, and where
/// nothing matches so: by the model's names as numbers of the set's classes, since a model that was
/// brought in may know its classes by number alone.
std::vector<std::int32_t> classes_known(std::span<const std::string> of_set,
                                        std::span<const std::string> of_model);

/// Whether both name the same classes in the same order, be it that one of them knows numbers alone.
bool same_classes(std::span<const std::string> a, std::span<const std::string> b);

} // namespace patchforge
