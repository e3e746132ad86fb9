#include "data/idx.h"

#include "data/big_endian.h"
#include "data/read_bytes.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>

namespace patchforge {

namespace {

[[noreturn]] void fail(const std::string& name, const std::string& what) {
    throw std::runtime_error(
        fmt::format("{}: {}; fetch the file again or check that it is an IDX file", name, what));
}

/// Delivers the next bytes of a plain or gzip-compressed input.
class Source {
  public:
    Source(std::span<const std::uint8_t> bytes, const std::string& name)
        : rest_(bytes), name_(name),
          compressed_(bytes.size() >= 2 && bytes[0] == 0x1f && bytes[1] == 0x8b) {
        if (compressed_) {
            stream_.next_in = const_cast<Bytef*>(bytes.data());
            stream_.avail_in = static_cast<uInt>(bytes.size());
            if (inflateInit2(&stream_, 16 + MAX_WBITS) != Z_OK) { // 16: gzip header expected
                throw std::bad_alloc();
            }
        }
    }
    ~Source() {
        if (compressed_) {
            inflateEnd(&stream_);
        }
    }
    Source(const Source&) = delete;
    Source& operator=(const Source&) = delete;

    /// The number of bytes stored, less than count only at the end of the input.
    std::size_t read(std::uint8_t* target, std::size_t count) {
        if (!compressed_) {
            const std::size_t taken = std::min(count, rest_.size());
            std::copy_n(rest_.data(), taken, target);
            rest_ = rest_.subspan(taken);
            return taken;
        }
        stream_.next_out = target;
        stream_.avail_out = static_cast<uInt>(count);
        while (stream_.avail_out > 0 && !ended_) {
            const int status = inflate(&stream_, Z_NO_FLUSH);
            if (status == Z_STREAM_END) {
                ended_ = true;
            } else if (status == Z_BUF_ERROR ||
                       (status == Z_OK && stream_.avail_in == 0 && stream_.avail_out > 0)) {
                fail(name_, "the compressed data ends early");
            } else if (status != Z_OK) {
                fail(name_, fmt::format("the compressed data is damaged ({})",
                                        stream_.msg ? stream_.msg : "zlib"));
            }
        }
        return count - stream_.avail_out;
    }

    /// True when nothing follows; for gzip the checksum at the end has then been checked too.
    bool at_end() {
        std::uint8_t extra;
        return read(&extra, 1) == 0 && (!compressed_ || stream_.avail_in == 0);
    }

  private:
    std::span<const std::uint8_t> rest_;
    const std::string& name_;
    const bool compressed_;
    bool ended_ = false;
    z_stream stream_ = {};
};

/// The classes in a table of int32, which are the first of its columns.
void read_first_column(Source& source, IdxArray& array, const std::string& name) {
    const std::int64_t columns = array.sizes.size() == 2 ? array.sizes[1] : 1;
    if (columns < 1 || columns > 1024) {
        fail(name, fmt::format("a table of {} columns, 1 to 1024 are read", columns));
    }
    array.sizes.resize(1);
    std::vector<std::uint8_t> row(static_cast<std::size_t>(4 * columns));
    for (std::int64_t r = 0; r < array.sizes[0]; ++r) {
        if (source.read(row.data(), row.size()) < row.size()) {
            fail(name, fmt::format("truncated: {} of {} rows are there", r, array.sizes[0]));
        }
        const std::int64_t value = big_endian(row.data());
        if (value > 255) { // a negative one has the highest bit
            fail(name, fmt::format("row {} begins with {}, no class from 0 to 255", r,
                                   static_cast<std::int32_t>(value)));
        }
        array.values.push_back(static_cast<std::uint8_t>(value));
    }
}

} // namespace

IdxArray decode_idx(std::span<const std::uint8_t> bytes, const std::string& name) {
    Source source(bytes, name);
    std::uint8_t head[4];
    if (source.read(head, 4) != 4 || head[0] != 0 || head[1] != 0) {
        fail(name, "not an IDX file");
    }
    const bool table = head[2] == 0x0c && head[3] <= 2;
    if (head[2] != 8 && !table) {
        fail(name, fmt::format("IDX values of type 0x{:02x} in {} dimensions; bytes (0x08) are "
                               "read, and int32 (0x0c) "
                               "in one or two, whose first column is the class",
                               head[2], head[3]));
    }
    if (head[3] < 1 || head[3] > 4) {
        fail(name, fmt::format("IDX file of {} dimensions, 1 to 4 are read", head[3]));
    }
    IdxArray array;
    std::int64_t total = 1;
    for (int d = 0; d < head[3]; ++d) {
        std::uint8_t b[4];
        if (source.read(b, 4) != 4) {
            fail(name, "the header ends early");
        }
        const std::int64_t size = big_endian(b);
        if (size > max_idx_values || (size > 0 && total > max_idx_values / size)) {
            fail(name, "the header promises more than 2^30 values");
        }
        array.sizes.push_back(size);
        total *= size;
    }
    if (table) {
        read_first_column(source, array, name);
    }
    // Grown as data arrives: a header alone cannot make it take a gigabyte.
    constexpr std::size_t step = std::size_t{1} << 22;
    while (!table && array.values.size() < static_cast<std::size_t>(total)) {
        const std::size_t old = array.values.size();
        const std::size_t wanted = std::min(step, static_cast<std::size_t>(total) - old);
        array.values.resize(old + wanted);
        const std::size_t got = source.read(array.values.data() + old, wanted);
        if (got < wanted) {
            fail(name, fmt::format("truncated: {} of {} values are there", old + got, total));
        }
    }
    if (!source.at_end()) {
        fail(name, "bytes follow after the last value");
    }
    return array;
}

IdxArray read_idx(const std::filesystem::path& path) {
    return decode_idx(read_bytes(path, static_cast<std::uint64_t>(max_idx_values) + 64),
                      path.string());
}

} // namespace patchforge
