// Arithmetic of float32 and float64. Each operation rounds once, as it is written: a product and a
// sum stay two operations unless the PTX says fma.
#include "tests/ptx/machine.h"

#include <fmt/format.h>

#include <bit>
#include <cfenv>
#include <cmath>
#include <limits>

namespace ptx {

namespace {

// What an operation answers with when there is no number.
float settled(float x) {
    return x == x ? x : std::bit_cast<float>(0x7fffffffu);
}
double settled(double x) {
    return x;
}

template <class T, auto function>
void unary(Warp& w, const Instruction& i) {
    const T* a = w.at<T>(i.a);
    on_lanes(w, w.at<T>(i.d), [=](unsigned l) { return settled(function(a[l])); });
}

template <class T, auto function>
void binary(Warp& w, const Instruction& i) {
    const T* a = w.at<T>(i.a);
    const T* b = w.at<T>(i.b);
    on_lanes(w, w.at<T>(i.d), [=](unsigned l) { return settled(function(a[l], b[l])); });
}

template <class T>
void fused(Warp& w, const Instruction& i) {
    const T* a = w.at<T>(i.a);
    const T* b = w.at<T>(i.b);
    const T* c = w.at<T>(i.c);
    on_lanes(w, w.at<T>(i.d), [=](unsigned l) { return settled(std::fma(a[l], b[l], c[l])); });
}

// Only bits, so that a NaN keeps its own.
template <class T, auto function>
void on_bits(Warp& w, const Instruction& i) {
    const T* a = w.at<T>(i.a);
    const T* b = w.at<T>(i.b);
    on_lanes(w, w.at<T>(i.d), [=](unsigned l) { return function(a[l], b[l]); });
}

// With the processor's rounding turned elsewhere. Operands are read and results written through
// memory between the two calls, so that the compiler cannot move the arithmetic past them.
template <int rounding, auto function>
void directed(Warp& w, const Instruction& i) {
    const float* a = w.at<float>(i.a);
    const float* b = w.at<float>(i.b);
    const float* c = w.at<float>(i.c);
    float* d = w.at<float>(i.d);
    std::fesetround(rounding);
    for_active(w, [=](unsigned l) { d[l] = settled(function(a[l], b[l], c[l])); });
    std::fesetround(FE_TONEAREST);
}

// One is NaN: the other. -0 is less than +0.
constexpr auto smaller = [](auto a, auto b) {
    return a != a ? b : b != b ? a : a < b || (a == b && std::signbit(a)) ? a : b;
};
constexpr auto larger = [](auto a, auto b) {
    return a != a ? b : b != b ? a : a > b || (a == b && std::signbit(b)) ? a : b;
};
constexpr auto sum = [](auto a, auto b) { return a + b; };
constexpr auto difference = [](auto a, auto b) { return a - b; };
constexpr auto product = [](auto a, auto b) { return a * b; };
constexpr auto quotient = [](auto a, auto b) { return a / b; };

// .ftz: subnormal numbers count as zero, going in and coming out.
float flushed(float x) {
    return std::fabs(x) < std::numeric_limits<float>::min() ? std::copysign(0.0f, x) : x;
}

// The approximations of a GPU err by up to 2 ulp; which way is not laid down, so these do not err.
template <bool Flushes>
void power_of_two(Warp& w, const Instruction& i) {
    const auto kept = [](float value) { return Flushes ? flushed(value) : value; };
    const float* a = w.at<float>(i.a);
    float* d = w.at<float>(i.d);
    for_active(w, [=](unsigned l) {
        const double exact = std::exp2(static_cast<double>(kept(a[l])));
        d[l] = settled(kept(static_cast<float>(exact)));
    });
}

constexpr auto approximate_reciprocal = [](float a) { return flushed(1.0f / flushed(a)); };

constexpr auto approximate_inverse_root = [](float a) {
    return static_cast<float>(1 / std::sqrt(static_cast<double>(a)));
};

template <class T>
void add_arithmetic(std::vector<Form>& forms, const std::string& type, const std::string& r) {
    const std::string one = fmt::format("={0} {0}", r);
    const std::string two = fmt::format("={0} {0} {0}", r);
    for (const std::string rounding : {"", ".rn"}) {
        forms.push_back({"add" + rounding + type, two, binary<T, sum>});
        forms.push_back({"sub" + rounding + type, two, binary<T, difference>});
        forms.push_back({"mul" + rounding + type, two, binary<T, product>});
    }
    forms.push_back({"fma.rn" + type, two + " " + r, fused<T>});
    forms.push_back({"div.rn" + type, two, binary<T, quotient>});
    forms.push_back({"rcp.rn" + type, one, unary<T, [](T a) { return 1 / a; }>});
    forms.push_back({"sqrt.rn" + type, one, unary<T, [](T a) { return std::sqrt(a); }>});
    forms.push_back({"min" + type, two, binary<T, smaller>});
    forms.push_back({"max" + type, two, binary<T, larger>});
    forms.push_back({"neg" + type, one, on_bits<T, [](T a, T) { return -a; }>});
    forms.push_back({"abs" + type, one, on_bits<T, [](T a, T) { return std::fabs(a); }>});
    // The sign of the first operand, the magnitude of the second.
    forms.push_back(
        {"copysign" + type, two, on_bits<T, [](T a, T b) { return std::copysign(b, a); }>});
}

} // namespace

std::vector<Form> float_forms() {
    std::vector<Form> forms;
    add_arithmetic<float>(forms, ".f32", "w");
    add_arithmetic<double>(forms, ".f64", "l");
    constexpr auto add = [](float a, float b, float) { return a + b; };
    constexpr auto multiply = [](float a, float b, float) { return a * b; };
    constexpr auto fuse = [](float a, float b, float c) { return std::fma(a, b, c); };
    const std::vector<Form> others = {
        {"add.rz.f32", "=w w w", directed<FE_TOWARDZERO, add>},
        {"add.rm.f32", "=w w w", directed<FE_DOWNWARD, add>},
        {"add.rp.f32", "=w w w", directed<FE_UPWARD, add>},
        {"mul.rz.f32", "=w w w", directed<FE_TOWARDZERO, multiply>},
        {"mul.rm.f32", "=w w w", directed<FE_DOWNWARD, multiply>},
        {"mul.rp.f32", "=w w w", directed<FE_UPWARD, multiply>},
        {"fma.rz.f32", "=w w w w", directed<FE_TOWARDZERO, fuse>},
        {"fma.rm.f32", "=w w w w", directed<FE_DOWNWARD, fuse>},
        {"fma.rp.f32", "=w w w w", directed<FE_UPWARD, fuse>},
        {"ex2.approx.f32", "=w w", power_of_two<false>},
        {"ex2.approx.ftz.f32", "=w w", power_of_two<true>},
        {"rcp.approx.ftz.f32", "=w w", unary<float, approximate_reciprocal>},
        {"rsqrt.approx.f32", "=w w", unary<float, approximate_inverse_root>},
    };
    forms.insert(forms.end(), others.begin(), others.end());
    return forms;
}

} // namespace ptx
