// In a program that this is linked into, PATCHFORGE_PTX=<folder of one architecture's PTX> makes all
// kernels of kernels/cuda run as that PTX.
#include "tests/ptx/engine.h"
#include "tests/ptx/symbols.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace ptx {

namespace {

Library* instead = nullptr;

// A kernel that a test brings along has no PTX; those of kernels/cuda all have.
bool run_as_ptx(const simt::LaunchGeometry& geometry, const simt::ThreadBody& body) {
    const std::string name = function_at(body.kernel);
    const Kernel* kernel = instead ? instead->find(name) : nullptr;
    kernel = kernel ? kernel : shipped_library().find(name);
    if (kernel) {
        launch(*kernel, geometry, body.arguments);
    } else if (name.starts_with("_ZN10patchforge4cuda") || name.empty()) {
        throw TextError("kernel " + std::string(geometry.name) + ": no PTX has an entry " + name);
    }
    return kernel != nullptr;
}

// Kernels that no test launches are named where they are few: a run of some tests leaves out many.
void say_what_ran() {
    const auto unused = shipped_library().unused();
    const auto [instructions, seconds] = executed();
    std::printf("%.1f million instructions of warps in %.1f s, %.1f million a second; %zu kernels "
                "never launched\n",
                static_cast<double>(instructions) / 1e6, seconds,
                static_cast<double>(instructions) / 1e6 / std::max(seconds, 1e-9), unused.size());
    for (const std::string& name : unused.size() < 10 ? unused : std::vector<std::string>()) {
        std::printf("  never launched: %s\n", name.c_str());
    }
}

const bool started = [] {
    const bool asked = std::getenv("PATCHFORGE_PTX") != nullptr;
    if (asked) {
        simt::set_engine(run_as_ptx);
        std::atexit(say_what_ran);
    }
    return asked;
}();

} // namespace

Library& shipped_library() {
    const char* folder = std::getenv("PATCHFORGE_PTX");
    if (!folder) {
        throw TextError("PATCHFORGE_PTX names no folder of PTX; run build/tests/on-ptx-sm_90");
    }
    static Library& all = *new Library(folder); // say_what_ran comes last
    return all;
}

void run_instead(Library* library) {
    instead = library;
}

} // namespace ptx
