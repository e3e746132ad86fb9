// The functions of this program by their addresses.
#pragma once

#include <string>

namespace ptx {

// The mangled name of the function that starts at `address`; empty if the program's symbol table
// has none.
std::string function_at(const void* address);

} // namespace ptx
