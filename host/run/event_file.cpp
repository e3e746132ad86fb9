#include "host/run/event_file.h"

#include <fmt/format.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <fcntl.h>
#include <stdexcept>
#include <unistd.h>

#include "data/new_files.h"

namespace patchforge {

namespace {

constexpr std::size_t pending_limit = 1 << 16;

constexpr std::array<std::uint32_t, 256> make_crc_table() {
    std::array<std::uint32_t, 256> table{};
    for (std::uint32_t i = 0; i < 256; ++i) {
        std::uint32_t rest = i;
        for (int bit = 0; bit < 8; ++bit) {
            rest = (rest >> 1) ^ (rest & 1 ? 0x82F63B78U : 0U); // 0x1EDC6F41 with its bits reversed
        }
        table[i] = rest;
    }
    return table;
}

// TensorFlow masks CRCs that are stored beside the data they cover.
std::uint32_t masked_crc(std::string_view bytes) {
    const std::uint32_t crc = crc32c(bytes);
    return ((crc >> 15) | (crc << 17)) + 0xA282EAD8U;
}

template <class T>
void append_raw(std::string& to, T value) {
    to.append(reinterpret_cast<const char*>(&value), sizeof value);
}

// Protocol buffers: a field is (number << 3 | wire type) and its payload; integers are varints.
enum WireType : std::uint32_t { varint = 0, fixed64 = 1, length_delimited = 2, fixed32 = 5 };

void append_varint(std::string& to, std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) {
        to += static_cast<char>(value | 0x80);
    }
    to += static_cast<char>(value);
}

void append_key(std::string& to, std::uint32_t field, WireType type) {
    append_varint(to, field << 3 | type);
}

void append_integer(std::string& to, std::uint32_t field, std::int64_t value) {
    append_key(to, field, varint);
    append_varint(to, static_cast<std::uint64_t>(value));
}

void append_bytes(std::string& to, std::uint32_t field, std::string_view bytes) {
    append_key(to, field, length_delimited);
    append_varint(to, bytes.size());
    to += bytes;
}

// Field numbers of the messages of TensorBoard's event.proto and summary.proto.
namespace event_field {
constexpr std::uint32_t wall_time = 1, step = 2, file_version = 3, summary = 5, session_log = 7;
}
namespace session_log_field {
constexpr std::uint32_t status = 1; // 1: START
}
namespace summary_field {
constexpr std::uint32_t value = 1;
}
namespace value_field {
constexpr std::uint32_t tag = 1, simple_value = 2, image = 4;
}
namespace image_field {
constexpr std::uint32_t height = 1, width = 2, colorspace = 3, encoded = 4;
}

std::string begin_event(double wall_time) {
    std::string bytes;
    append_key(bytes, event_field::wall_time, fixed64);
    append_raw(bytes, wall_time);
    return bytes;
}

std::string encode_event(double wall_time, std::int64_t step, std::string_view one_value) {
    std::string values;
    append_bytes(values, summary_field::value, one_value);
    std::string bytes = begin_event(wall_time);
    append_integer(bytes, event_field::step, step);
    append_bytes(bytes, event_field::summary, values);
    return bytes;
}

std::string encode_scalar(std::string_view tag, float number) {
    std::string bytes;
    append_bytes(bytes, value_field::tag, tag);
    append_key(bytes, value_field::simple_value, fixed32);
    append_raw(bytes, number);
    return bytes;
}

double now() {
    return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch())
        .count();
}

std::string host_name() {
    char name[256] = {};
    return ::gethostname(name, sizeof name - 1) == 0 && name[0] != '\0' ? name : "localhost";
}

} // namespace

std::uint32_t crc32c(std::string_view bytes) {
    static constexpr std::array<std::uint32_t, 256> table = make_crc_table();
    std::uint32_t crc = ~0U;
    for (const char byte : bytes) {
        crc = (crc >> 8) ^ table[(crc ^ static_cast<std::uint8_t>(byte)) & 0xFF];
    }
    return ~crc;
}

std::string event_record(std::string_view data) {
    std::string length;
    append_raw(length, static_cast<std::uint64_t>(data.size()));
    std::string record = length;
    append_raw(record, masked_crc(length));
    record += data;
    append_raw(record, masked_crc(data));
    return record;
}

std::string encode_version_event(double wall_time) {
    std::string bytes = begin_event(wall_time);
    append_bytes(bytes, event_field::file_version, "brain.Event:2");
    return bytes;
}

std::string encode_start_event(double wall_time, std::int64_t step) {
    std::string session;
    append_integer(session, session_log_field::status, 1);
    std::string bytes = begin_event(wall_time);
    append_integer(bytes, event_field::step, step);
    append_bytes(bytes, event_field::session_log, session);
    return bytes;
}

std::string encode_scalar_event(double wall_time, std::int64_t step, std::string_view tag,
                                float value) {
    return encode_event(wall_time, step, encode_scalar(tag, value));
}

EventFile::EventFile(const std::filesystem::path& folder) {
    static std::atomic<int> counter{0};
    const double time = now();
    path_ =
        folder / fmt::format("events.out.tfevents.{:010}.{}.{}.{}", static_cast<std::int64_t>(time),
                             host_name(), ::getpid(), counter++);
    tell_new_file(path_);
    descriptor_ = ::open(path_.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_APPEND | O_CLOEXEC, 0666);
    if (descriptor_ < 0) {
        throw std::runtime_error(
            fmt::format("{}: cannot create the file: {}; check that the folder exists and may be "
                        "written to",
                        path_.string(), std::strerror(errno)));
    }
    pending_ = event_record(encode_version_event(time));
}

EventFile::~EventFile() {
    try {
        flush();
    } catch (const std::exception&) { // a destructor must not throw
    }
    ::close(descriptor_);
}

void EventFile::start(std::int64_t step) {
    pending_ += event_record(encode_start_event(now(), step));
}

void EventFile::scalar(std::string_view tag, std::int64_t step, double value) {
    add(step, encode_scalar(tag, static_cast<float>(value)));
}

void EventFile::image(std::string_view tag, std::int64_t step, const Image& picture) {
    const std::vector<std::uint8_t> png = encode_png(picture);
    std::string message;
    append_integer(message, image_field::height, picture.height);
    append_integer(message, image_field::width, picture.width);
    append_integer(message, image_field::colorspace, picture.channels); // 1 grey, 3 RGB
    append_bytes(message, image_field::encoded,
                 std::string_view(reinterpret_cast<const char*>(png.data()), png.size()));
    std::string bytes;
    append_bytes(bytes, value_field::tag, tag);
    append_bytes(bytes, value_field::image, message);
    add(step, bytes);
}

void EventFile::add(std::int64_t step, std::string_view value) {
    pending_ += event_record(encode_event(now(), step, value));
    if (pending_.size() > pending_limit) {
        flush();
    }
}

void EventFile::flush() {
    std::string_view rest = pending_;
    while (!rest.empty()) {
        const ssize_t written = ::write(descriptor_, rest.data(), rest.size());
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written < 0) {
            const int error = errno;
            pending_.clear();
            throw std::runtime_error(
                fmt::format("{}: cannot write the file: {}; free some space and "
                            "go on with --resume",
                            path_.string(), std::strerror(error)));
        }
        rest.remove_prefix(static_cast<std::size_t>(written));
    }
    pending_.clear();
}

} // namespace patchforge
