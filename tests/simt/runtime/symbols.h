// Where in the sources a machine instruction comes from.
#pragma once

#include <cstdint>
#include <string>

namespace simt {

// Where the program was loaded: what has to be added to addresses in its file.
std::uintptr_t load_address();

// "kernels/cuda/adam.cu:47" for the instruction before `pc`: the place in the kernel, not in the
// wrappers it went through. Asks addr2line (binutils); without it, the address alone.
std::string source_of(const void* pc);

} // namespace simt
