#include "tests/ptx/statements.h"

#include <cmath>

namespace ptx {

namespace {

// The bytes that an element of this type takes, and whether its sign fills a wider register.
struct Element {
    unsigned bytes = 0;
    bool is_signed = false;
};
Element element_of(const std::string& type) {
    return {static_cast<unsigned>(std::stoul(type.substr(1))) / 8, type[0] == 's'};
}

unsigned count_of(const std::string& name) {
    return name.find(".v4.") != std::string::npos   ? 4
           : name.find(".v2.") != std::string::npos ? 2
                                                    : 1;
}

unsigned register_bytes(const std::string& operands, std::size_t at) {
    return operands[at] == 'h' ? 2 : operands[at] == 'w' ? 4 : 8;
}

const std::uint8_t* bytes_of(const Slots& slots, unsigned operand) {
    return reinterpret_cast<const std::uint8_t*>(&slots.slot[operand]);
}
std::uint8_t* bytes_of(Slots& slots, unsigned operand) {
    return reinterpret_cast<std::uint8_t*>(&slots.slot[operand]);
}

void load(const std::uint8_t* memory, Slots& out, Element element, unsigned count, unsigned width) {
    for (unsigned n = 0; n < count; ++n) {
        const std::uint8_t* from = memory + n * element.bytes;
        const bool negative = element.is_signed && from[element.bytes - 1] >= 128;
        for (unsigned byte = 0; byte < width; ++byte) {
            bytes_of(out, result_slot)[n * width + byte] = byte < element.bytes ? from[byte]
                                                           : negative           ? 255
                                                                                : 0;
        }
    }
}

// A(row, column) of 16 x k in the order of the PTX manual: which lane holds it, in which of its
// words, and at which place in the word. `packed` numbers share a word.
struct Held {
    unsigned lane, word, place;
};
Held of_a(unsigned row, unsigned column, unsigned packed) {
    const unsigned quarter = 4 * packed; // columns of four lanes
    return {row % 8 * 4 + column % quarter / packed, row / 8 + 2 * (column / quarter),
            column % packed};
}
Held of_b(unsigned row, unsigned column, unsigned packed) {
    const unsigned quarter = 4 * packed;
    return {column * 4 + row % quarter / packed, row / quarter, row % packed};
}

double element(const Slots& slots, unsigned operand, Held held, unsigned packed) {
    std::uint32_t word = slots.get<std::uint32_t>(operand, held.word);
    // Of tf32 the upper 19 bits count; of two bfloat16 the half that is asked for.
    word = packed == 1 ? word >> 13 << 13 : held.place ? word >> 16 << 16 : word << 16;
    float value;
    std::memcpy(&value, &word, 4);
    return value;
}

FormStatement product(unsigned k, unsigned packed) {
    FormStatement statement;
    statement.expect = [=](std::span<const Slots> in, const Slot16&, std::span<Slots> out) {
        for (unsigned row = 0; row < 16; ++row) {
            for (unsigned column = 0; column < 8; ++column) {
                const unsigned lane = row % 8 * 4 + column / 2;
                const unsigned word = row / 8 * 2 + column % 2;
                double sum = in[lane].get<float>(2, word), size = std::fabs(sum);
                for (unsigned x = 0; x < k; ++x) {
                    const Held a = of_a(row, x, packed), b = of_b(x, column, packed);
                    const double term =
                        element(in[a.lane], 0, a, packed) * element(in[b.lane], 1, b, packed);
                    sum += term;
                    size += std::fabs(term);
                }
                out[lane].set(result_slot, static_cast<float>(sum), word);
                // What it may be off, for the comparison.
                out[lane].set(memory_slot + 1, static_cast<float>(size), word);
            }
        }
    };
    statement.values = Values::moderate;
    statement.real = 's';
    // Every addend may be cut below 24 bits of the largest, once for each go of the adder.
    statement.share = 0x1p-23 * (k + 1);
    return statement;
}

} // namespace

std::optional<FormStatement> memory_statement(const Form& form, const OneInstruction& kernel) {
    const auto parts = parts_of(form.name);
    const Element element = parts.size() > 1 && (parts[0] == "ld" || parts[0] == "st")
                                ? element_of(parts.back())
                                : Element{};
    const unsigned count = count_of(form.name);
    if (parts[0] == "ld") {
        FormStatement statement;
        const unsigned width = register_bytes(form.operands, 1);
        const bool shared_by_all = kernel.has_data;
        statement.expect = [=](std::span<const Slots> in, const Slot16& data,
                               std::span<Slots> out) {
            for (std::size_t l = 0; l < in.size(); ++l) {
                const auto* parameter = reinterpret_cast<const std::uint8_t*>(&data);
                load(shared_by_all ? parameter : bytes_of(in[l], 0), out[l], element, count, width);
            }
        };
        return statement;
    }
    if (parts[0] == "st") {
        const unsigned width = register_bytes(form.operands, 2);
        return by_lane([=](const Slots& in, Slots& out) {
            for (unsigned n = 0; n < count; ++n) {
                for (unsigned byte = 0; byte < element.bytes; ++byte) {
                    bytes_of(out, memory_slot)[n * element.bytes + byte] =
                        bytes_of(in, 1)[n * width + byte];
                }
            }
        });
    }
    if (parts[0] == "atom") {
        return by_lane([](const Slots& in, Slots& out) {
            const auto before = out.get<std::uint32_t>(memory_slot);
            out.set(result_slot, before);
            out.set(memory_slot, before + in.get<std::uint32_t>(1));
        });
    }
    if (form.name == "cp.async.cg.shared.global" || form.name == "cp.async.ca.shared.global") {
        const unsigned bytes = parts[2] == "cg" ? 16 : 4;
        auto statement = by_lane([=](const Slots& in, Slots& out) {
            for (unsigned byte = 0; byte < bytes; ++byte) {
                bytes_of(out, memory_slot)[byte] =
                    byte < in.get<std::uint32_t>(1) ? bytes_of(in, 0)[byte] : 0;
            }
        });
        statement.values = Values::masks;
        return statement;
    }
    return std::nullopt;
}

std::optional<FormStatement> warp_statement(const Form& form) {
    const auto parts = parts_of(form.name);
    FormStatement statement;
    statement.values = Values::masks;
    if (parts[0] == "shfl") {
        const bool tells = form.operands.find('|') != std::string::npos;
        statement.expect = [=](std::span<const Slots> in, const Slot16&, std::span<Slots> out) {
            for (unsigned l = 0; l < lanes; ++l) {
                // Segments of 32, 16 or 8 lanes, as the third operand's upper byte says.
                const unsigned length = 32 - (in[l].get<std::uint32_t>(2) >> 8);
                const unsigned last = l - l % length + length - 1;
                const unsigned other = l ^ in[l].get<std::uint32_t>(1);
                const bool inside = other <= last;
                out[l].set(result_slot, in[inside ? other : l].get<std::uint32_t>(0));
                if (tells) {
                    out[l].set(predicate_slot, std::uint32_t{inside});
                }
            }
        };
        return statement;
    }
    if (parts[0] == "vote" || form.name == "bar.red.or.pred") {
        statement.expect = [=](std::span<const Slots> in, const Slot16&, std::span<Slots> out) {
            std::uint32_t votes = 0;
            for (unsigned l = 0; l < lanes; ++l) {
                votes |= std::uint32_t{in[l].get<std::uint32_t>(0) != 0} << l;
            }
            for (Slots& lane : out) {
                lane.set(result_slot, parts[0] == "vote" ? votes : std::uint32_t{votes != 0});
            }
        };
        return statement;
    }
    if (parts[0] == "mma") {
        const bool tf32 = form.name.find("tf32") != std::string::npos;
        return tf32 ? product(8, 1) : product(16, 2);
    }
    return std::nullopt;
}

std::optional<FormStatement> statement_of(const Form& form, const OneInstruction& kernel) {
    for (const auto& statement :
         {memory_statement(form, kernel), warp_statement(form), conversion_statement(form),
          real_statement(form), whole_number_statement(form)}) {
        if (statement) {
            return statement;
        }
    }
    return std::nullopt;
}

} // namespace ptx
