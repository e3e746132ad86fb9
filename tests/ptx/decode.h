// From the text of an entry to the instructions that run.
#pragma once

#include "tests/ptx/machine.h"

namespace ptx {

// Throws TextError with file, line and opcode for what is not known.
Kernel decode(const Module& module, const Entry& entry);

// "adam_kernel" of a mangled name.
std::string readable_name(std::string_view mangled);

} // namespace ptx
