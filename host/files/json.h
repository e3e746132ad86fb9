// A value of JSON, as results and settings are made and read: the one place that knows the library which parses and prints
// it. Objects keep the order of their names; a number without fraction or exponent is an integer.
//
//     Json result{{"model", name}, {"rate", rate}, {"classes", class_names}, {"ball", {{"eps", eps}}}};
//     result["called"][class_name] = count;
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace patchforge {

// Text that is no JSON, or a value that is not what is asked for: what is wrong, without the name of a file.
struct JsonError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

class Json {
  public:
    struct Member;
    using Array = std::vector<Json>;
    using Object = std::vector<Member>;

    Json() = default; // null
    template <class T>
    requires std::is_arithmetic_v<T> Json(T number) : value_(stored(number)) {}
    Json(std::nullptr_t) = delete;
    Json(const char* text) : value_(std::string(text)) {}
    Json(std::string text) : value_(std::move(text)) {}
    Json(std::initializer_list<Member> members);
    Json(Array items);
    Json(Object members);
    template <class T>
    Json(const std::vector<T>& items) : Json(Array(items.begin(), items.end())) {}
    template <class T, std::size_t n>
    Json(const std::array<T, n>& items) : Json(Array(items.begin(), items.end())) {}
    template <class T>
    Json(const std::map<std::string, T>& members) : Json(Object()) {
        for (const auto& [name, value] : members) {
            (*this)[name] = value;
        }
    }
    template <class T>
    Json(const std::optional<T>& value) {
        if (value) {
            *this = Json(*value);
        }
    }
    static Json array() { return Array(); }
    static Json object();

    bool is_null() const { return holds<std::monostate>(); }
    bool is_boolean() const { return holds<bool>(); }
    bool is_integer() const { return holds<std::int64_t>() || holds<std::uint64_t>(); }
    bool is_natural() const; // an integer from 0
    bool is_number() const { return is_integer() || holds<double>(); }
    bool is_string() const { return holds<std::string>(); }
    bool is_array() const { return holds<Array>(); }
    bool is_object() const { return holds<Object>(); }

    // They throw JsonError for a value of another type, or an integer that does not fit.
    bool boolean() const;
    std::int64_t integer() const;
    std::uint64_t natural() const;
    double number() const;
    const std::string& string() const;
    const Array& items() const;
    const Object& members() const;
    std::vector<std::string> strings() const; // an array of them

    // Of an object: the value of that name; null where there is none.
    const Json* find(std::string_view name) const;
    bool contains(std::string_view name) const { return find(name) != nullptr; }
    const Json& at(std::string_view name) const; // throws JsonError where there is none
    Json value(std::string_view name, Json where_absent) const; // a copy
    // Puts null there where there is none. Null becomes an object.
    Json& operator[](std::string_view name);
    void erase(std::string_view name);

    // Of an array; null becomes one.
    void push_back(Json item);
    Json& back();

    std::size_t size() const; // of an array or object; 0 for others
    bool empty() const { return size() == 0; }

    // `indent`: blanks a level, -1 for one line. A number that is not finite is null; paths stand in results, too, and may
    // hold any bytes: what is not UTF-8 becomes U+FFFD.
    std::string dump(int indent = -1) const;

    // Nested at most 64 deep; no name twice in an object. `comments`: // and /* */ are passed over. Throws JsonError.
    static Json parse(std::string_view text, bool comments = false);

  private:
    using Value = std::variant<std::monostate, bool, std::int64_t, std::uint64_t, double,
                               std::string, Array, Object>;

    template <class T>
    bool holds() const {
        return std::holds_alternative<T>(value_);
    }
    // Unsigned are only those that no signed integer holds.
    template <class T>
    static Value stored(T number) {
        if constexpr (std::is_same_v<T, bool>) {
            return number;
        } else if constexpr (std::is_floating_point_v<T>) {
            return static_cast<double>(number);
        } else if (std::in_range<std::int64_t>(number)) {
            return static_cast<std::int64_t>(number);
        } else {
            return static_cast<std::uint64_t>(number);
        }
    }
    template <class T>
    const T& as(const char* wanted) const; // throws JsonError

    Value value_;
};

struct Json::Member {
    std::string name;
    Json value;
};

} // namespace patchforge
