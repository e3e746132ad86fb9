#include "tests/host/cli/matches.h"

#include <regex>

namespace patchforge {

std::vector<std::string> matches(const std::string& text, const std::string& expression) {
    const std::regex regex(expression);
    std::vector<std::string> all;
    for (std::sregex_iterator found(text.begin(), text.end(), regex), end; found != end; ++found) {
        all.push_back((*found)[1]);
    }
    return all;
}

} // namespace patchforge
