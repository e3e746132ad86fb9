#include "tests/simt/runtime/poison.h"

#include <bit>
#include <cstring>

namespace simt {

namespace {

std::uint64_t poison_at(const std::byte* address) {
    const auto shift = 8 * (reinterpret_cast<std::uintptr_t>(address) % 4);
    const std::uint64_t twice = (std::uint64_t{poison_word} << 32) | poison_word;
    return std::rotr(twice, static_cast<int>(shift));
}

} // namespace

void poison(std::byte* from, std::size_t bytes) {
    const std::uint64_t pattern = poison_at(from);
    std::size_t done = 0;
    for (; done + 8 <= bytes; done += 8) {
        std::memcpy(from + done, &pattern, 8);
    }
    std::memcpy(from + done, &pattern, bytes - done);
}

const std::byte* first_changed(const std::byte* from, const std::byte* to) {
    const std::uint64_t pattern = poison_at(from);
    while (to - from >= 8 && std::memcmp(from, &pattern, 8) == 0) {
        from += 8;
    }
    for (; from < to; ++from) {
        if (*from != static_cast<std::byte>(poison_at(from) & 0xff)) {
            return from;
        }
    }
    return to;
}

} // namespace simt
