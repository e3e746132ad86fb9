#include "host/files/tensor_facts.h"

#include <fmt/format.h>

#include <charconv>
#include <set>
#include <sstream>
#include <stdexcept>

#include "data/escape.h"
#include "host/files/json.h"

namespace patchforge {

namespace {

[[noreturn]] void fail(const TensorFile& file, const std::string& fault) {
    throw std::runtime_error(file.name + ": " + fault);
}

} // namespace

std::uint64_t scalar_u64(const TensorFile& file, const std::string& tensor) {
    const std::span<const std::uint64_t> values = u64(file.at(tensor));
    if (values.size() != 1) {
        fail(file, fmt::format("the tensor '{}' has {} values instead of one; take the file of an "
                               "earlier checkpoint",
                               tensor, values.size()));
    }
    return values.front();
}

std::optional<int> metadata_number(const TensorFile& file, const std::string& key, int low,
                                   int high) {
    const auto found = file.metadata.find(key);
    if (found == file.metadata.end()) {
        return std::nullopt;
    }
    const std::string& text = found->second;
    int value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || value < low || value > high) {
        fail(file,
             fmt::format("its metadata has '{}' for {}; write a whole number from {} to {} there",
                         terminal_text(text), key, low, high));
    }
    return value;
}

std::string names_entry(const std::vector<std::string>& names) {
    Json list = Json::array();
    for (const std::string& name : names) {
        list.push_back(utf8_text(name));
    }
    return list.dump();
}

std::optional<std::vector<std::string>> names_of(const TensorFile& file, const std::string& key) {
    const auto found = file.metadata.find(key);
    if (found == file.metadata.end()) {
        return std::nullopt;
    }
    std::vector<std::string> names;
    if (!found->second.starts_with('[')) {
        std::istringstream lines(found->second);
        for (std::string name; std::getline(lines, name);) {
            names.push_back(name);
        }
        return names;
    }
    try {
        names = Json::parse(found->second).strings();
    } catch (const JsonError&) {
        fail(file, fmt::format("its metadata has '{}' for {}; write a JSON list of names there",
                               terminal_text(found->second), key));
    }
    if (const std::set<std::string> distinct(names.begin(), names.end());
        distinct.size() != names.size() || distinct.contains("")) {
        fail(file, fmt::format("its metadata has '{}' for {}; give each a name of its own",
                               terminal_text(found->second), key));
    }
    return names;
}

} // namespace patchforge
