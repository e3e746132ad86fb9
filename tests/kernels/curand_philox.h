// NVIDIA's own Philox4x32-10, where the CUDA toolkit is on the machine: an implementation that this
// project did not write.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

namespace patchforge::testing {

// Nothing when the tests were built without cuRAND's headers.
std::optional<std::array<std::uint32_t, 4>> curand_philox(std::array<std::uint32_t, 4> counter,
                                                          std::array<std::uint32_t, 2> key);

} // namespace patchforge::testing
