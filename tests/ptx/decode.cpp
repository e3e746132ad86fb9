#include "tests/ptx/decode.h"

#include "tests/ptx/assemble.h"
#include "tests/ptx/registers.h"

#include <fmt/format.h>

#include <charconv>
#include <cstring>
#include <optional>
#include <unordered_map>

namespace ptx {

namespace {

const std::unordered_multimap<std::string_view, const Form*>& forms_by_name() {
    static const auto map = [] {
        std::unordered_multimap<std::string_view, const Form*> result;
        for (const Form& form : forms()) {
            result.emplace(form.name, &form);
        }
        return result;
    }();
    return map;
}

Width width_of(char letter) {
    return letter == 'h'   ? Width::bits16
           : letter == 'w' ? Width::bits32
           : letter == 'l' ? Width::bits64
                           : Width::predicate;
}

std::optional<std::int64_t> whole_number(std::string_view text) {
    const bool negative = text.starts_with('-');
    const std::string_view digits = text.substr(negative ? 1 : 0);
    const bool hexadecimal = digits.starts_with("0x");
    const std::string_view rest = digits.substr(hexadecimal ? 2 : 0);
    std::uint64_t value = 0;
    const auto [end, error] =
        std::from_chars(rest.data(), rest.data() + rest.size(), value, hexadecimal ? 16 : 10);
    if (error != std::errc() || end != rest.data() + rest.size()) {
        return std::nullopt;
    }
    return static_cast<std::int64_t>(negative ? 0 - value : value);
}

// 0f3F800000 is a float32, 0d3FF0000000000000 a float64.
std::optional<std::uint64_t> constant_bits(std::string_view text, Width width) {
    const char* prefix = width == Width::bits32 ? "0f" : width == Width::bits64 ? "0d" : "none";
    if (text.starts_with(prefix)) {
        std::uint64_t bits = 0;
        std::from_chars(text.data() + 2, text.data() + text.size(), bits, 16);
        return bits;
    }
    const auto number = whole_number(text);
    return number ? std::optional(static_cast<std::uint64_t>(*number)) : std::nullopt;
}

// Bytes of one lane's access: of ld.param.v2.u32, 8.
std::size_t accessed_bytes(std::string_view opcode) {
    const auto type = opcode.substr(opcode.rfind('.') + 2);
    std::size_t bits = 0;
    std::from_chars(type.data(), type.data() + type.size(), bits);
    const bool two = opcode.find(".v2.") != std::string_view::npos;
    const bool four = opcode.find(".v4.") != std::string_view::npos;
    return bits / 8 * (two ? 2 : four ? 4 : 1);
}

class Decoder {
  public:
    Decoder(const Module& module, const Entry& entry) : module_(module), entry_(entry) {
        kernel_.module = &module;
        kernel_.entry = &entry;
        kernel_.name = readable_name(entry.name);
    }

    Kernel decode() {
        for (std::size_t n = 0; n < entry_.statements.size(); ++n) {
            statement_ = &entry_.statements[n];
            first_item_.push_back(static_cast<int>(items_.size()));
            decode_statement(static_cast<int>(n));
        }
        first_item_.push_back(static_cast<int>(items_.size()));
        assemble(kernel_, {std::move(items_),
                           std::move(first_item_),
                           std::move(widths_),
                           {specials_.begin(), specials_.end()}});
        return std::move(kernel_);
    }

  private:
    [[noreturn]] void fail(const std::string& what) const {
        throw TextError(
            fmt::format("{}:{}: {}: {}", module_.path, statement_->line, statement_->text, what));
    }

    void decode_statement(int n) {
        const Statement& s = *statement_;
        const bool is_branch = s.opcode == "bra" || s.opcode == "bra.uni";
        Item item;
        item.statement = static_cast<std::uint32_t>(n);
        if (!s.guard.empty()) {
            // Anything but a branch is jumped over where the guard does not hold.
            const auto guard = source(s.guard, Width::predicate);
            if (!guard || guard->constant) {
                fail("the guard is not a predicate");
            }
            item.a = *guard;
            item.negated = s.guard_negated != !is_branch;
            item.target = is_branch ? label() : n + 1;
            items_.push_back(item);
            if (is_branch) {
                return;
            }
            item = {};
            item.statement = static_cast<std::uint32_t>(n);
        }
        const auto [begin, end] = forms_by_name().equal_range(s.opcode);
        if (begin == end) {
            fail(fmt::format("opcode '{}' is not known; add it to the forms in tests/ptx",
                             s.opcode));
        }
        for (auto form = begin; form != end; ++form) {
            Item tried = item;
            tried.form = form->second;
            if (takes(tried)) {
                kernel_.waits_for_predecessor |= s.opcode == "griddepcontrol.wait";
                items_.push_back(std::move(tried));
                return;
            }
        }
        fail(fmt::format("opcode '{}' is known, but not with these operands", s.opcode));
    }

    int label() const {
        const auto found = statement_->operands.empty()
                               ? entry_.labels.end()
                               : entry_.labels.find(statement_->operands.front());
        if (found == entry_.labels.end()) {
            fail("the label is nowhere");
        }
        return found->second;
    }

    // Whether the statement's operands are what the form takes; fills `item`.
    bool takes(Item& item) {
        std::string_view shape = item.form->operands;
        sources_ = 0;
        const auto& operands = statement_->operands;
        std::size_t n = 0;
        for (; !shape.empty(); ++n) {
            const auto end = std::min(shape.find(' '), shape.size());
            if (n == operands.size() || !take(item, shape.substr(0, end), operands[n])) {
                return false;
            }
            shape.remove_prefix(std::min(end + 1, shape.size()));
        }
        return n == operands.size();
    }

    bool take(Item& item, std::string_view shape, std::string_view operand) {
        if (shape.front() == '@') {
            item.target = label();
            return true;
        }
        if (shape.front() == '#') {
            const auto number = whole_number(operand);
            if (shape.size() > 1) {
                return number && *number == whole_number(shape.substr(1));
            }
            item.number = number.value_or(0);
            return number.has_value();
        }
        if (shape == "s" || shape == "g" || shape == "c") {
            return take_address(item, shape.front(), operand);
        }
        const bool written = shape.front() == '=';
        shape.remove_prefix(written ? 1 : 0);
        const Width width = width_of(shape.front());
        if (shape.size() == 1) {
            const auto reference = written ? variable(operand, width) : source(operand, width);
            return reference && (put(item, written, *reference), true);
        }
        if (shape[1] == '|') {
            const auto bar = operand.find('|');
            if (bar == std::string_view::npos) {
                return false;
            }
            const auto first = variable(operand.substr(0, bar), width);
            const auto second = variable(operand.substr(bar + 1), Width::predicate);
            if (first && second) {
                item.d = *first;
                item.list.push_back(*second);
            }
            return first && second;
        }
        if (!operand.starts_with('{')) {
            return false;
        }
        const auto parts = split_operands(operand.substr(1, operand.size() - 2));
        if (parts.size() != static_cast<std::size_t>(shape[1] - '0')) {
            return false;
        }
        for (const std::string_view part : parts) {
            const auto reference = written ? variable(part, width) : source(part, width);
            if (!reference) {
                return false;
            }
            item.list.push_back(*reference);
        }
        return true;
    }

    void put(Item& item, bool written, Reference reference) {
        Reference* const slots[] = {&item.a, &item.b, &item.c};
        if (written) {
            item.d = reference;
        } else if (sources_ < 3) {
            *slots[sources_++] = reference;
        } else {
            item.list.push_back(reference);
        }
    }

    // [base], [base+offset]; the base a register or a symbol.
    bool take_address(Item& item, char space, std::string_view operand) {
        if (!operand.starts_with('[')) {
            return false;
        }
        std::string_view base = operand.substr(1, operand.size() - 2);
        std::int64_t offset = 0;
        if (const auto plus = base.find('+'); plus != std::string_view::npos) {
            const auto number = whole_number(base.substr(plus + 1));
            if (!number) {
                return false;
            }
            offset = *number;
            base = base.substr(0, plus);
        }
        const Width width = space == 's' ? Width::bits32 : Width::bits64;
        const auto reference = variable(base, width);
        const auto symbol = reference ? std::nullopt : symbol_value(base);
        if (!reference && !symbol) {
            return false;
        }
        if (symbol && space == 'c') {
            check_parameter_access(base, offset);
        }
        const bool first = sources_ == 0;
        put(item, false, reference ? *reference : constant(0, width));
        offset += symbol.value_or(0);
        if (first) {
            item.number = offset;
        } else {
            item.list.push_back({true, static_cast<std::uint32_t>(offset)});
        }
        return true;
    }

    void check_parameter_access(std::string_view name, std::int64_t offset) const {
        const std::size_t bytes = accessed_bytes(statement_->opcode);
        for (const Parameter& parameter : entry_.parameters) {
            if (parameter.name == name &&
                static_cast<std::size_t>(offset) + bytes > parameter.bytes) {
                fail(fmt::format("bytes {} to {} of a parameter of {}", offset,
                                 static_cast<std::size_t>(offset) + bytes, parameter.bytes));
            }
        }
    }

    std::optional<std::int64_t> symbol_value(std::string_view name) const {
        if (name == module_.shared_symbol) {
            return shared_window;
        }
        for (const Parameter& parameter : entry_.parameters) {
            if (parameter.name == name) {
                return static_cast<std::int64_t>(parameter.offset);
            }
        }
        return std::nullopt;
    }

    std::optional<Reference> variable(std::string_view name, Width width) {
        for (int scope = statement_->scope; scope >= 0;) {
            const Scope& names = entry_.scopes[static_cast<std::size_t>(scope)];
            const auto declared = declared_width(names, name);
            if (declared) {
                return *declared == width ? std::optional(numbered(scope, name, width))
                                          : std::nullopt;
            }
            scope = names.parent;
        }
        return std::nullopt;
    }

    static std::optional<Width> declared_width(const Scope& scope, std::string_view name) {
        if (const auto found = scope.registers.find(name); found != scope.registers.end()) {
            return found->second;
        }
        const auto digits = name.find_last_not_of("0123456789") + 1;
        const auto range = scope.ranges.find(name.substr(0, digits));
        if (range == scope.ranges.end() || digits == name.size()) {
            return std::nullopt;
        }
        const auto number = whole_number(name.substr(digits));
        return number && *number < range->second.second ? std::optional(range->second.first)
                                                        : std::nullopt;
    }

    Reference numbered(int scope, std::string_view name, Width width) {
        const auto [found, fresh] =
            numbers_[scope].try_emplace(name, static_cast<std::uint32_t>(widths_.size()));
        if (fresh) {
            widths_.push_back(width);
        }
        return {false, found->second};
    }

    std::optional<Reference> source(std::string_view text, Width width) {
        if (const auto reference = variable(text, width)) {
            return reference;
        }
        if (const auto bits = constant_bits(text, width)) {
            return constant(*bits, width);
        }
        if (width == Width::bits32) {
            if (const auto reference = special(text)) {
                return reference;
            }
        }
        const bool address = width == Width::bits32 || width == Width::bits64;
        const auto symbol = address ? symbol_value(text) : std::nullopt;
        return symbol ? std::optional(constant(static_cast<std::uint64_t>(*symbol), width))
                      : std::nullopt;
    }

    std::optional<Reference> special(std::string_view text) {
        static const std::unordered_map<std::string_view, Special> known = {
            {"%tid.x", Special::thread_x},    {"%ctaid.x", Special::block_x},
            {"%ctaid.y", Special::block_y},   {"%ctaid.z", Special::block_z},
            {"%ntid.x", Special::threads_x},  {"%nctaid.x", Special::blocks_x},
            {"%nctaid.y", Special::blocks_y}, {"%nctaid.z", Special::blocks_z},
        };
        const auto found = known.find(text);
        if (found == known.end()) {
            return std::nullopt;
        }
        const auto [reference, fresh] = specials_.try_emplace(found->second);
        if (fresh) {
            // Read by the first statement there is: it keeps its place from the start.
            reference->second = {false, static_cast<std::uint32_t>(widths_.size())};
            widths_.push_back(Width::bits32);
        }
        return reference->second;
    }

    // The same value in every lane.
    Reference constant(std::uint64_t bits, Width width) {
        const auto [found, fresh] = constants_.try_emplace({width, bits});
        if (fresh) {
            // Every place is aligned as the widest vector instruction wants it.
            const std::size_t place = (kernel_.constants.size() + 63) / 64 * 64;
            const std::size_t bytes = bytes_of(width);
            kernel_.constants.resize(place + bytes);
            const bool predicate = width == Width::predicate;
            const std::uint64_t value = predicate && bits ? all_lanes : bits;
            const std::size_t element = predicate ? bytes : bytes / lanes;
            for (std::size_t at = place; at < place + bytes; at += element) {
                std::memcpy(&kernel_.constants[at], &value, element);
            }
            found->second = static_cast<std::uint32_t>(place) | constant_bit;
        }
        return {true, found->second};
    }

    const Module& module_;
    const Entry& entry_;
    Kernel kernel_;
    const Statement* statement_ = nullptr;
    std::vector<Item> items_;
    std::vector<int> first_item_; // of each statement
    std::vector<BasicBlock> blocks_;
    std::vector<int> block_of_;                                                  // each item
    std::map<int, std::unordered_map<std::string_view, std::uint32_t>> numbers_; // of a scope
    std::vector<Width> widths_;                                                  // of each register
    std::map<Special, Reference> specials_;
    std::map<std::pair<Width, std::uint64_t>, Place> constants_;
    int sources_ = 0; // of the statement, taken so far
};

} // namespace

Kernel decode(const Module& module, const Entry& entry) {
    return Decoder(module, entry).decode();
}

const std::vector<Form>& forms() {
    static const auto all = [] {
        std::vector<Form> result;
        for (const auto& family :
             {integer_forms(), float_forms(), conversion_forms(), comparison_forms(),
              memory_forms(), copy_forms(), warp_forms(), product_forms(), control_forms()}) {
            result.insert(result.end(), family.begin(), family.end());
        }
        return result;
    }();
    return all;
}

} // namespace ptx
