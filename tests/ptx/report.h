// What a report says of a place: the line of the source and the line of the PTX.
#pragma once

#include "tests/ptx/machine.h"

namespace ptx {

// "kernels/cuda/adam.cu:47": the innermost place that is neither a wrapper nor the toolkit's.
std::string source_line(const Module& module, int location);
// "build/ptx/sm_90/kernels/cuda/adam.cu.ptx:812: ld.global.f32 %f1, [%rd3]"
std::string ptx_line(const Kernel& kernel, const Instruction& instruction);
std::string describe(dim3 block);

} // namespace ptx
