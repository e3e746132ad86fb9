// setp: comparisons that end in a predicate.
#include "tests/ptx/machine.h"

#include <cmath>

namespace ptx {

namespace {

// Collects a bit for every lane.
template <class T, auto holds>
void compare(Warp& w, const Instruction& i) {
    const T* a = w.at<T>(i.a);
    const T* b = w.at<T>(i.b);
    std::uint32_t bits[lanes];
    for (unsigned l = 0; l < lanes; ++l) {
        bits[l] = static_cast<std::uint32_t>(holds(a[l], b[l])) << l;
    }
    Mask value = 0;
    for (unsigned l = 0; l < lanes; ++l) {
        value |= bits[l];
    }
    Mask& d = *w.at<Mask>(i.d);
    d = (d & ~w.active) | (value & w.active);
}

constexpr auto equal = [](auto a, auto b) { return a == b; };
constexpr auto less = [](auto a, auto b) { return a < b; };
constexpr auto less_or_equal = [](auto a, auto b) { return a <= b; };
constexpr auto greater = [](auto a, auto b) { return a > b; };
constexpr auto greater_or_equal = [](auto a, auto b) { return a >= b; };
// PTX's ne is false for NaN, C's != is true: what PTX calls neu.
constexpr auto different = [](auto a, auto b) { return a < b || a > b; };

template <class T>
void add_orders(std::vector<Form>& forms, const std::string& type, const std::string& operands) {
    forms.push_back({"setp.eq." + type, operands, compare<T, equal>});
    forms.push_back({"setp.ne." + type, operands, compare<T, different>});
    forms.push_back({"setp.lt." + type, operands, compare<T, less>});
    forms.push_back({"setp.le." + type, operands, compare<T, less_or_equal>});
    forms.push_back({"setp.gt." + type, operands, compare<T, greater>});
    forms.push_back({"setp.ge." + type, operands, compare<T, greater_or_equal>});
}

template <class T>
void add_unordered(std::vector<Form>& forms, const std::string& type, const std::string& operands) {
    // With u at the end: also true when one is NaN, so each is the opposite of an ordered one.
    forms.push_back(
        {"setp.equ." + type, operands, compare<T, [](T a, T b) { return !(a < b || a > b); }>});
    forms.push_back({"setp.neu." + type, operands, compare<T, [](T a, T b) { return !(a == b); }>});
    forms.push_back({"setp.ltu." + type, operands, compare<T, [](T a, T b) { return !(a >= b); }>});
    forms.push_back({"setp.leu." + type, operands, compare<T, [](T a, T b) { return !(a > b); }>});
    forms.push_back({"setp.gtu." + type, operands, compare<T, [](T a, T b) { return !(a <= b); }>});
    forms.push_back({"setp.geu." + type, operands, compare<T, [](T a, T b) { return !(a < b); }>});
    forms.push_back(
        {"setp.num." + type, operands, compare<T, [](T a, T b) { return a == a && b == b; }>});
    forms.push_back(
        {"setp.nan." + type, operands, compare<T, [](T a, T b) { return a != a || b != b; }>});
}

template <class T>
void add_words(std::vector<Form>& forms, const std::string& type, const std::string& operands) {
    forms.push_back({"setp.eq." + type, operands, compare<T, equal>});
    forms.push_back({"setp.ne." + type, operands, compare<T, different>});
}

} // namespace

std::vector<Form> comparison_forms() {
    std::vector<Form> forms;
    add_orders<std::int16_t>(forms, "s16", "=p h h");
    add_orders<std::uint16_t>(forms, "u16", "=p h h");
    add_orders<std::int32_t>(forms, "s32", "=p w w");
    add_orders<std::uint32_t>(forms, "u32", "=p w w");
    add_orders<std::int64_t>(forms, "s64", "=p l l");
    add_orders<std::uint64_t>(forms, "u64", "=p l l");
    add_orders<float>(forms, "f32", "=p w w");
    add_orders<double>(forms, "f64", "=p l l");
    add_unordered<float>(forms, "f32", "=p w w");
    add_unordered<double>(forms, "f64", "=p l l");
    add_words<std::uint16_t>(forms, "b16", "=p h h");
    add_words<std::uint32_t>(forms, "b32", "=p w w");
    add_words<std::uint64_t>(forms, "b64", "=p l l");
    return forms;
}

} // namespace ptx
