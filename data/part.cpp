#include "data/part.h"

#include <algorithm>
#include <array>

namespace patchforge {

namespace {

constexpr std::array<std::string_view, 5> train_words = {"train", "training", "trn", "trains",
                                                         "trained"};
constexpr std::array<std::string_view, 9> test_words = {
    "test", "testing", "tst", "tests", "t10k", "eval", "holdout", "evaluation", "heldout"};
constexpr std::array<std::string_view, 7> validation_words = {
    "val", "valid", "validation", "validate", "validating", "dev", "development"};
/// Beside a part's word they tell nothing.
constexpr std::array<std::string_view, 17> neutral_words = {
    "set",      "sets",  "data",    "dataset", "image",  "images", "img", "imgs",   "picture",
    "pictures", "patch", "patches", "split",   "folder", "part",   "png", "samples"};

bool among(std::string_view word, auto& words) {
    return std::find(words.begin(), words.end(), word) != words.end();
}

Part part_of_word(std::string_view word) {
    for (const std::string_view ending : {"", "set", "data", "dataset", "images", "imgs"}) {
        if (!word.ends_with(ending)) {
            continue;
        }
        const std::string_view stem = word.substr(0, word.size() - ending.size());
        if (among(stem, train_words)) {
            return Part::train;
        }
        if (among(stem, test_words)) {
            return Part::test;
        }
        if (among(stem, validation_words)) {
            return Part::validation;
        }
    }
    return Part::all;
}

} // namespace

std::string part_name(Part part) {
    switch (part) {
    case Part::usual:
        return "auto";
    case Part::all:
        return "all";
    case Part::train:
        return "train";
    case Part::test:
        return "test";
    case Part::validation:
        return "validation";
    }
    return "unknown";
}

std::vector<std::string> words_of(std::string_view name) {
    std::vector<std::string> words;
    bool inside = false;
    for (const char letter : name) {
        const bool upper = letter >= 'A' && letter <= 'Z';
        const bool counts = upper || (letter >= 'a' && letter <= 'z') ||
                            (letter >= '0' && letter <= '9') || (letter & 0x80) != 0;
        if (counts) {
            if (!inside) {
                words.emplace_back();
            }
            words.back() += upper ? static_cast<char>(letter | 0x20) : letter;
        }
        inside = counts;
    }
    return words;
}

PartWord part_word(std::string_view name) {
    PartWord found;
    for (const std::string& word : words_of(name)) {
        const Part part = part_of_word(word);
        if (part == Part::all) {
            if (!among(word, neutral_words)) {
                found.rest += (found.rest.empty() ? "" : " ") + word;
            }
        } else if (found.part != Part::all) {
            return {Part::all, std::string(name)};
        } else {
            found.part = part;
        }
    }
    return found;
}

std::map<std::string, Part, std::less<>> parts_among(const std::set<std::string>& folders) {
    std::map<std::string, std::set<Part>> parts_of_rest;
    for (const std::string& folder : folders) {
        const PartWord word = part_word(folder);
        if (word.part != Part::all) {
            parts_of_rest[word.rest].insert(word.part);
        }
    }
    std::map<std::string, Part, std::less<>> parts;
    for (const std::string& folder : folders) {
        const PartWord word = part_word(folder);
        if (word.part != Part::all && (word.rest.empty() || parts_of_rest[word.rest].size() > 1)) {
            parts.emplace(folder, word.part);
        }
    }
    return parts;
}

} // namespace patchforge
