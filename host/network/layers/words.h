// What a layer's text consists of.
#pragma once

#include <fmt/format.h>

#include <charconv>
#include <deque>
#include <stdexcept>
#include <string>
#include <vector>

#include "kernels/extent.h"

namespace patchforge {

// Whether all of it is a number, which `value` then is.
template <class T>
bool read_number(const std::string& text, T& value) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc() && end == text.data() + text.size();
}

// The number from `from` on; std::invalid_argument for what is none from low to high.
template <class T>
T number_in(const std::string& word, std::size_t from, T low, T high) {
    T value{};
    if (!read_number(word.substr(from), value) || !(value >= low && value <= high)) {
        throw std::invalid_argument(fmt::format("bad number in '{}'", word));
    }
    return value;
}

// The words of a layer that are still to be read, and the sizes of the values that it reads.
struct LayerWords {
    std::deque<std::string> words;
    std::vector<Extent> in;

    // Takes the first word that begins with `prefix`, if there is one: a whole number behind it.
    int number(const std::string& prefix, int otherwise);
    bool take(const std::string& word);
    // Takes the first word, a number from low to high, if it is one.
    double first_number(double low, double high, double otherwise);
    // Takes a first word "3>16"; the left number must be what comes in.
    int channels(std::int64_t in);
};

// "3x50x50"; false for anything else.
bool read_extent(const std::string& text, Extent& extent);

} // namespace patchforge
