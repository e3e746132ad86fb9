#include "host/cli/help/suggestion.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <utility>

namespace patchforge {

namespace {

// Steps from one word to the other: a letter more, less or another, or two neighbours swapped (Damerau 1964).
std::size_t letters_apart(const std::string& a, const std::string& b) {
    std::vector<std::size_t> before_last(b.size() + 1);
    std::vector<std::size_t> last(b.size() + 1);
    std::vector<std::size_t> row(b.size() + 1);
    std::iota(row.begin(), row.end(), 0);
    for (std::size_t i = 0; i < a.size(); ++i) {
        before_last = std::exchange(last, row);
        row[0] = i + 1;
        for (std::size_t j = 0; j < b.size(); ++j) {
            row[j + 1] = std::min({row[j] + 1, last[j + 1] + 1, last[j] + (a[i] == b[j] ? 0 : 1)});
            if (i > 0 && j > 0 && a[i] == b[j - 1] && a[i - 1] == b[j]) {
                row[j + 1] = std::min(row[j + 1], before_last[j - 1] + 1);
            }
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
