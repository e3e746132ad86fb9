#include "host/files/checksum.h"

#include <fmt/format.h>

#include <cstring>
#include <optional>
#include <string>
#include <string_view>

#include "data/crc.h"

namespace patchforge {

namespace {

constexpr std::size_t digits = 8;

// Where the digits begin. Quotes within names and texts are escaped, so this stands there once.
std::optional<std::size_t> place_of(std::span<const std::byte> file, std::size_t header_end) {
    const std::string_view header(reinterpret_cast<const char*>(file.data()), header_end);
    const std::string before = fmt::format("\"{}\":\"", checksum_key);
    const std::size_t found = header.find(before);
    if (found == std::string_view::npos || header_end - found - before.size() < digits) {
        return std::nullopt;
    }
    return found + before.size();
}

std::string checksum_of(std::span<const std::byte> file, std::size_t place) {
    const std::size_t rest = place + digits;
    const std::uint32_t before = crc_of(no_checksum, digits, crc_of(file.data(), place));
    return fmt::format("{:08x}", crc_of(file.data() + rest, file.size() - rest, before));
}

} // namespace

void seal(std::span<std::byte> file, std::size_t header_end) {
    const std::size_t place = place_of(file, header_end).value();
    std::memcpy(file.data() + place, checksum_of(file, place).data(), digits);
}

bool is_sealed(std::span<const std::byte> file, std::size_t header_end) {
    const auto place = place_of(file, header_end);
    return place &&
           std::memcmp(file.data() + *place, checksum_of(file, *place).data(), digits) == 0;
}

} // namespace patchforge
