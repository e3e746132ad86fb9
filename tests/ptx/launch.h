// Runs one launch of a kernel: blocks one after another, or all at once when it is cooperative.
#pragma once

#include "tests/ptx/machine.h"

namespace ptx {

// Throws simt::Failure. Device memory is what simt::allocate gave out.
void run(Launch& launch);

} // namespace ptx
