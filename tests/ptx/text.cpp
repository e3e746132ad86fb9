#include "tests/ptx/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <sstream>
#include <tuple>

namespace ptx {

namespace {

constexpr std::string_view blanks = " \t\r\n";

std::string_view trimmed(std::string_view text) {
    const auto first = text.find_first_not_of(blanks);
    if (first == std::string_view::npos) {
        return {};
    }
    return text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

std::vector<std::string_view> words_of(std::string_view text) {
    std::vector<std::string_view> words;
    while (!(text = trimmed(text)).empty()) {
        words.push_back(text.substr(0, text.find_first_of(blanks)));
        text.remove_prefix(words.back().size());
    }
    return words;
}

class Reader {
  public:
    explicit Reader(Module& module) : module_(module), text_(module.text) {}

    void read() {
        while (skip_blanks()) {
            const std::string_view word = peek_word();
            if (word == ".visible" || word == ".weak") {
                take(word.size());
            } else if (word == ".entry") {
                read_entry();
            } else if (word == ".extern") {
                read_extern(until(';'));
            } else if (word == ".section") {
                until('}');
            } else if (word == ".file") {
                read_file(until('\n'));
            } else if (word == ".target") {
                const std::string_view line = until('\n');
                const auto digits = line.find("sm_");
                module_.target =
                    digits == std::string_view::npos ? 0 : number(line.substr(digits + 3));
            } else if (word == ".version" || word == ".address_size" || word == ".loc") {
                until('\n');
            } else {
                fail(fmt::format("'{}' is not known outside of entries", word));
            }
        }
    }

  private:
    [[noreturn]] void fail(const std::string& what) const {
        throw TextError(fmt::format("{}:{}: {}", module_.path, line_, what));
    }

    void take(std::size_t count) {
        line_ +=
            static_cast<int>(std::count(text_.begin() + at_, text_.begin() + at_ + count, '\n'));
        at_ += static_cast<std::ptrdiff_t>(count);
    }

    std::string_view rest() const { return text_.substr(static_cast<std::size_t>(at_)); }

    // False at the end.
    bool skip_blanks() {
        for (;;) {
            const std::string_view left = rest();
            const auto next = left.find_first_not_of(blanks);
            if (next == std::string_view::npos) {
                return false;
            }
            take(next);
            if (!rest().starts_with("//")) {
                return true;
            }
            until('\n');
        }
    }

    std::string_view peek_word() const {
        return rest().substr(0, rest().find_first_of(" \t\r\n;:({"));
    }

    // What stands before the next `end`, which is passed.
    std::string_view until(char end) {
        const auto stop = rest().find(end);
        if (stop == std::string_view::npos) {
            fail(fmt::format("the file ends before '{}'", end));
        }
        const std::string_view before = rest().substr(0, stop);
        take(stop + 1);
        return before;
    }

    unsigned number(std::string_view text) const {
        unsigned value = 0;
        text = trimmed(text);
        if (std::from_chars(text.data(), text.data() + text.size(), value).ec != std::errc()) {
            fail(fmt::format("a number is needed where '{}' stands", text));
        }
        return value;
    }

    void read_extern(std::string_view declaration) {
        // .extern .shared .align 128 .b8 name[]
        const auto bracket = declaration.find('[');
        const auto start = declaration.find_last_of(blanks, bracket) + 1;
        if (declaration.find(".shared") == std::string_view::npos ||
            bracket == std::string_view::npos) {
            fail(fmt::format("'{}' is not known; only a block's shared memory is external",
                             declaration));
        }
        module_.shared_symbol = declaration.substr(start, bracket - start);
    }

    void read_file(std::string_view declaration) {
        const auto quote = declaration.find('"');
        const auto last = declaration.rfind('"');
        module_.files[static_cast<int>(number(declaration.substr(5, quote - 5)))] =
            std::string(declaration.substr(quote + 1, last - quote - 1));
    }

    void read_entry() {
        Entry entry;
        take(std::string_view(".entry").size());
        entry.name = trimmed(until('('));
        for (const std::string_view parameter : split_operands(until(')'))) {
            read_parameter(entry, parameter);
        }
        for (std::string_view directive = trimmed(until('{')); !directive.empty();) {
            const std::string_view line = directive.substr(0, directive.find('\n'));
            if (line.starts_with(".maxntid")) {
                entry.most_threads = number(line.substr(8, line.find(',') - 8));
            }
            directive = trimmed(directive.substr(line.size()));
        }
        entry.scopes.emplace_back();
        read_body(entry);
        module_.entries.push_back(std::move(entry));
    }

    void read_parameter(Entry& entry, std::string_view text) {
        // .param .u64 name   or   .param .align 8 .b8 name[48]
        Parameter parameter;
        std::size_t elements = 1;
        const auto words = words_of(text);
        for (std::size_t n = 0; n < words.size(); ++n) {
            const std::string_view word = words[n];
            if (word == ".align" && n + 1 < words.size()) {
                parameter.alignment = number(words[++n]);
            } else if (word.starts_with(".") && word != ".param") {
                parameter.bytes = number(word.substr(2)) / 8;
                parameter.alignment = std::max(parameter.alignment, parameter.bytes);
            } else if (word != ".param") {
                const auto bracket = word.find('[');
                parameter.name = word.substr(0, bracket);
                elements = bracket == word.npos ? 1 : number(word.substr(bracket + 1));
            }
        }
        parameter.bytes *= elements;
        const std::size_t past = entry.parameter_bytes + parameter.alignment - 1;
        parameter.offset = past / parameter.alignment * parameter.alignment;
        entry.parameter_bytes = parameter.offset + parameter.bytes;
        entry.parameters.push_back(parameter);
    }

    void read_body(Entry& entry) {
        int scope = 0;
        int location = -1;
        while (skip_blanks()) {
            const std::string_view word = peek_word();
            if (rest().front() == '{') {
                take(1);
                entry.scopes.push_back({scope, {}, {}});
                scope = static_cast<int>(entry.scopes.size()) - 1;
            } else if (rest().front() == '}') {
                take(1);
                scope = entry.scopes[static_cast<std::size_t>(scope)].parent;
                if (scope < 0) {
                    return;
                }
            } else if (word == ".loc") {
                location = read_location(until('\n'));
            } else if (word == ".reg") {
                read_registers(entry.scopes[static_cast<std::size_t>(scope)], until(';'));
            } else if (word == ".pragma") {
                until(';');
            } else if (word.starts_with(".")) {
                fail(fmt::format("'{}' is not known within an entry", word));
            } else if (rest().substr(word.size()).starts_with(":")) {
                entry.labels[word] = static_cast<int>(entry.statements.size());
                take(word.size() + 1);
            } else {
                Statement statement;
                statement.line = line_;
                statement.location = location;
                statement.scope = scope;
                statement.text = trimmed(until(';'));
                cut(statement);
                entry.statements.push_back(std::move(statement));
            }
        }
        fail("the file ends within an entry");
    }

    // File and line at the start of the text.
    Location place_of(std::string_view text) const {
        text = trimmed(text);
        return {static_cast<int>(number(text)),
                static_cast<int>(number(text.substr(text.find_first_of(blanks)))), -1};
    }

    // .loc 4 18 9, function_name $L__info_string4, inlined_at 1 30 5
    int read_location(std::string_view text) {
        constexpr std::string_view inlined_at = "inlined_at ";
        const auto inlined = text.find(inlined_at);
        Location location = place_of(text.substr(std::string_view(".loc").size()));
        if (inlined != text.npos) {
            const Location at = place_of(text.substr(inlined + inlined_at.size()));
            // That place was inlined too if an earlier .loc said so.
            const auto known = places_.find({at.file, at.line});
            if (known != places_.end()) {
                location.inlined_at = known->second;
            } else {
                module_.locations.push_back(at);
                location.inlined_at = static_cast<int>(module_.locations.size()) - 1;
            }
        }
        module_.locations.push_back(location);
        const int index = static_cast<int>(module_.locations.size()) - 1;
        places_[{location.file, location.line}] = index;
        return index;
    }

    void read_registers(Scope& scope, std::string_view text) {
        // .reg .b32 %r<10>   or   .reg .pred p, q
        const auto type_start = text.find('.', 4);
        const auto type_end = text.find_first_of(blanks, type_start);
        const std::string_view type = text.substr(type_start, type_end - type_start);
        const Width width = type == ".pred"        ? Width::predicate
                            : type.ends_with("16") ? Width::bits16
                            : type.ends_with("32") ? Width::bits32
                            : type.ends_with("64") ? Width::bits64
                                                   : throw_unknown(type);
        for (const std::string_view name : split_operands(text.substr(type_end))) {
            if (const auto bracket = name.find('<'); bracket != std::string_view::npos) {
                scope.ranges[name.substr(0, bracket)] = {width, number(name.substr(bracket + 1))};
            } else {
                scope.registers[name] = width;
            }
        }
    }

    Width throw_unknown(std::string_view type) const {
        fail(fmt::format("registers of type '{}' are not known", type));
    }

    static void cut(Statement& statement) {
        std::string_view text = statement.text;
        if (text.front() == '@') {
            const auto end = text.find_first_of(blanks);
            statement.guard_negated = text[1] == '!';
            const std::size_t start = statement.guard_negated ? 2 : 1;
            statement.guard = text.substr(start, end - start);
            text = trimmed(text.substr(end));
        }
        const auto end = text.find_first_of(blanks);
        statement.opcode = text.substr(0, end);
        if (end != std::string_view::npos) {
            statement.operands = split_operands(text.substr(end));
        }
    }

    Module& module_;
    std::string_view text_;
    std::ptrdiff_t at_ = 0;
    int line_ = 1;
    std::map<std::pair<int, int>, int> places_; // file and line: the latest location there
};

} // namespace

std::vector<std::string_view> split_operands(std::string_view text) {
    std::vector<std::string_view> parts;
    std::size_t start = 0;
    int depth = 0;
    for (std::size_t i = 0; i <= text.size(); ++i) {
        if (i == text.size() || (text[i] == ',' && depth == 0)) {
            if (const std::string_view part = trimmed(text.substr(start, i - start));
                !part.empty()) {
                parts.push_back(part);
            }
            start = i + 1;
        } else if (text[i] == '{' || text[i] == '[') {
            ++depth;
        } else if (text[i] == '}' || text[i] == ']') {
            --depth;
        }
    }
    return parts;
}

std::unique_ptr<Module> parse_text(const std::string& path, std::string text) {
    auto module = std::make_unique<Module>();
    module->path = path;
    module->text = std::move(text);
    Reader(*module).read();
    return module;
}

std::unique_ptr<Module> read_module(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();
    if (!file) {
        throw TextError(path + ": cannot be read");
    }
    return parse_text(path, std::move(text).str());
}

} // namespace ptx
