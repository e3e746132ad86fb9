#include "tests/ptx/statements.h"

#include <cmath>

namespace ptx {

namespace {

using Wide = __int128;

struct Type {
    bool is_signed = false;
    unsigned bits = 0;
};

std::optional<Type> whole_type(const std::string& text) {
    if (text.size() < 2 || std::string("sub").find(text[0]) == std::string::npos) {
        return std::nullopt;
    }
    return Type{text[0] == 's', static_cast<unsigned>(std::stoul(text.substr(1)))};
}

std::uint64_t word(const Slots& slots, unsigned operand, unsigned bits) {
    return bits == 16   ? slots.get<std::uint16_t>(operand)
           : bits == 32 ? slots.get<std::uint32_t>(operand)
                        : slots.get<std::uint64_t>(operand);
}

void put(Slots& slots, unsigned bits, Wide value) {
    const auto low = static_cast<std::uint64_t>(value);
    if (bits == 16) {
        slots.set(result_slot, static_cast<std::uint16_t>(low));
    } else if (bits == 32) {
        slots.set(result_slot, static_cast<std::uint32_t>(low));
    } else {
        slots.set(result_slot, low);
    }
}

Wide number(const Slots& slots, unsigned operand, Type type) {
    const std::uint64_t w = word(slots, operand, type.bits);
    const bool negative = type.is_signed && (w >> (type.bits - 1) & 1);
    return Wide{w} - (negative ? Wide{1} << type.bits : 0);
}

// Division by two for every step, downwards.
Wide shifted_right(Wide value, std::uint32_t amount) {
    for (std::uint32_t n = 0; n < std::min(amount, 64u); ++n) {
        value = value >= 0 ? value / 2 : (value - 1) / 2;
    }
    return value;
}

using Binary = Wide (*)(Wide, Wide);
Binary binary_of(const std::string& base) {
    static const std::map<std::string, Binary> known = {
        {"add", [](Wide a, Wide b) { return a + b; }},
        {"sub", [](Wide a, Wide b) { return a - b; }},
        {"min", [](Wide a, Wide b) { return a < b ? a : b; }},
        {"max", [](Wide a, Wide b) { return a > b ? a : b; }},
        {"div", [](Wide a, Wide b) { return a / b; }},
        {"rem", [](Wide a, Wide b) { return a - a / b * b; }},
        {"and", [](Wide a, Wide b) { return a & b; }},
        {"or", [](Wide a, Wide b) { return a + b - (a & b); }},
        {"xor", [](Wide a, Wide b) { return a + b - 2 * (a & b); }},
    };
    const auto found = known.find(base);
    return found == known.end() ? nullptr : found->second;
}

// Of 64-bit factors the product needs 128 bits, unsigned or not: one __int128 holds its bits.
Wide product(const Slots& in, Type type) {
    return static_cast<Wide>(static_cast<unsigned __int128>(number(in, 0, type)) *
                             static_cast<unsigned __int128>(number(in, 1, type)));
}

std::optional<FormStatement> products(const std::vector<std::string>& parts, Type type) {
    const std::string& half = parts[1];
    const bool sum = parts[0] == "mad";
    if (half == "lo") {
        return by_lane([=](const Slots& in, Slots& out) {
            put(out, type.bits, product(in, type) + (sum ? number(in, 2, type) : 0));
        });
    }
    if (half == "wide") {
        const Type twice{type.is_signed, 2 * type.bits};
        return by_lane([=](const Slots& in, Slots& out) {
            put(out, twice.bits, product(in, type) + (sum ? number(in, 2, twice) : 0));
        });
    }
    return by_lane([=](const Slots& in, Slots& out) {
        const auto bits = static_cast<unsigned __int128>(product(in, type));
        put(out, type.bits, static_cast<Wide>(bits >> type.bits));
    });
}

std::optional<FormStatement> predicates(const std::string& base, const Form& form) {
    const auto truth = [](const Slots& slots, unsigned operand) {
        return slots.get<std::uint32_t>(operand) != 0;
    };
    if (base == "selp") {
        const unsigned bits = form.operands[1] == 'h' ? 16 : form.operands[1] == 'w' ? 32 : 64;
        return by_lane([=](const Slots& in, Slots& out) {
            put(out, bits, Wide{word(in, truth(in, 2) ? 0 : 1, bits)});
        });
    }
    return by_lane([=](const Slots& in, Slots& out) {
        const bool a = truth(in, 0), b = truth(in, 1);
        const bool d = base == "mov"   ? a
                       : base == "not" ? !a
                       : base == "and" ? (a ? b : false)
                       : base == "or"  ? (a ? true : b)
                                       : a != b;
        out.set(result_slot, std::uint32_t{d});
    });
}

bool ordered(const std::string& relation, Wide a, Wide b) {
    return relation == "eq"   ? a == b
           : relation == "ne" ? a != b
           : relation == "lt" ? a - b < 0
           : relation == "le" ? a - b <= 0
           : relation == "gt" ? b - a < 0
                              : b - a <= 0;
}

} // namespace

std::vector<std::string> parts_of(const std::string& name) {
    std::vector<std::string> parts(1);
    for (const char c : name) {
        if (c == '.') {
            parts.emplace_back();
        } else {
            parts.back() += c;
        }
    }
    return parts;
}

std::optional<FormStatement> whole_number_statement(const Form& form) {
    const auto parts = parts_of(form.name);
    const std::string& base = parts[0];
    if (parts.back() == "pred" || base == "selp") {
        return base == "bar" ? std::nullopt : predicates(base, form);
    }
    if (base == "mov" || base == "cvta") {
        if (form.operands == "=l w2" || form.operands == "=w2 l") {
            return by_lane([](const Slots& in, Slots& out) {
                out.set(result_slot, in.get<std::uint32_t>(0, 0), 0);
                out.set(result_slot, in.get<std::uint32_t>(0, 1), 1);
            });
        }
        const unsigned bits = form.operands[1] == 'h' ? 16 : form.operands[1] == 'w' ? 32 : 64;
        return by_lane(
            [=](const Slots& in, Slots& out) { put(out, bits, Wide{word(in, 0, bits)}); });
    }
    const auto type = whole_type(parts.back());
    if (!type) {
        return std::nullopt;
    }
    if (base == "setp") {
        const std::string relation = parts[1];
        return by_lane([=](const Slots& in, Slots& out) {
            const bool holds = ordered(relation, number(in, 0, *type), number(in, 1, *type));
            out.set(result_slot, std::uint32_t{holds});
        });
    }
    if (base == "mul" || base == "mad") {
        return products(parts, *type);
    }
    if (const Binary function = binary_of(base)) {
        auto statement = by_lane([=](const Slots& in, Slots& out) {
            put(out, type->bits, function(number(in, 0, *type), number(in, 1, *type)));
        });
        if (base == "div" || base == "rem") {
            statement.values = Values::divisors;
        }
        return statement;
    }
    if (base == "neg" || base == "abs" || base == "not") {
        return by_lane([=](const Slots& in, Slots& out) {
            const Wide a = number(in, 0, *type);
            put(out, type->bits, base == "not" ? -a - 1 : base == "neg" || a < 0 ? -a : a);
        });
    }
    if (base == "shl") {
        return by_lane([=](const Slots& in, Slots& out) {
            Wide value = number(in, 0, *type);
            for (std::uint32_t n = 0; n < std::min(in.get<std::uint32_t>(1), 64u); ++n) {
                value = (value + value) & ~(Wide{1} << 64);
            }
            put(out, type->bits, value);
        });
    }
    if (base == "shr") {
        return by_lane([=](const Slots& in, Slots& out) {
            put(out, type->bits, shifted_right(number(in, 0, *type), in.get<std::uint32_t>(1)));
        });
    }
    if (base == "bfi") {
        return by_lane([](const Slots& in, Slots& out) {
            std::uint32_t result = 0;
            for (unsigned bit = 0; bit < 32; ++bit) {
                const unsigned first = in.get<std::uint32_t>(2) % 256;
                const bool inside = bit >= first && bit - first < in.get<std::uint32_t>(3) % 256;
                const std::uint32_t from = in.get<std::uint32_t>(inside ? 0 : 1);
                result |= (from >> (inside ? bit - first : bit) & 1) << bit;
            }
            out.set(result_slot, result);
        });
    }
    if (base == "popc" || base == "clz") {
        return by_lane([=](const Slots& in, Slots& out) {
            unsigned ones = 0, zeros = 0;
            for (int bit = 31; bit >= 0; --bit) {
                const bool set = in.get<std::uint32_t>(0) >> bit & 1;
                ones += set;
                zeros += ones == 0;
            }
            put(out, 32, base == "popc" ? ones : zeros);
        });
    }
    return std::nullopt;
}

} // namespace ptx
