#include "host/page/base64.h"

namespace patchforge {

std::string base64(std::span<const std::uint8_t> bytes) {
    static constexpr char digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string text;
    text.reserve((bytes.size() + 2) / 3 * 4);
    for (std::size_t i = 0; i < bytes.size(); i += 3) {
        const std::size_t here = bytes.size() - i;
        const std::uint32_t group =
            bytes[i] << 16 | (here > 1 ? bytes[i + 1] << 8 : 0) | (here > 2 ? bytes[i + 2] : 0);
        text += digits[group >> 18];
        text += digits[group >> 12 & 63];
        text += here > 1 ? digits[group >> 6 & 63] : '=';
        text += here > 2 ? digits[group & 63] : '=';
    }
    return text;
}

} // namespace patchforge
