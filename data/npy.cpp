#include "data/npy.h"

#include "data/half_float.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <stdexcept>

namespace patchforge {

namespace {

constexpr std::uint8_t npy_signature[6] = {0x93, 'N', 'U', 'M', 'P', 'Y'};
constexpr std::int64_t max_values = std::int64_t{1} << 40;
constexpr std::size_t max_header_bytes = std::size_t{1} << 16;

[[noreturn]] void refuse(const std::string& name, const std::string& what) {
    throw std::runtime_error(
        fmt::format("{}: {}; save it as numpy.save writes an array of uint8", name, what));
}

/// Reads the header's Python literal: {'descr': '|u1', 'fortran_order': False, 'shape': (3, 4), }
class Literal {
  public:
    Literal(std::string_view text, const std::string& name) : rest_(text), name_(name) {}

    bool take(char wanted) {
        while (!rest_.empty() && (rest_.front() == ' ' || rest_.front() == '\n')) {
            rest_.remove_prefix(1);
        }
        const bool found = !rest_.empty() && rest_.front() == wanted;
        rest_.remove_prefix(found ? 1 : 0);
        return found;
    }
    void demand(char wanted) {
        if (!take(wanted)) {
            refuse(name_, "its header is not that of an array of numbers");
        }
    }
    std::string_view quoted() {
        const char quote = take('"') ? '"' : '\'';
        if (quote == '\'') {
            demand('\'');
        }
        const std::string_view text = rest_.substr(0, rest_.find(quote));
        rest_.remove_prefix(text.size());
        demand(quote);
        return text;
    }
    bool truth() {
        take(' ');
        for (const std::string_view word : {"True", "False"}) {
            if (rest_.starts_with(word)) {
                rest_.remove_prefix(word.size());
                return word == "True";
            }
        }
        refuse(name_, "its header is not that of an array of numbers");
    }
    std::vector<std::int64_t> tuple() {
        std::vector<std::int64_t> numbers;
        demand('(');
        while (!take(')')) {
            std::int64_t number = 0;
            const auto [end, error] =
                std::from_chars(rest_.data(), rest_.data() + rest_.size(), number);
            if (error != std::errc{} || number < 0) {
                refuse(name_, "the sizes in its header are no numbers");
            }
            numbers.push_back(number);
            rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
            if (!take(',')) {
                demand(')');
                break;
            }
        }
        return numbers;
    }

  private:
    std::string_view rest_;
    const std::string& name_;
};

void set_type(NpyHeader& header, std::string_view type, const std::string& name) {
    const auto among = [](char letter, std::string_view letters) {
        return letters.find(letter) != std::string_view::npos;
    };
    if (type.find_first_of("USO") != std::string_view::npos) {
        refuse(name,
               fmt::format("holds text or objects (type '{}'), where numbers are read: classes are "
                           "numbered by numpy.unique(y, return_inverse=True)[1]",
                           type));
    }
    const bool known = type.size() == 3 && among(type[0], "<>|=") && among(type[1], "buif") &&
                       among(type[2], "1248") && (type[1] != 'b' || type[2] == '1') &&
                       (type[1] != 'f' || type[2] >= '2');
    if (!known) {
        refuse(name, fmt::format("values of type '{}' are not read", type));
    }
    header.big_endian = type[0] == '>';
    header.kind = type[1];
    header.bytes_per_value = type[2] - '0';
}

template <class T>
T number_from(const std::uint8_t* bytes, bool big_endian) {
    std::uint8_t ordered[sizeof(T)];
    std::copy_n(bytes, sizeof(T), ordered);
    if (big_endian) {
        std::reverse(ordered, ordered + sizeof(T));
    }
    T value;
    std::memcpy(&value, ordered, sizeof value);
    return value;
}

} // namespace

bool is_npy(std::span<const std::uint8_t> bytes) {
    return bytes.size() >= sizeof npy_signature &&
           std::memcmp(bytes.data(), npy_signature, sizeof npy_signature) == 0;
}

std::int64_t NpyHeader::values() const {
    std::int64_t total = 1;
    for (const std::int64_t size : sizes) {
        total *= size;
    }
    return total;
}

NpyHeader read_npy_header(std::span<const std::uint8_t> head, const std::string& name) {
    if (!is_npy(head) || head.size() < 10) {
        refuse(name, "not a .npy file");
    }
    const int version = head[6];
    const std::size_t prefix = version == 1 ? 10 : 12;
    if (version < 1 || version > 3 || head.size() < prefix) {
        refuse(name, fmt::format("a .npy file of version {}, 1 to 3 are read", version));
    }
    std::size_t length = std::size_t{head[8]} | std::size_t{head[9]} << 8;
    if (version > 1) {
        length |= std::size_t{head[10]} << 16 | std::size_t{head[11]} << 24;
    }
    if (length > max_header_bytes || length > head.size() - prefix) {
        refuse(name, "its header ends early or is too long");
    }
    NpyHeader header;
    header.data_at = prefix + length;
    Literal literal({reinterpret_cast<const char*>(head.data()) + prefix, length}, name);
    bool type_told = false;
    literal.demand('{');
    while (!literal.take('}')) {
        const std::string_view key = literal.quoted();
        literal.demand(':');
        if (key == "descr") {
            set_type(header, literal.quoted(), name);
            type_told = true;
        } else if (key == "fortran_order") {
            header.by_columns = literal.truth();
        } else if (key == "shape") {
            header.sizes = literal.tuple();
        } else {
            refuse(name, fmt::format("its header has an unknown key '{}'", key));
        }
        if (!literal.take(',')) {
            literal.demand('}');
            break;
        }
    }
    if (!type_told || header.sizes.empty() || header.sizes.size() > 4) {
        refuse(name,
               fmt::format("an array of {} dimensions; 1 to 4 are read", header.sizes.size()));
    }
    std::int64_t total = 1;
    for (const std::int64_t size : header.sizes) {
        if (size > max_values || (size > 0 && total > max_values / size)) {
            refuse(name, "its header promises more than 2^40 values");
        }
        total *= size;
    }
    return header;
}

NpyArray::NpyArray(std::span<const std::uint8_t> bytes, std::string name)
    : header_(read_npy_header(bytes, name)), data_(bytes.subspan(header_.data_at)),
      name_(std::move(name)) {
    const auto wanted = static_cast<std::uint64_t>(header_.values()) *
                        static_cast<unsigned>(header_.bytes_per_value);
    if (data_.size() != wanted) {
        fail(fmt::format("{}: {} bytes of values instead of {}",
                         data_.size() < wanted ? "truncated" : "bytes were added", data_.size(),
                         wanted));
    }
}

void NpyArray::fail(const std::string& what) const {
    refuse(name_, what);
}

/// Where the value lies that is the i-th in the order of C.
std::int64_t NpyArray::place(std::int64_t i) const {
    if (!header_.by_columns) {
        return i;
    }
    std::int64_t at = 0;
    std::int64_t step = header_.values();
    for (auto size = header_.sizes.rbegin(); size != header_.sizes.rend(); ++size) {
        step /= *size;
        at += i % *size * step;
        i /= *size;
    }
    return at;
}

double NpyArray::value(std::int64_t i) const {
    const std::uint8_t* at = data_.data() + place(i) * header_.bytes_per_value;
    const bool big = header_.big_endian;
    switch (header_.kind) {
    case 'f':
        return header_.bytes_per_value == 2
                   ? double{half_float(number_from<std::uint16_t>(at, big))}
               : header_.bytes_per_value == 4 ? double{number_from<float>(at, big)}
                                              : number_from<double>(at, big);
    case 'i':
        switch (header_.bytes_per_value) {
        case 1:
            return number_from<std::int8_t>(at, big);
        case 2:
            return number_from<std::int16_t>(at, big);
        case 4:
            return number_from<std::int32_t>(at, big);
        default:
            return static_cast<double>(number_from<std::int64_t>(at, big));
        }
    default:
        switch (header_.bytes_per_value) {
        case 1:
            return *at;
        case 2:
            return number_from<std::uint16_t>(at, big);
        case 4:
            return number_from<std::uint32_t>(at, big);
        default:
            return static_cast<double>(number_from<std::uint64_t>(at, big));
        }
    }
}

void NpyArray::levels(std::int64_t first, std::span<std::uint8_t> target) {
    if (header_.kind == 'u' && header_.bytes_per_value == 1 && !header_.by_columns) {
        std::copy_n(data_.data() + first, target.size(), target.data());
        return;
    }
    if (scale_ == 0.0) {
        double most = 0.0;
        for (std::int64_t i = 0; i < header_.values(); ++i) {
            const double v = value(i);
            if (!(v >= 0.0 && v <= 255.0)) {
                fail(fmt::format("holds the value {}; levels lie in 0..255, or as floating point "
                                 "in 0..1",
                                 v));
            }
            most = std::max(most, v);
        }
        scale_ = header_.kind == 'b' || (header_.kind == 'f' && most <= 1.0) ? 255.0 : 1.0;
    }
    for (std::size_t i = 0; i < target.size(); ++i) {
        const double v = value(first + static_cast<std::int64_t>(i)) * scale_;
        target[i] = static_cast<std::uint8_t>(std::lround(std::min(v, 255.0)));
    }
}

std::vector<std::int64_t> NpyArray::whole_numbers() const {
    std::vector<std::int64_t> numbers;
    numbers.reserve(static_cast<std::size_t>(header_.values()));
    for (std::int64_t i = 0; i < header_.values(); ++i) {
        const double v = value(i);
        if (!(std::abs(v) < 1e15) || v != std::floor(v)) {
            fail(fmt::format("holds the value {}, which is no class number", v));
        }
        numbers.push_back(static_cast<std::int64_t>(v));
    }
    return numbers;
}

PictureShape picture_shape(std::span<const std::int64_t> sizes) {
    const auto is_colours = [](std::int64_t size) { return size == 1 || size == 3; };
    std::int64_t channels = 1;
    bool interleaved = false;
    if (sizes.size() == 3) {
        // (3, 3, 3) is taken for interleaved, as matplotlib and PIL take it.
        interleaved = is_colours(sizes[2]);
        channels = interleaved ? sizes[2] : sizes[0];
        sizes = interleaved ? sizes.first(2) : sizes.last(2);
    }
    if (sizes.size() != 2 || !is_colours(channels) || sizes[0] < 1 || sizes[1] < 1 ||
        sizes[0] > (1 << 16) || sizes[1] > (1 << 16) || sizes[0] * sizes[1] > max_picture_pixels) {
        return {};
    }
    return {static_cast<int>(channels), static_cast<int>(sizes[0]), static_cast<int>(sizes[1]),
            interleaved};
}

Image picture_from(std::vector<std::uint8_t> samples, const PictureShape& shape, int channels) {
    if (shape.interleaved || shape.channels == 1) {
        return planar(samples.data(), shape.width, shape.height, shape.channels, channels);
    }
    Image image{shape.width, shape.height, shape.channels, std::move(samples)};
    if (channels == 1) {
        const std::size_t plane = static_cast<std::size_t>(shape.width) * shape.height;
        for (std::size_t i = 0; i < plane; ++i) {
            image.pixels[i] =
                grey_of(image.pixels[i], image.pixels[plane + i], image.pixels[2 * plane + i]);
        }
        image.pixels.resize(plane);
        image.channels = 1;
    }
    return image;
}

namespace {

PictureShape one_picture(const NpyHeader& header, const std::string& name) {
    const PictureShape shape = picture_shape(header.sizes);
    if (shape.channels == 0) {
        throw PictureError(name, fmt::format("an array of {}, not of one picture",
                                             fmt::join(header.sizes, " x ")));
    }
    return shape;
}

/// PictureError with the reason of any other error, which begins with the name.
template <class Call>
auto as_picture_error(const std::string& name, Call call) {
    try {
        return call();
    } catch (const PictureError&) {
        throw;
    } catch (const std::runtime_error& error) {
        std::string reason = error.what();
        reason = reason.substr(std::min(reason.size(), name.size() + 2));
        throw PictureError(name, reason.substr(0, reason.find(';')));
    }
}

} // namespace

Image decode_npy_picture(std::span<const std::uint8_t> bytes, int channels,
                         const std::string& name) {
    check_channels(channels);
    return as_picture_error(name, [&] {
        NpyArray array(bytes, name);
        const PictureShape shape = one_picture(read_npy_header(bytes, name), name);
        std::vector<std::uint8_t> samples(static_cast<std::size_t>(shape.channels) * shape.height *
                                          shape.width);
        array.levels(0, samples);
        return picture_from(std::move(samples), shape, channels);
    });
}

PictureSize npy_picture_size(std::span<const std::uint8_t> head, const std::string& name) {
    return as_picture_error(name, [&] {
        const PictureShape shape = one_picture(read_npy_header(head, name), name);
        return PictureSize{shape.width, shape.height, shape.channels == 1};
    });
}

} // namespace patchforge
