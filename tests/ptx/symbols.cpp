#include "tests/ptx/symbols.h"

#include "tests/simt/runtime/symbols.h"

#include <elf.h>
#include <link.h>

#include <cstdint>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <unordered_map>
#include <vector>

namespace ptx {

namespace {

using Names = std::unordered_map<std::uintptr_t, std::string>;

// From the symbol table of the file: kernels in anonymous namespaces are in no other.
Names read_names() {
    std::ifstream file("/proc/self/exe", std::ios::binary);
    const std::vector<char> image{std::istreambuf_iterator<char>(file), {}};
    const char* start = image.data();
    const auto* header = reinterpret_cast<const ElfW(Ehdr)*>(start);
    const auto* sections = reinterpret_cast<const ElfW(Shdr)*>(start + header->e_shoff);
    const std::uintptr_t base = simt::load_address();
    Names names;
    for (unsigned s = 0; s < header->e_shnum; ++s) {
        if (sections[s].sh_type != SHT_SYMTAB) {
            continue;
        }
        const char* strings = start + sections[sections[s].sh_link].sh_offset;
        const auto* symbols = reinterpret_cast<const ElfW(Sym)*>(start + sections[s].sh_offset);
        for (std::size_t n = 0; n < sections[s].sh_size / sizeof *symbols; ++n) {
            const bool function = ELF64_ST_TYPE(symbols[n].st_info) == STT_FUNC;
            if (function && symbols[n].st_shndx != SHN_UNDEF) {
                names.emplace(base + symbols[n].st_value, strings + symbols[n].st_name);
            }
        }
    }
    if (names.empty()) {
        throw std::runtime_error("this program has no symbol table: kernels cannot be told apart; "
                                 "do not strip it");
    }
    return names;
}

} // namespace

std::string function_at(const void* address) {
    static const Names names = read_names();
    const auto found = names.find(reinterpret_cast<std::uintptr_t>(address));
    return found == names.end() ? std::string() : found->second;
}

} // namespace ptx
