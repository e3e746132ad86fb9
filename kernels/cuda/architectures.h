// For which GPUs this program brings machine code, and which get theirs from the driver.
#pragma once

#include <string>
#include <vector>

namespace patchforge::cuda {

// As nvcc names them: 800 for compute capability 8.0. The newest is there as PTX, too.
std::vector<int> compiled_architectures();

// Empty where machine code for one of `compiled` runs on compute capability major.minor: its own, or
// an earlier one of the same major version. Else what the driver does instead, and how to spare it.
std::string why_compiled_at_first(int major, int minor, const std::vector<int>& compiled);

} // namespace patchforge::cuda
