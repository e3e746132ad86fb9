// Arithmetic of whole numbers, logic, and moves of words.
#include "tests/ptx/machine.h"

#include <fmt/format.h>

#include <bit>
#include <limits>
#include <type_traits>

namespace ptx {

namespace {

using u16 = std::uint16_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;

template <class T, auto function>
void unary(Warp& w, const Instruction& i) {
    const T* a = w.at<T>(i.a);
    on_lanes(w, w.at<T>(i.d), [=](unsigned l) { return static_cast<T>(function(a[l])); });
}

template <class T, auto function>
void binary(Warp& w, const Instruction& i) {
    const T* a = w.at<T>(i.a);
    const T* b = w.at<T>(i.b);
    on_lanes(w, w.at<T>(i.d), [=](unsigned l) { return static_cast<T>(function(a[l], b[l])); });
}

template <class T>
void multiply_add(Warp& w, const Instruction& i) {
    const T* a = w.at<T>(i.a);
    const T* b = w.at<T>(i.b);
    const T* c = w.at<T>(i.c);
    on_lanes(w, w.at<T>(i.d), [=](unsigned l) { return a[l] * b[l] + c[l]; });
}

// A product twice as wide as its factors; T is what the factors are, with their sign.
template <class T, class Wide>
void multiply_wide(Warp& w, const Instruction& i) {
    const T* a = w.at<T>(i.a);
    const T* b = w.at<T>(i.b);
    on_lanes(w, w.at<Wide>(i.d), [=](unsigned l) {
        return static_cast<Wide>(static_cast<Wide>(a[l]) * static_cast<Wide>(b[l]));
    });
}

template <class T, class Wide>
void multiply_add_wide(Warp& w, const Instruction& i) {
    const T* a = w.at<T>(i.a);
    const T* b = w.at<T>(i.b);
    using Sum = std::make_unsigned_t<Wide>;
    const Sum* c = w.at<Sum>(i.c);
    on_lanes(w, w.at<Sum>(i.d), [=](unsigned l) {
        return static_cast<Sum>(static_cast<Wide>(a[l]) * static_cast<Wide>(b[l])) + c[l];
    });
}

// The amount is always a word; more than the width shifts everything out.
template <class T>
void shift_left(Warp& w, const Instruction& i) {
    constexpr u32 bits = 8 * sizeof(T);
    const T* a = w.at<T>(i.a);
    const u32* b = w.at<u32>(i.b);
    on_lanes(w, w.at<T>(i.d), [=](unsigned l) {
        return b[l] < bits ? static_cast<T>(a[l] << (b[l] % bits)) : T{0};
    });
}

template <class T>
void shift_right(Warp& w, const Instruction& i) {
    constexpr u32 bits = 8 * sizeof(T);
    const T* a = w.at<T>(i.a);
    const u32* b = w.at<u32>(i.b);
    on_lanes(w, w.at<T>(i.d), [=](unsigned l) {
        const u32 amount = b[l] < bits ? b[l] : bits - 1;
        const T shifted = static_cast<T>(a[l] >> amount);
        return std::is_signed_v<T> || b[l] < bits ? shifted : T{0};
    });
}

// PTX leaves open what a division by 0 gives; a GPU gives all ones and the dividend.
template <class T>
T quotient(T a, T b) {
    const T divisor = b == 0 ? T{1} : b;
    T result;
    if constexpr (sizeof(T) < 8) {
        // Exact for whole numbers of 32 bits, and unlike a division of those the machine has vectors
        // for it. Through 64 bits, for the one quotient that does not fit.
        result = static_cast<T>(
            static_cast<std::int64_t>(static_cast<double>(a) / static_cast<double>(divisor)));
    } else if (std::is_signed_v<T> && divisor == static_cast<T>(-1)) {
        result = static_cast<T>(0 - static_cast<std::make_unsigned_t<T>>(a));
    } else {
        result = a / divisor;
    }
    return b == 0 ? static_cast<T>(-1) : result;
}

template <class T>
T remainder(T a, T b) {
    using U = std::common_type_t<std::make_unsigned_t<T>, unsigned>; // never a signed int
    const U whole = static_cast<U>(quotient(a, b)) * static_cast<U>(b);
    return static_cast<T>(static_cast<U>(a) - whole);
}

template <class T>
void select(Warp& w, const Instruction& i) {
    const T* a = w.at<T>(i.a);
    const T* b = w.at<T>(i.b);
    const Mask c = *w.at<Mask>(i.c);
    on_lanes(w, w.at<T>(i.d), [=](unsigned l) { return c >> l & 1 ? a[l] : b[l]; });
}

template <class T>
void move(Warp& w, const Instruction& i) {
    const T* a = w.at<T>(i.a);
    on_lanes(w, w.at<T>(i.d), [=](unsigned l) { return a[l]; });
}

// The lower bits of a, in b from bit c on. The number of bits and c are bytes; what would lie past
// the end is left out.
void insert_bits(Warp& w, const Instruction& i) {
    const u32* a = w.at<u32>(i.a);
    const u32* b = w.at<u32>(i.b);
    const u32* c = w.at<u32>(i.c);
    const u32* count = w.further<u32>(i, 0);
    on_lanes(w, w.at<u32>(i.d), [=](unsigned l) {
        const u32 first = c[l] & 255, bits = count[l] & 255;
        const u64 ones = bits < 32 ? (u64{1} << bits) - 1 : ~u32{0};
        const u64 shift = first < 32 ? first : 32; // all of it is past the end
        return static_cast<u32>((b[l] & ~(ones << shift)) | (a[l] & ones) << shift);
    });
}

void pack(Warp& w, const Instruction& i) {
    const u32* low = w.further<u32>(i, 0);
    const u32* high = w.further<u32>(i, 1);
    on_lanes(w, w.at<u64>(i.d), [=](unsigned l) { return u64{high[l]} << 32 | low[l]; });
}

void unpack(Warp& w, const Instruction& i) {
    const u64* a = w.at<u64>(i.a);
    on_lanes(w, w.further<u32>(i, 0), [=](unsigned l) { return static_cast<u32>(a[l]); });
    on_lanes(w, w.further<u32>(i, 1), [=](unsigned l) { return static_cast<u32>(a[l] >> 32); });
}

template <auto function>
void on_predicates(Warp& w, const Instruction& i) {
    Mask& d = *w.at<Mask>(i.d);
    const Mask value = function(*w.at<Mask>(i.a), *w.at<Mask>(i.b));
    d = (d & ~w.active) | (value & w.active);
}

constexpr auto sum = [](auto a, auto b) { return a + b; };
constexpr auto difference = [](auto a, auto b) { return a - b; };
constexpr auto product = [](auto a, auto b) {
    return static_cast<std::common_type_t<decltype(a), unsigned>>(a) * b; // never a signed int
};
constexpr auto negated = [](auto a) { return 0 - a; };
constexpr auto smaller = [](auto a, auto b) { return a < b ? a : b; };
constexpr auto larger = [](auto a, auto b) { return a < b ? b : a; };
constexpr auto both = [](auto a, auto b) { return a & b; };
constexpr auto either = [](auto a, auto b) { return a | b; };
constexpr auto one_of = [](auto a, auto b) { return a ^ b; };
constexpr auto flipped = [](auto a) { return ~a; };
constexpr auto absolute = [](auto a) {
    using U = std::make_unsigned_t<decltype(a)>;
    return a < 0 ? static_cast<U>(0 - static_cast<U>(a)) : static_cast<U>(a);
};
constexpr auto upper_half = [](auto a, auto b) {
    if constexpr (sizeof a == 8) {
        using Wide = std::conditional_t<std::is_signed_v<decltype(a)>, __int128, unsigned __int128>;
        return static_cast<decltype(a)>(static_cast<Wide>(a) * b >> 64);
    } else {
        using Wide = std::conditional_t<std::is_signed_v<decltype(a)>, std::int64_t, u64>;
        return static_cast<decltype(a)>(static_cast<Wide>(a) * b >> (8 * sizeof a));
    }
};

// U and S: the same width without and with a sign; r: its letter.
template <class U, class S>
void add_whole_numbers(std::vector<Form>& forms, const std::string& bits, const std::string& r) {
    const std::string one = fmt::format("={0} {0}", r);
    const std::string two = fmt::format("={0} {0} {0}", r);
    const std::string three = fmt::format("={0} {0} {0} {0}", r);
    for (const char* sign : {"s", "u"}) {
        const std::string type = fmt::format(".{}{}", sign, bits);
        forms.push_back({"add" + type, two, binary<U, sum>});
        forms.push_back({"sub" + type, two, binary<U, difference>});
        forms.push_back({"mul.lo" + type, two, binary<U, product>});
        forms.push_back({"mad.lo" + type, three, multiply_add<U>});
    }
    forms.push_back({"neg.s" + bits, one, unary<U, negated>});
    forms.push_back({"abs.s" + bits, one, unary<S, absolute>});
    forms.push_back({"mul.hi.u" + bits, two, binary<U, upper_half>});
    forms.push_back({"mul.hi.s" + bits, two, binary<S, upper_half>});
    forms.push_back({"min.u" + bits, two, binary<U, smaller>});
    forms.push_back({"min.s" + bits, two, binary<S, smaller>});
    forms.push_back({"max.u" + bits, two, binary<U, larger>});
    forms.push_back({"max.s" + bits, two, binary<S, larger>});
    forms.push_back({"div.u" + bits, two, binary<U, quotient<U>>});
    forms.push_back({"div.s" + bits, two, binary<S, quotient<S>>});
    forms.push_back({"rem.u" + bits, two, binary<U, remainder<U>>});
    forms.push_back({"rem.s" + bits, two, binary<S, remainder<S>>});
    forms.push_back({"and.b" + bits, two, binary<U, both>});
    forms.push_back({"or.b" + bits, two, binary<U, either>});
    forms.push_back({"xor.b" + bits, two, binary<U, one_of>});
    forms.push_back({"not.b" + bits, one, unary<U, flipped>});
    forms.push_back({"shl.b" + bits, one + " w", shift_left<U>});
    forms.push_back({"shr.b" + bits, one + " w", shift_right<U>});
    forms.push_back({"shr.u" + bits, one + " w", shift_right<U>});
    forms.push_back({"shr.s" + bits, one + " w", shift_right<S>});
    for (const char* kind : {"b", "u", "s", "f"}) {
        if (bits == "16" && *kind == 'f') {
            continue;
        }
        const std::string type = fmt::format(".{}{}", kind, bits);
        forms.push_back({"mov" + type, one, move<U>});
        forms.push_back({"selp" + type, two + " p", select<U>});
    }
}

} // namespace

std::vector<Form> integer_forms() {
    std::vector<Form> forms;
    add_whole_numbers<u16, std::int16_t>(forms, "16", "h");
    add_whole_numbers<u32, std::int32_t>(forms, "32", "w");
    add_whole_numbers<u64, std::int64_t>(forms, "64", "l");
    const std::vector<Form> others = {
        {"mul.wide.u16", "=w h h", multiply_wide<u16, u32>},
        {"mul.wide.s16", "=w h h", multiply_wide<std::int16_t, std::int32_t>},
        {"mul.wide.u32", "=l w w", multiply_wide<u32, u64>},
        {"mul.wide.s32", "=l w w", multiply_wide<std::int32_t, std::int64_t>},
        {"mad.wide.u32", "=l w w l", multiply_add_wide<u32, u64>},
        {"mad.wide.s32", "=l w w l", multiply_add_wide<std::int32_t, std::int64_t>},
        {"popc.b32", "=w w", unary<u32, [](u32 a) { return std::popcount(a); }>},
        {"clz.b32", "=w w", unary<u32, [](u32 a) { return std::countl_zero(a); }>},
        {"bfi.b32", "=w w w w w", insert_bits},
        {"mov.b64", "=l w2", pack},
        {"mov.b64", "=w2 l", unpack},
        {"mov.pred", "=p p", on_predicates<[](Mask a, Mask) { return a; }>},
        {"not.pred", "=p p", on_predicates<[](Mask a, Mask) { return ~a; }>},
        {"and.pred", "=p p p", on_predicates<[](Mask a, Mask b) { return a & b; }>},
        {"or.pred", "=p p p", on_predicates<[](Mask a, Mask b) { return a | b; }>},
        {"xor.pred", "=p p p", on_predicates<[](Mask a, Mask b) { return a ^ b; }>},
        // Device memory has one address here, whichever way it is named.
        {"cvta.to.global.u64", "=l l", move<u64>},
        {"cvta.global.u64", "=l l", move<u64>},
    };
    forms.insert(forms.end(), others.begin(), others.end());
    return forms;
}

} // namespace ptx
