// What memory holds before anybody writes to it: a signalling NaN that no computation gives.
#pragma once

#include <cstddef>
#include <cstdint>

namespace simt {

inline constexpr std::uint32_t poison_word = 0x7fbadbad;

// The byte at each address depends on the address alone, so parts can be compared.
void poison(std::byte* from, std::size_t bytes);
// The first byte in [from, to) that is not poison; `to` if all are.
const std::byte* first_changed(const std::byte* from, const std::byte* to);

} // namespace simt
