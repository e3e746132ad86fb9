// The shipped PTX in place of the kernels' text: every launch of the program runs the entry that
// nvcc made of the same kernel.
#pragma once

#include "tests/ptx/machine.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace ptx {

// All entries of the .ptx files of one architecture, each decoded when it is first launched.
class Library {
  public:
    // Reads every .ptx file below `folder`. Throws TextError; also if two entries have one name.
    explicit Library(const std::string& folder);
    explicit Library(std::vector<std::unique_ptr<Module>> modules);

    // By the name that g++ gives the kernel; null if there is none.
    const Kernel* find(const std::string& name);
    const std::vector<std::unique_ptr<Module>>& modules() const { return modules_; }
    // The names of entries that were never asked for.
    std::vector<std::string> unused() const;

  private:
    struct Held {
        const Module* module;
        const Entry* entry;
        std::optional<Kernel> kernel;
    };
    void add(const Module& module);
    std::vector<std::unique_ptr<Module>> modules_;
    std::map<std::string, Held> entries_;
};

// nvcc names an anonymous namespace after the file, g++ does not; all else is the same.
std::string host_name(std::string_view device_name);

// Checks limits and arguments against the entry, then runs it. Throws simt::Failure.
void launch(const Kernel& kernel, const simt::LaunchGeometry& geometry,
            const std::vector<simt::KernelArgument>& arguments);
// The PTX that $PATCHFORGE_PTX names (engine_start.cpp).
Library& shipped_library();
// Entries that are found here are run instead of the shipped ones; null: none.
void run_instead(Library* library);

// Of all launches since the program started: instructions of warps, and the processor's time for them.
struct Executed {
    std::uint64_t instructions = 0;
    double seconds = 0;
};
Executed executed();

} // namespace ptx
