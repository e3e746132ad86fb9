#include "tests/simt/runtime/symbols.h"

#include <fmt/format.h>
#include <link.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>

namespace simt {

std::uintptr_t load_address() {
    std::uintptr_t address = 0;
    dl_iterate_phdr(
        [](dl_phdr_info* info, std::size_t, void* result) {
            *static_cast<std::uintptr_t*>(result) = info->dlpi_addr;
            return 1; // the first entry is the program itself
        },
        &address);
    return address;
}

namespace {

bool is_wrapper(const std::string& place) {
    for (const char* name :
         {"tests/simt/include/", "kernels/cuda/device.h", "kernels/cuda/instructions.h"}) {
        if (place.find(name) != std::string::npos) {
            return true;
        }
    }
    return false;
}

std::string without_root(std::string place) {
    const std::string root = std::filesystem::current_path().string() + "/";
    if (place.starts_with(root)) {
        place.erase(0, root.size());
    }
    return place.starts_with("./") ? place.substr(2) : place;
}

} // namespace

std::string source_of(const void* pc) {
    const auto address = reinterpret_cast<std::uintptr_t>(pc) - 1 - load_address();
    const std::string program = std::filesystem::read_symlink("/proc/self/exe").string();
    const std::string command =
        fmt::format("addr2line -i -e '{}' {:#x} 2>/dev/null", program, address);
    std::unique_ptr<std::FILE, int (*)(std::FILE*)> pipe(popen(command.c_str(), "r"), pclose);
    std::string outermost;
    std::array<char, 1024> line;
    while (pipe && std::fgets(line.data(), line.size(), pipe.get())) {
        std::string place = line.data();
        place.erase(place.find_last_not_of("\n") + 1);
        place = place.substr(0, place.find(" (discriminator"));
        if (place.starts_with("??")) {
            break;
        }
        outermost = without_root(place);
        if (!is_wrapper(place)) {
            break;
        }
    }
    return outermost.empty() ? fmt::format("address {:#x}", address) : outermost;
}

} // namespace simt
