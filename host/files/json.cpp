#include "host/files/json.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>

namespace patchforge {

namespace {

using Library = nlohmann::ordered_json;

constexpr std::size_t max_depth = 64; // what walks through a value calls itself at every level

// Builds a value from what the parser meets.
class Builder : public nlohmann::json_sax<Library> {
  public:
    Json result;

    bool null() override { return add({}); }
    bool boolean(bool value) override { return add(value); }
    bool number_integer(number_integer_t value) override { return add(value); }
    bool number_unsigned(number_unsigned_t value) override { return add(value); }
    bool number_float(number_float_t value, const string_t&) override { return add(value); }
    bool string(string_t& value) override { return add(std::move(value)); }
    bool binary(binary_t&) override { return false; } // not in text
    bool start_array(std::size_t) override { return open({.array = true}); }
    bool start_object(std::size_t) override { return open({}); }
    bool key(string_t& name) override {
        open_.back().name = std::move(name);
        return true;
    }
    bool end_array() override {
        Json made(std::move(open_.back().items));
        open_.pop_back();
        return add(std::move(made));
    }
    bool end_object() override {
        check_names(open_.back().members);
        Json made(std::move(open_.back().members));
        open_.pop_back();
        return add(std::move(made));
    }
    bool parse_error(std::size_t, const std::string&, const Library::exception& error) override {
        const std::string text = error.what();
        const std::size_t name = text.find("] "); // [json.exception.parse_error.101]
        throw JsonError(name == std::string::npos ? text : text.substr(name + 2));
    }

  private:
    struct Open {
        bool array = false;
        Json::Array items{};
        Json::Object members{};
        std::string name{}; // of the member that comes next
    };

    bool open(Open what) {
        if (open_.size() == max_depth) {
            throw JsonError("nested too deeply");
        }
        open_.push_back(std::move(what));
        return true;
    }

    bool add(Json value) {
        if (open_.empty()) {
            result = std::move(value);
        } else if (Open& in = open_.back(); in.array) {
            in.items.push_back(std::move(value));
        } else {
            in.members.push_back({std::move(in.name), std::move(value)});
        }
        return true;
    }

    static void check_names(const Json::Object& members) {
        std::vector<std::string_view> names;
        for (const auto& [name, value] : members) {
            names.push_back(name);
        }
        std::ranges::sort(names);
        if (const auto twice = std::ranges::adjacent_find(names); twice != names.end()) {
            throw JsonError(fmt::format("the key '{}' stands twice", *twice));
        }
    }

    std::vector<Open> open_;
};

// As the library prints it.
template <class T>
std::string leaf_text(const T& leaf) {
    return Library(leaf).dump(-1, ' ', false, Library::error_handler_t::replace);
}

void print(std::string& text, const Json& value, int indent, std::size_t margin) {
    const bool lines = indent >= 0;
    const auto all = [&](const char* ends, const auto& entries, const auto& print_entry) {
        const std::size_t inner = margin + static_cast<std::size_t>(std::max(indent, 0));
        text += ends[0];
        bool first = true;
        for (const auto& entry : entries) {
            text += first ? "" : ",";
            text += lines ? '\n' + std::string(inner, ' ') : "";
            print_entry(entry, inner);
            first = false;
        }
        text += lines && !first ? '\n' + std::string(margin, ' ') : "";
        text += ends[1];
    };
    if (value.is_array()) {
        all("[]", value.items(),
            [&](const Json& item, std::size_t inner) { print(text, item, indent, inner); });
    } else if (value.is_object()) {
        all("{}", value.members(), [&](const Json::Member& member, std::size_t inner) {
            text += leaf_text(member.name) + (lines ? ": " : ":");
            print(text, member.value, indent, inner);
        });
    } else {
        text += value.is_string()    ? leaf_text(value.string())
                : value.is_boolean() ? leaf_text(value.boolean())
                : value.is_natural() ? leaf_text(value.natural())
                : value.is_integer() ? leaf_text(value.integer())
                : value.is_number()  ? leaf_text(value.number())
                                     : "null";
    }
}

} // namespace

Json::Json(std::initializer_list<Member> members) : value_(Object(members)) {}
Json::Json(Array items) : value_(std::move(items)) {}
Json::Json(Object members) : value_(std::move(members)) {}

Json Json::object() {
    return Object();
}

template <class T>
const T& Json::as(const char* wanted) const {
    if (const T* held = std::get_if<T>(&value_)) {
        return *held;
    }
    static constexpr std::array names = {"null",     "a truth value", "an integer", "an integer",
                                         "a number", "a string",      "an array",   "an object"};
    throw JsonError(fmt::format("{} stands where {} is read", names[value_.index()], wanted));
}

bool Json::is_natural() const {
    const auto* number = std::get_if<std::int64_t>(&value_);
    return number ? *number >= 0 : holds<std::uint64_t>();
}

bool Json::boolean() const {
    return as<bool>("a truth value");
}

std::int64_t Json::integer() const {
    return as<std::int64_t>("a signed integer of 64 bits");
}

std::uint64_t Json::natural() const {
    return is_natural() && holds<std::int64_t>() ? static_cast<std::uint64_t>(integer())
                                                 : as<std::uint64_t>("an integer from 0");
}

double Json::number() const {
    return is_natural()   ? static_cast<double>(natural())
           : is_integer() ? static_cast<double>(integer())
                          : as<double>("a number");
}

const std::string& Json::string() const {
    return as<std::string>("a string");
}

const Json::Array& Json::items() const {
    return as<Array>("an array");
}

const Json::Object& Json::members() const {
    return as<Object>("an object");
}

std::vector<std::string> Json::strings() const {
    std::vector<std::string> all;
    for (const Json& item : items()) {
        all.push_back(item.string());
    }
    return all;
}

const Json* Json::find(std::string_view name) const {
    if (const auto* members = std::get_if<Object>(&value_)) {
        const auto place = std::ranges::find(*members, name, &Member::name);
        return place == members->end() ? nullptr : &place->value;
    }
    return nullptr;
}

const Json& Json::at(std::string_view name) const {
    members();
    if (const Json* found = find(name)) {
        return *found;
    }
    throw JsonError(fmt::format("there is no '{}'", name));
}

Json Json::value(std::string_view name, Json where_absent) const {
    members();
    const Json* found = find(name);
    return found ? *found : where_absent;
}

Json& Json::operator[](std::string_view name) {
    if (is_null()) {
        value_ = Object();
    }
    if (const Json* found = find(name)) {
        return const_cast<Json&>(*found);
    }
    members();
    return std::get<Object>(value_).emplace_back(std::string(name), Json()).value;
}

void Json::erase(std::string_view name) {
    members();
    std::erase_if(std::get<Object>(value_), [&](const Member& one) { return one.name == name; });
}

void Json::push_back(Json item) {
    if (is_null()) {
        value_ = Array();
    }
    items();
    std::get<Array>(value_).push_back(std::move(item));
}

Json& Json::back() {
    items();
    return std::get<Array>(value_).back();
}

std::size_t Json::size() const {
    return is_array() ? items().size() : is_object() ? members().size() : 0;
}

std::string Json::dump(int indent) const {
    std::string text;
    print(text, *this, indent, 0);
    return text;
}

Json Json::parse(std::string_view text, bool comments) {
    Builder builder;
    Library::sax_parse(text, &builder, Library::input_format_t::json, true, comments);
    return std::move(builder.result);
}

} // namespace patchforge
