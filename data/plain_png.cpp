#include "data/plain_png.h"

#include "data/crc.h"
#include "data/deflate.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace patchforge {

namespace {

using Bytes = std::span<const std::uint8_t>;

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
        if (crc_of(type, length + 4) != big_endian(type + 4 + length)) {
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

/// Left, above or above left, whichever is nearest to left + above - above left. Without branches and in 16 bits, so
/// that whole rows are done at once.
int nearest_of(int left, int above, int above_left) {
    const auto to_left = static_cast<std::int16_t>(std::abs(above - above_left));
    const auto to_above = static_cast<std::int16_t>(std::abs(left - above_left));
    const auto to_above_left = static_cast<std::int16_t>(std::abs(left + above - 2 * above_left));
    const int nearer = left ^ ((left ^ above) & -(to_above < to_left));
    return nearer ^ ((nearer ^ above_left) & -(to_above_left < std::min(to_left, to_above)));
}

constexpr int filters = 5;

/// Calls use(i, what the filter predicts of byte i) for a row of `size` bytes, in order; `above` is the row before,
/// zeros ahead of the first, and `step` the bytes of a pixel.
template <std::size_t step, class Use>
void predict_row(int filter, const std::uint8_t* row, const std::uint8_t* above, std::size_t size,
                 const Use& use) {
    const auto each = [&](const auto& predicted) {
        for (std::size_t i = 0; i < step; ++i) {
            use(i, predicted(0, above[i], 0));
        }
        for (std::size_t i = step; i < size; ++i) {
            use(i, predicted(row[i - step], above[i], above[i - step]));
        }
    };
    switch (filter) {
    case 0:
        return each([](int, int, int) { return 0; });
    case 1:
        return each([](int left, int, int) { return left; });
    case 2:
        return each([](int, int up, int) { return up; });
    case 3:
        return each([](int left, int up, int) { return (left + up) / 2; });
    default:
        return each(nearest_of);
    }
}

template <std::size_t step>
void undo_filter(int filter, std::uint8_t* row, const std::uint8_t* above, std::size_t size) {
    predict_row<step>(filter, row, above, size, [&](std::size_t i, int predicted) {
        row[i] = static_cast<std::uint8_t>(row[i] + predicted);
    });
}

/// The best filter and what it leaves, into 1 + size bytes at `best`; `tried` holds as many.
template <std::size_t step>
void filter_row(const std::uint8_t* row, const std::uint8_t* above, std::size_t size,
                std::uint8_t* best, std::uint8_t* tried) {
    std::uint32_t least = 0;
    for (int filter = 0; filter < filters; ++filter) {
        std::uint8_t* const left = tried + 1;
        predict_row<step>(filter, row, above, size, [&](std::size_t i, int predicted) {
            left[i] = static_cast<std::uint8_t>(row[i] - predicted);
        });
        std::uint32_t sum = 0;
        for (std::size_t i = 0; i < size; ++i) {
            sum += static_cast<std::uint32_t>(std::abs(static_cast<std::int8_t>(left[i])));
        }
        if (filter == 0 || sum < least) {
            least = sum;
            tried[0] = static_cast<std::uint8_t>(filter);
            std::copy_n(tried, 1 + size, best);
        }
    }
}

void append_number(std::vector<std::uint8_t>& file, std::uint32_t number) {
    for (int shift = 24; shift >= 0; shift -= 8) {
        file.push_back(static_cast<std::uint8_t>(number >> shift));
    }
}

void append_chunk(std::vector<std::uint8_t>& file, std::string_view type, Bytes data) {
    append_number(file, static_cast<std::uint32_t>(data.size()));
    file.insert(file.end(), type.begin(), type.end());
    file.insert(file.end(), data.begin(), data.end());
    const std::size_t summed = type.size() + data.size();
    append_number(file, crc_of(file.data() + file.size() - summed, summed));
}

} // namespace

bool decode_plain_png(Bytes bytes, int channels, Image& image) {
    thread_local std::vector<std::uint8_t> joined, rows;
    Content content;
    if (!read_chunks(bytes, content, joined)) {
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
    if (!inflate_whole(content.packed, std::span(rows).subspan(row_bytes))) {
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
        if (filter >= filters) {
            return false;
        }
        content.samples == 1 ? undo_filter<1>(filter, row, above, row_bytes)
                             : undo_filter<3>(filter, row, above, row_bytes);
        store_pixels(image, y * content.width, row, content.width, content.samples);
        above = row;
        row += row_bytes;
    }
    if (rows.capacity() > (1u << 22)) {
        std::vector<std::uint8_t>().swap(rows);
        std::vector<std::uint8_t>().swap(joined);
    }
    return true;
}

std::vector<std::uint8_t> encode_plain_png(const Image& image) {
    const auto width = static_cast<std::size_t>(image.width);
    const auto height = static_cast<std::size_t>(image.height);
    const auto samples = static_cast<std::size_t>(image.channels);
    const std::size_t row_bytes = width * samples;
    std::vector<std::uint8_t> filtered((1 + row_bytes) * height), tried(1 + row_bytes);
    std::vector<std::uint8_t> row(row_bytes), above(row_bytes); // which is zeros ahead of the first
    for (std::size_t y = 0; y < height; ++y) {
        for (std::size_t c = 0; c < samples; ++c) {
            const std::uint8_t* const from = image.pixels.data() + (c * height + y) * width;
            for (std::size_t x = 0; x < width; ++x) {
                row[x * samples + c] = from[x];
            }
        }
        std::uint8_t* const best = filtered.data() + y * (1 + row_bytes);
        samples == 1 ? filter_row<1>(row.data(), above.data(), row_bytes, best, tried.data())
                     : filter_row<3>(row.data(), above.data(), row_bytes, best, tried.data());
        row.swap(above);
    }
    const std::vector<std::uint8_t> stream = deflate_whole(filtered);

    std::vector<std::uint8_t> file(png_signature, png_signature + sizeof png_signature);
    file.reserve(stream.size() + 128);
    std::vector<std::uint8_t> header;
    append_number(header, static_cast<std::uint32_t>(width));
    append_number(header, static_cast<std::uint32_t>(height));
    // 8 bits; grey or RGB; the only method, filter set and order that read_header() takes, too
    for (const int value : {8, samples == 1 ? 0 : 2, 0, 0, 0}) {
        header.push_back(static_cast<std::uint8_t>(value));
    }
    append_chunk(file, "IHDR", header);
    const std::string_view text = png_mark.substr(4);
    append_chunk(file, png_mark.substr(0, 4),
                 {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
    constexpr std::size_t most = std::size_t{1} << 30; // a chunk holds less than 2^31 bytes
    for (std::size_t at = 0; at < stream.size(); at += most) {
        append_chunk(file, "IDAT", Bytes(stream).subspan(at, std::min(most, stream.size() - at)));
    }
    append_chunk(file, "IEND", {});
    return file;
}

} // namespace patchforge
