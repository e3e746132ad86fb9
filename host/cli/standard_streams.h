// Standard input, output and error as the program finds them.
#pragma once

#include <string>

namespace patchforge {

// Opens /dev/null where one of the three is closed: the next file to be opened would take its place
// and receive what is printed.
void open_standard_streams();

// Standard output, flushed. What went wrong with it so far; empty: nothing.
std::string output_fault();

// For a process whose output another shows: what it prints goes nowhere, but for print_anyway().
void silence_standard_streams();
void print_anyway(const std::string& text); // on standard error

} // namespace patchforge
