#include "host/cli/help/suggestion.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

namespace patchforge {

namespace {

// Steps of one letter from one word to the other.
std::size_t letters_apart(const std::string& a, const std::string& b) {
    std::vector<std::size_t> row(b.size() + 1);
    std::iota(row.begin(), row.end(), 0);
    for (std::size_t i = 0; i < a.size(); ++i) {
        std::size_t diagonal = row[0];
        row[0] = i + 1;
        for (std::size_t j = 0; j < b.size(); ++j) {
            const std::size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
            diagonal = row[j + 1];
            row[j + 1] = std::min({row[j] + 1, row[j + 1] + 1, replaced});
        }
    }
    return row.back();
}

} // namespace

std::string suggestion(const std::string& word, const std::vector<std::string>& known) {
    const auto nearest = std::min_element(
        known.begin(), known.end(), [&](const std::string& a, const std::string& b) {
            return letters_apart(word, a) < letters_apart(word, b);
        });
    const bool near = nearest != known.end() &&
                      letters_apart(word, *nearest) <= std::max<std::size_t>(1, word.size() / 3);
    return near ? fmt::format("; did you mean {}?", *nearest) : "";
}

} // namespace patchforge
