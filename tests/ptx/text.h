// PTX as text: what nvcc wrote for one .cu, cut into entries and statements. Nothing is understood
// here but the layout; tests/ptx/decode.h gives the statements their meaning.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace ptx {

// PTX that cannot be read: names the file and line, and the opcode where there is one.
class TextError : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

// `.loc`: a line of the source, and where that line's function was inlined (-1: nowhere).
struct Location {
    int file = 0;
    int line = 0;
    int inlined_at = -1; // index into Module::locations
};

struct Parameter {
    std::string_view name;
    std::size_t bytes = 0;
    std::size_t alignment = 1;
    std::size_t offset = 0;
};

struct Statement {
    std::string_view guard; // "%p3" of "@!%p3"; empty: always
    bool guard_negated = false;
    std::string_view opcode;                // with all modifiers
    std::vector<std::string_view> operands; // vectors in braces and addresses in brackets are one
    std::string_view text;
    int line = 0;      // of the PTX file
    int location = -1; // index into Module::locations
    int scope = 0;     // index into Entry::scopes
};

// Registers by the number of bits of a lane; a predicate has one.
enum class Width : std::uint8_t { predicate, bits16, bits32, bits64 };

// Braces may stand in a body, with registers of their own.
struct Scope {
    int parent = -1;
    std::map<std::string_view, Width> registers;                   // "%p1"
    std::map<std::string_view, std::pair<Width, unsigned>> ranges; // "%r<9>": "%r", below 9
};

struct Entry {
    std::string_view name;
    std::vector<Parameter> parameters;
    std::size_t parameter_bytes = 0;
    unsigned most_threads = 1024; // .maxntid
    std::vector<Scope> scopes;
    std::vector<Statement> statements;
    std::map<std::string_view, int> labels; // the statement that follows
};

struct Module {
    std::string path;
    std::string text;                 // what all views above point into
    unsigned target = 0;              // 90 of `.target sm_90`
    std::string_view shared_symbol;   // of the block's dynamic shared memory
    std::map<int, std::string> files; // of `.file`
    std::vector<Location> locations;
    std::vector<Entry> entries;
};

// Throws TextError.
std::unique_ptr<Module> parse_text(const std::string& path, std::string text);
std::unique_ptr<Module> read_module(const std::string& path);

// Cuts at commas outside of braces and brackets, and trims.
std::vector<std::string_view> split_operands(std::string_view text);

} // namespace ptx
