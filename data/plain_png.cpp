#include "data/plain_png.h"

#ifdef PATCHFORGE_DEFLATE
#include <libdeflate.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#endif

namespace patchforge {

#ifdef PATCHFORGE_DEFLATE

namespace {

using Bytes = std::span<const std::uint8_t>;

std::uint32_t big_endian(const std::uint8_t* bytes) {
    return std::uint32_t{bytes[0]} << 24 | bytes[1] << 16 | bytes[2] << 8 | bytes[3];
}

/// What the chunks of a plain file say; `packed` is the compressed rows.
struct Content {
    std::uint32_t width = 0, height = 0;
    int samples = 0; // a pixel
    Bytes packed;
};

/// The header: 8 bits, grey (0) or RGB (2), and the only method, filter set and order there is.
bool read_header(Bytes data, Content& content) {
    if (data.size() != 13 || data[8] != 8 || (data[9] != 0 && data[9] != 2) || data[10] != 0 ||
        data[11] != 0 || data[12] != 0) {
        return false;
    }
    content.width = big_endian(data.data());
    content.height = big_endian(data.data() + 4);
    content.samples = data[9] == 0 ? 1 : 3;
    return content.width > 0 && content.height > 0 && content.width <= 1u << 16 &&
           content.height <= 1u << 16 &&
           std::int64_t{content.width} * content.height <= max_picture_pixels;
}

/// Compressed rows in several chunks are joined in `joined`.
bool read_chunks(Bytes bytes, Content& content, std::vector<std::uint8_t>& joined) {
    constexpr std::size_t around = 12; // length, type and sum of a chunk
    bool closed = false;               // another chunk came after the rows
    joined.clear();
    for (std::size_t at = 8; at + around <= bytes.size();) {
        const std::uint32_t length = big_endian(bytes.data() + at);
        if (length > bytes.size() - at - around) {
            return false;
        }
        const std::uint8_t* const type = bytes.data() + at + 4;
        const Bytes data = bytes.subspan(at + 8, length);
        const bool first = at == 8;
        if (libdeflate_crc32(0, type, length + 4) != big_endian(type + 4 + length)) {
            return false;
        }
        at += around + length;
        const auto is = [&](const char* name) { return std::memcmp(type, name, 4) == 0; };
        if (first != is("IHDR")) {
            return false;
        }
        if (first) {
            if (!read_header(data, content)) {
                return false;
            }
        } else if (is("IEND")) {
            return !content.packed.empty();
        } else if (is("IDAT")) {
            if (closed) {
                return false;
            }
            if (!content.packed.empty()) {
                if (joined.empty()) {
                    joined.assign(content.packed.begin(), content.packed.end());
                }
                joined.insert(joined.end(), data.begin(), data.end());
            }
            content.packed = joined.empty() ? data : Bytes(joined);
        } else if ((type[0] & 0x20) == 0 || is("tRNS")) {
            return false; // has to be understood
        } else {
            closed = !content.packed.empty();
        }
    }
    return false;
}

/// Left, above or above left, whichever is nearest to left + above - above left.
std::uint8_t nearest_of(int left, int above, int above_left) {
    const int to_left = std::abs(above - above_left);
    const int to_above = std::abs(left - above_left);
    const int to_above_left = std::abs(left + above - 2 * above_left);
    const int nearer = to_above < to_left ? above : left;
    return static_cast<std::uint8_t>(to_above_left < std::min(to_left, to_above) ? above_left
                                                                                 : nearer);
}

/// Adds what the row's filter predicted; `above` is the row before, zeros ahead of the first.
template <int step>
bool undo_filter(int filter, std::uint8_t* row, const std::uint8_t* above, std::size_t size) {
    const auto add = [&](const auto& predicted) {
        for (std::size_t i = 0; i < size; ++i) {
            row[i] = static_cast<std::uint8_t>(row[i] + predicted(i, i >= step));
        }
    };
    switch (filter) {
    case 0:
        return true;
    case 1:
        add([&](std::size_t i, bool inner) { return inner ? row[i - step] : 0; });
        return true;
    case 2:
        add([&](std::size_t i, bool) { return above[i]; });
        return true;
    case 3:
        add([&](std::size_t i, bool inner) {
            return ((inner ? row[i - step] : 0) + above[i]) / 2;
        });
        return true;
    case 4:
        add([&](std::size_t i, bool inner) {
            return inner ? nearest_of(row[i - step], above[i], above[i - step]) : above[i];
        });
        return true;
    default:
        return false;
    }
}

/// A row of interleaved samples into the planes of the image.
void store_row(Image& image, std::size_t y, const std::uint8_t* row, int samples) {
    const auto width = static_cast<std::size_t>(image.width);
    const std::size_t plane = width * image.height;
    std::uint8_t* const to = image.pixels.data() + y * width;
    for (std::size_t x = 0; x < width; ++x) {
        const std::uint8_t* const p = row + x * samples;
        if (image.channels == 1) {
            to[x] = samples == 1 ? p[0] : grey_of(p[0], p[1], p[2]);
        } else {
            to[x] = p[0];
            to[plane + x] = p[samples == 1 ? 0 : 1];
            to[2 * plane + x] = p[samples == 1 ? 0 : 2];
        }
    }
}

struct Inflater {
    libdeflate_decompressor* const handle = libdeflate_alloc_decompressor();
    Inflater() = default;
    Inflater(const Inflater&) = delete;
    Inflater& operator=(const Inflater&) = delete;
    ~Inflater() { libdeflate_free_decompressor(handle); }
};

} // namespace

bool reads_plain_png() {
    return true;
}

bool decode_plain_png(Bytes bytes, int channels, Image& image) {
    thread_local const Inflater inflater;
    thread_local std::vector<std::uint8_t> joined, rows;
    Content content;
    if (!inflater.handle || !read_chunks(bytes, content, joined)) {
        return false;
    }
    const std::size_t row_bytes = std::size_t{content.width} * content.samples;
    const std::size_t size = (row_bytes + 1) * content.height;
    // Deflate shrinks at most 1032 times: a small file takes no memory for a large picture.
    if (size / 1032 > bytes.size()) {
        return false;
    }
    // A row of zeros stands above the first.
    rows.resize(row_bytes + size);
    std::fill_n(rows.begin(), row_bytes, std::uint8_t{0});
    if (libdeflate_zlib_decompress(inflater.handle, content.packed.data(), content.packed.size(),
                                   rows.data() + row_bytes, size, nullptr) != LIBDEFLATE_SUCCESS) {
        return false;
    }
    image.width = static_cast<int>(content.width);
    image.height = static_cast<int>(content.height);
    image.channels = channels;
    image.pixels.resize(std::size_t{content.width} * content.height * channels);
    const std::uint8_t* above = rows.data();
    std::uint8_t* row = rows.data() + row_bytes;
    for (std::size_t y = 0; y < content.height; ++y) {
        const int filter = *row++;
        if (!(content.samples == 1 ? undo_filter<1>(filter, row, above, row_bytes)
                                   : undo_filter<3>(filter, row, above, row_bytes))) {
            return false;
        }
        store_row(image, y, row, content.samples);
        above = row;
        row += row_bytes;
    }
    if (rows.capacity() > (1u << 22)) {
        std::vector<std::uint8_t>().swap(rows);
        std::vector<std::uint8_t>().swap(joined);
    }
    return true;
}

#else

bool reads_plain_png() {
    return false;
}

bool decode_plain_png(std::span<const std::uint8_t>, int, Image&) {
    return false;
}

#endif

} // namespace patchforge
