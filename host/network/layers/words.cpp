#include "host/network/layers/words.h"

#include <algorithm>
#include <cctype>
#include <sstream>

namespace patchforge {

bool read_extent(const std::string& text, Extent& extent) {
    std::istringstream stream(text);
    std::string part;
    std::vector<int> lengths;
    while (std::getline(stream, part, 'x')) {
        int length = 0;
        if (!read_number(part, length) || length < 1 || length > 65536) {
            return false;
        }
        lengths.push_back(length);
    }
    if (lengths.size() != 3 || text.back() == 'x') {
        return false;
    }
    extent = {lengths[0], lengths[1], lengths[2]};
    if (std::int64_t{extent.channels} * extent.height * extent.width > (std::int64_t{1} << 24)) {
        throw std::invalid_argument(fmt::format("{}: more than 2^24 numbers", text));
    }
    return true;
}

int LayerWords::number(const std::string& prefix, int otherwise) {
    for (auto word = words.begin(); word != words.end(); ++word) {
        int value = 0;
        if (word->starts_with(prefix) && read_number(word->substr(prefix.size()), value)) {
            words.erase(word);
            if (value < 0 || value > 65536) {
                throw std::invalid_argument(fmt::format("bad number behind {}", prefix));
            }
            return value;
        }
    }
    return otherwise;
}

bool LayerWords::take(const std::string& word) {
    const auto found = std::find(words.begin(), words.end(), word);
    if (found == words.end()) {
        return false;
    }
    words.erase(found);
    return true;
}

double LayerWords::first_number(double low, double high, double otherwise) {
    if (words.empty() || !(std::isdigit(static_cast<unsigned char>(words.front()[0])) != 0)) {
        return otherwise;
    }
    const double value = number_in<double>(words.front(), 0, low, high);
    words.pop_front();
    return value;
}

int LayerWords::channels(std::int64_t in) {
    const std::string word = words.empty() ? "" : words.front();
    const std::size_t arrow = word.find('>');
    std::int64_t before = 0, after = 0;
    if (arrow == std::string::npos || !read_number(word.substr(0, arrow), before) ||
        !read_number(word.substr(arrow + 1), after) || before < 1 || after < 1 ||
        after > (std::int64_t{1} << 24)) {
        throw std::invalid_argument("it does not say 'inputs>outputs', each from 1 to 16777216");
    }
    if (before != in) {
        throw std::invalid_argument(fmt::format("it says {}, but {} come in", before, in));
    }
    words.pop_front();
    return static_cast<int>(after);
}

} // namespace patchforge
