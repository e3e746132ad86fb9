#include "tests/ptx/statements.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace ptx {

namespace {

// Holds every product of two float64 and, of the moderate numbers that directed rounding is asked
// for, every sum.
using Wide = __float128;

Wide magnitude(Wide x) {
    return x < 0 ? -x : x;
}

// The nearest T that is not on the wrong side of x.
template <class T>
T rounded(Wide x, const std::string& how) {
    const auto nearest = static_cast<T>(x);
    const Wide back = nearest;
    constexpr T infinity = std::numeric_limits<T>::infinity();
    if (how == "rz" && magnitude(back) > magnitude(x)) {
        return std::nextafter(nearest, T{0});
    }
    if (how == "rm" && back > x) {
        return std::nextafter(nearest, -infinity);
    }
    if (how == "rp" && back < x) {
        return std::nextafter(nearest, infinity);
    }
    return nearest;
}

float flushed(float x) {
    return std::fpclassify(x) == FP_SUBNORMAL ? std::copysign(0.0f, x) : x;
}

template <class T>
T operation(const std::string& base, const std::string& how, T a, T b, T c) {
    const Wide x = a, y = b, z = c;
    return base == "add"   ? rounded<T>(x + y, how)
           : base == "sub" ? rounded<T>(x - y, how)
           : base == "mul" ? rounded<T>(x * y, how)
           : base == "fma" ? rounded<T>(x * y + z, how)
           : base == "div" ? rounded<T>(x / y, how)
                           : rounded<T>(Wide{1} / x, how);
}

template <class T>
std::optional<FormStatement> of_type(const std::vector<std::string>& parts) {
    const std::string base = parts[0];
    const std::string how = parts.size() > 2 ? parts[1] : "rn";
    FormStatement statement;
    if (base == "add" || base == "sub" || base == "mul" || base == "fma" || base == "div" ||
        (base == "rcp" && how == "rn")) {
        statement = by_lane([=](const Slots& in, Slots& out) {
            // A sum that is exactly 0 has the sign that the rounding asks for; float128 knows only
            // the nearest.
            const T d = operation(base, how, in.get<T>(0), in.get<T>(1), in.get<T>(2));
            out.set(result_slot, how == "rm" && d == 0 && base != "mul" &&
                                         !(in.get<T>(0) == 0 && in.get<T>(1) == 0)
                                     ? -T{0}
                                     : d);
        });
        statement.values = how == "rn" && base != "fma" ? Values::any : Values::moderate;
    } else if (base == "sqrt") {
        // The square of the answer's neighbours lies on either side.
        statement = by_lane([](const Slots& in, Slots& out) {
            const T a = in.get<T>(0);
            T root = static_cast<T>(std::sqrt(static_cast<long double>(a)));
            for (const T other : {std::nextafter(root, T{0}),
                                  std::nextafter(root, std::numeric_limits<T>::infinity())}) {
                const Wide here = magnitude(Wide{root} * root - a);
                const Wide there = magnitude(Wide{other} * other - a);
                root = a > 0 && std::isfinite(other) && there < here ? other : root;
            }
            out.set(result_slot, root);
        });
    } else if (base == "min" || base == "max") {
        statement = by_lane([=](const Slots& in, Slots& out) {
            const T a = in.get<T>(0), b = in.get<T>(1);
            const bool a_first =
                std::isnan(b) || a < b || (a == b && std::signbit(a) && !std::signbit(b));
            const bool a_smaller = !std::isnan(a) && a_first;
            const bool take_a =
                std::isnan(a) ? std::isnan(b) : std::isnan(b) || (base == "min") == a_smaller;
            out.set(result_slot, take_a ? a : b);
        });
    } else if (base == "neg" || base == "abs") {
        statement = by_lane([=](const Slots& in, Slots& out) {
            const T a = in.get<T>(0);
            out.set(result_slot, base == "neg" ? std::copysign(a, std::signbit(a) ? T{1} : T{-1})
                                               : std::copysign(a, T{1}));
        });
    } else if (base == "copysign") {
        statement = by_lane([](const Slots& in, Slots& out) {
            const T b = in.get<T>(1);
            const bool negative = std::signbit(in.get<T>(0));
            out.set(result_slot, negative == std::signbit(b) ? b : -b);
        });
    } else if (base == "rcp") {
        statement = by_lane([](const Slots& in, Slots& out) {
            const long double one_over = 1.0L / flushed(in.get<float>(0));
            out.set(result_slot, flushed(static_cast<float>(one_over)));
        });
        statement.ulps = 1;
    } else if (base == "rsqrt") {
        statement = by_lane([](const Slots& in, Slots& out) {
            const long double root = std::sqrt(static_cast<long double>(in.get<float>(0)));
            out.set(result_slot, static_cast<float>(1 / root));
        });
        statement.ulps = 2;
    } else if (base == "ex2") {
        const bool flushes = std::ranges::count(parts, "ftz") > 0;
        statement = by_lane([flushes](const Slots& in, Slots& out) {
            const auto kept = [=](float value) { return flushes ? flushed(value) : value; };
            const long double power = std::exp2(static_cast<long double>(kept(in.get<float>(0))));
            out.set(result_slot, kept(static_cast<float>(power)));
        });
        statement.ulps = 4;
    } else {
        return std::nullopt;
    }
    statement.real = sizeof(T) == 4 ? 's' : 'd';
    return statement;
}

template <class T>
FormStatement comparison(const std::string& relation) {
    return by_lane([=](const Slots& in, Slots& out) {
        const T a = in.get<T>(0), b = in.get<T>(1);
        const bool unordered = std::isnan(a) || std::isnan(b);
        const std::string plain = relation.substr(0, 2);
        const bool holds = relation == "nan"   ? unordered
                           : relation == "num" ? !unordered
                           : unordered         ? relation.size() == 3
                           : plain == "eq"     ? !std::islessgreater(a, b)
                           : plain == "ne"     ? std::islessgreater(a, b)
                           : plain == "lt"     ? std::isless(a, b)
                           : plain == "le"     ? std::islessequal(a, b)
                           : plain == "gt"     ? std::isgreater(a, b)
                                               : std::isgreaterequal(a, b);
        out.set(result_slot, std::uint32_t{holds});
    });
}

double whole(const std::string& how, double x) {
    const double below = std::floor(x), above = std::ceil(x);
    double result = how == "rmi" || (how == "rzi" && x > 0) ? below : above;
    if (how == "rni") {
        const double middle = x - below;
        const bool to_below = middle < 0.5 || (middle == 0.5 && std::fmod(below, 2) == 0);
        result = to_below ? below : above;
    }
    return std::isfinite(x) ? std::copysign(result, x) : x;
}

// Of what fits; the limits and 0 of what does not.
__int128 clamped(double x, bool is_signed, unsigned bits) {
    const __int128 low = is_signed ? -(__int128{1} << (bits - 1)) : 0;
    const __int128 high = (__int128{1} << (is_signed ? bits - 1 : bits)) - 1;
    if (std::isnan(x)) {
        return 0;
    }
    const Wide cut = std::trunc(x);
    return cut <= Wide(low) ? low : cut >= Wide(high) ? high : static_cast<__int128>(cut);
}

// To the nearest multiple of a unit that leaves so many bits to the significand.
float short_float(float x, int bits, bool ties_to_even) {
    if (!std::isfinite(x) || x == 0) {
        return x;
    }
    const int exponent = std::max(std::ilogb(x), -126);
    const double unit = std::ldexp(1.0, exponent - bits + 1);
    const double units = x / unit;
    return static_cast<float>((ties_to_even ? whole("rni", units) : std::round(units)) * unit);
}

std::uint32_t bits_of(float x) {
    std::uint32_t bits;
    std::memcpy(&bits, &x, 4);
    return std::isnan(x) ? 0x7fffffffu : bits;
}

template <class T>
void put_whole(Slots& out, __int128 value) {
    out.set(result_slot, static_cast<T>(static_cast<unsigned __int128>(value)));
}
void put_whole(Slots& out, unsigned bits, __int128 value) {
    bits == 16   ? put_whole<std::uint16_t>(out, value)
    : bits == 32 ? put_whole<std::uint32_t>(out, value)
                 : put_whole<std::uint64_t>(out, value);
}

std::optional<FormStatement> rounding_conversion(const std::string& name) {
    if (name == "cvt.sat.f32.f32") {
        return by_lane([](const Slots& in, Slots& out) {
            const float a = in.get<float>(0);
            out.set(result_slot, a >= 1 ? 1.0f : std::isgreater(a, 0.0f) ? a : 0.0f);
        });
    }
    if (name == "cvt.rna.tf32.f32") {
        return by_lane([](const Slots& in, Slots& out) {
            out.set(result_slot, bits_of(short_float(in.get<float>(0), 11, false)));
        });
    }
    if (name == "cvt.rn.bf16x2.f32") {
        return by_lane([](const Slots& in, Slots& out) {
            const std::uint32_t high = bits_of(short_float(in.get<float>(0), 8, true)) >> 16;
            const std::uint32_t low = bits_of(short_float(in.get<float>(1), 8, true)) >> 16;
            out.set(result_slot, high * 65536 + low);
        });
    }
    return std::nullopt;
}

} // namespace

std::optional<FormStatement> real_statement(const Form& form) {
    const auto parts = parts_of(form.name);
    const bool single = parts.back() == "f32";
    if ((!single && parts.back() != "f64") || parts[0] == "cvt") {
        return std::nullopt;
    }
    if (parts[0] == "setp") {
        return single ? comparison<float>(parts[1]) : comparison<double>(parts[1]);
    }
    return single ? of_type<float>(parts) : of_type<double>(parts);
}

std::optional<FormStatement> conversion_statement(const Form& form) {
    const auto parts = parts_of(form.name);
    if (parts[0] != "cvt") {
        return std::nullopt;
    }
    if (const auto rounding = rounding_conversion(form.name)) {
        return rounding;
    }
    const std::string from = parts.back(), to = parts[parts.size() - 2];
    const auto from_bits = static_cast<unsigned>(std::stoul(from.substr(1)));
    const auto to_bits = static_cast<unsigned>(std::stoul(to.substr(1)));
    const std::string how = parts.size() > 3 ? parts[1] : "";
    if (from[0] == 'f') {
        const auto read = [=](const Slots& in) {
            return from_bits == 32 ? static_cast<double>(in.get<float>(0)) : in.get<double>(0);
        };
        auto statement = by_lane([=](const Slots& in, Slots& out) {
            const double x = read(in);
            if (to[0] != 'f') {
                put_whole(out, to_bits, clamped(x, to[0] == 's', to_bits));
            } else if (to_bits == 32) {
                out.set(result_slot, static_cast<float>(from_bits == 32 ? whole(how, x) : x));
            } else {
                out.set(result_slot, from_bits == 64 ? whole(how, x) : x);
            }
        });
        statement.real = to[0] != 'f' ? char{0} : to_bits == 32 ? 's' : 'd';
        return statement;
    }
    return by_lane([=](const Slots& in, Slots& out) {
        // The lower bits of the register, whatever its width.
        __int128 value = 0;
        const auto word = in.get<std::uint64_t>(0);
        for (unsigned bit = 0; bit < from_bits; ++bit) {
            const __int128 weight = __int128{1} << bit;
            const bool negative = from[0] == 's' && bit + 1 == from_bits;
            value += word >> bit & 1 ? (negative ? -weight : weight) : 0;
        }
        if (to[0] != 'f') {
            put_whole(out, to_bits, value);
        } else if (to_bits == 32) {
            out.set(result_slot, static_cast<float>(Wide(value)));
        } else {
            out.set(result_slot, static_cast<double>(Wide(value)));
        }
    });
}

} // namespace ptx
