#include "tests/ptx/report.h"

#include "tests/ptx/decode.h"

#include <cxxabi.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <memory>

namespace ptx {

namespace {

std::string relative(const std::string& path) {
    const auto plain = std::filesystem::path(path).lexically_normal();
    const auto here = plain.lexically_relative(std::filesystem::current_path());
    const bool below = !here.empty() && *here.begin() != "..";
    return (below ? here : plain).string();
}

// The toolkit's headers lie in its folder "targets".
bool is_wrapper(const std::string& path) {
    return path.ends_with("kernels/cuda/device.h") ||
           path.ends_with("kernels/cuda/instructions.h") ||
           path.find("/targets/") != std::string::npos;
}

// "0-31, 40" of the threads of a warp.
std::string threads_of(const Warp& warp, Mask mask) {
    std::string text;
    for (unsigned l = 0; l < lanes; ++l) {
        unsigned last = l;
        if (!(mask >> l & 1)) {
            continue;
        }
        while (last + 1 < lanes && (mask >> (last + 1) & 1)) {
            ++last;
        }
        text += fmt::format("{}{}", text.empty() ? "" : ", ", lanes * warp.index + l);
        if (last > l) {
            text += fmt::format("-{}", lanes * warp.index + last);
        }
        l = last;
    }
    return text;
}

} // namespace

std::string readable_name(std::string_view mangled) {
    int status = 0;
    const std::unique_ptr<char, decltype(&std::free)> text(
        abi::__cxa_demangle(std::string(mangled).c_str(), nullptr, nullptr, &status), &std::free);
    if (!text) {
        return std::string(mangled);
    }
    std::string name = text.get();
    // "void a::b::kernel<true>(float*)": what stands before the first bracket, after the last "::".
    // The name of an anonymous namespace has brackets of its own.
    for (const std::string anonymous = "(anonymous namespace)::";;) {
        const auto at = name.find(anonymous);
        if (at == std::string::npos) {
            break;
        }
        name.erase(at, anonymous.size());
    }
    const auto end = name.find_first_of("<(");
    name = name.substr(0, end);
    const auto colons = name.rfind("::");
    return colons == std::string::npos ? name : name.substr(colons + 2);
}

std::string source_line(const Module& module, int location) {
    std::string outermost;
    while (location >= 0) {
        const Location& place = module.locations[static_cast<std::size_t>(location)];
        const auto file = module.files.find(place.file);
        const std::string path = file == module.files.end() ? "?" : file->second;
        outermost = fmt::format("{}:{}", relative(path), place.line);
        if (!is_wrapper(path)) {
            break;
        }
        location = place.inlined_at;
    }
    return outermost.empty() ? "no line of the source" : outermost;
}

std::string ptx_line(const Kernel& kernel, const Instruction& instruction) {
    const Statement& statement = kernel.entry->statements[instruction.statement];
    std::string text(statement.text);
    std::replace_if(
        text.begin(), text.end(), [](char c) { return c == '\t' || c == '\n'; }, ' ');
    return fmt::format("{}:{}: {}", relative(kernel.module->path), statement.line, text);
}

std::string describe(dim3 block) {
    return fmt::format("({},{},{})", block.x, block.y, block.z);
}

void fail(const Warp& warp, const Instruction& instruction, simt::Finding finding, Mask mask,
          const std::string& what) {
    const Kernel& kernel = *warp.block->launch->kernel;
    const Statement& statement = kernel.entry->statements[instruction.statement];
    throw simt::Failure(finding, fmt::format("{}: {}: kernel {}, block {}, threads {}: {}; {}",
                                             source_line(*kernel.module, statement.location),
                                             simt::name_of(finding), kernel.name,
                                             describe(warp.block->index), threads_of(warp, mask),
                                             what, ptx_line(kernel, instruction)));
}

} // namespace ptx
