// The right word for a misspelt one.
#pragma once

#include <string>
#include <vector>

namespace patchforge {

// "; did you mean --lr-d?", or nothing where none of the words is near.
std::string suggestion(const std::string& word, const std::vector<std::string>& known);

} // namespace patchforge
