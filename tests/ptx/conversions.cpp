// cvt: from one type to another.
#include "tests/ptx/machine.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

namespace ptx {

namespace {

using u16 = std::uint16_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;

template <class To, class From, auto function>
void convert(Warp& w, const Instruction& i) {
    const From* a = w.at<From>(i.a);
    on_lanes(w, w.at<To>(i.d), [=](unsigned l) { return static_cast<To>(function(a[l])); });
}

constexpr auto as_it_is = [](auto a) { return a; };

// Towards zero; what does not fit becomes the nearest that does, NaN 0.
template <class To>
constexpr auto truncated = [](auto a) {
    using From = decltype(a);
    // Both are powers of two, so From holds them.
    constexpr auto low = static_cast<From>(std::numeric_limits<To>::min());
    const auto past = std::ldexp(From{1}, std::numeric_limits<To>::digits);
    return a != a      ? To{0}
           : a <= low  ? std::numeric_limits<To>::min()
           : a >= past ? std::numeric_limits<To>::max()
                       : static_cast<To>(a);
};

// [0, 1]; NaN and -0 become +0.
constexpr auto saturated = [](float a) { return a > 0.0f ? (a < 1.0f ? a : 1.0f) : 0.0f; };

// The nearest tf32, ties away from zero; the lower 13 bits become 0.
u32 tf32_of(u32 word) {
    const bool not_a_number = (word & 0x7fffffffu) > 0x7f800000u;
    return not_a_number ? 0x7fffffffu : (word + 0x1000u) & 0xffffe000u;
}

// The nearest bfloat16, ties to even.
u32 bfloat16_of(u32 word) {
    const bool not_a_number = (word & 0x7fffffffu) > 0x7f800000u;
    return not_a_number ? 0x7fffu : (word + 0x7fffu + (word >> 16 & 1)) >> 16;
}

// The first operand goes to the upper half.
void bfloat16_pair(Warp& w, const Instruction& i) {
    const u32* a = w.at<u32>(i.a);
    const u32* b = w.at<u32>(i.b);
    on_lanes(w, w.at<u32>(i.d),
             [=](unsigned l) { return bfloat16_of(a[l]) << 16 | bfloat16_of(b[l]); });
}

// From a register of letter r, which may be wider than the type: then its lower bits count.
template <class From, class Register>
void add_from_whole(std::vector<Form>& forms, const std::string& from, const std::string& r) {
    const auto add = [&](const char* to, const char* d, Run run) {
        forms.push_back({fmt::format("cvt.{}.{}", to, from), fmt::format("={} {}", d, r), run});
    };
    constexpr auto lower = [](Register a) { return static_cast<From>(a); };
    add("u16", "h", convert<u16, Register, lower>);
    add("s16", "h", convert<std::int16_t, Register, lower>);
    add("u32", "w", convert<u32, Register, lower>);
    add("s32", "w", convert<std::int32_t, Register, lower>);
    add("u64", "l", convert<u64, Register, lower>);
    add("s64", "l", convert<std::int64_t, Register, lower>);
    add("rn.f32", "w", convert<float, Register, lower>);
    add("rn.f64", "l", convert<double, Register, lower>);
}

template <class From>
void add_from_float(std::vector<Form>& forms, const std::string& from, const std::string& r) {
    forms.push_back({"cvt.rzi.u32." + from, "=w " + r, convert<u32, From, truncated<u32>>});
    forms.push_back(
        {"cvt.rzi.s32." + from, "=w " + r, convert<std::int32_t, From, truncated<std::int32_t>>});
    forms.push_back({"cvt.rzi.u64." + from, "=l " + r, convert<u64, From, truncated<u64>>});
    forms.push_back(
        {"cvt.rzi.s64." + from, "=l " + r, convert<std::int64_t, From, truncated<std::int64_t>>});
    const std::string same = from + "." + from;
    const std::string operands = fmt::format("={0} {0}", r);
    forms.push_back({"cvt.rni." + same, operands,
                     convert<From, From, [](From a) { return std::nearbyint(a); }>});
    forms.push_back(
        {"cvt.rzi." + same, operands, convert<From, From, [](From a) { return std::trunc(a); }>});
    forms.push_back(
        {"cvt.rmi." + same, operands, convert<From, From, [](From a) { return std::floor(a); }>});
    forms.push_back(
        {"cvt.rpi." + same, operands, convert<From, From, [](From a) { return std::ceil(a); }>});
}

} // namespace

std::vector<Form> conversion_forms() {
    std::vector<Form> forms = {
        {"cvt.f64.f32", "=l w", convert<double, float, as_it_is>},
        {"cvt.rn.f32.f64", "=w l", convert<float, double, as_it_is>},
        {"cvt.sat.f32.f32", "=w w", convert<float, float, saturated>},
        {"cvt.rna.tf32.f32", "=w w", convert<u32, u32, tf32_of>},
        {"cvt.rn.bf16x2.f32", "=w w w", bfloat16_pair},
    };
    add_from_whole<std::uint8_t, u16>(forms, "u8", "h");
    add_from_whole<std::uint8_t, u32>(forms, "u8", "w");
    add_from_whole<std::int8_t, u16>(forms, "s8", "h");
    add_from_whole<std::int8_t, u32>(forms, "s8", "w");
    add_from_whole<u16, u16>(forms, "u16", "h");
    add_from_whole<u16, u32>(forms, "u16", "w");
    add_from_whole<std::int16_t, u16>(forms, "s16", "h");
    add_from_whole<std::int16_t, u32>(forms, "s16", "w");
    add_from_whole<u32, u32>(forms, "u32", "w");
    add_from_whole<u32, u64>(forms, "u32", "l");
    add_from_whole<std::int32_t, u32>(forms, "s32", "w");
    add_from_whole<std::int32_t, u64>(forms, "s32", "l");
    add_from_whole<u64, u64>(forms, "u64", "l");
    add_from_whole<std::int64_t, u64>(forms, "s64", "l");
    add_from_float<float>(forms, "f32", "w");
    add_from_float<double>(forms, "f64", "l");
    return forms;
}

} // namespace ptx
