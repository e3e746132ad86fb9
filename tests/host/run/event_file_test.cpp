#include "host/run/event_file.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <optional>

#include "tests/host/temporary_folder.h"

namespace patchforge {
namespace {

std::string hex(std::string_view bytes) {
    std::string text;
    for (const char byte : bytes) {
        char two[3];
        std::snprintf(two, sizeof two, "%02x", static_cast<unsigned char>(byte));
        text += two;
    }
    return text;
}

// CRC-32C one bit at a time, most significant first, on reversed bytes: another way than the
// program's table.
std::uint32_t reversed(std::uint32_t value, int bits) {
    std::uint32_t result = 0;
    for (int i = 0; i < bits; ++i) {
        result |= (value >> i & 1) << (bits - 1 - i);
    }
    return result;
}
std::uint32_t slow_crc32c(std::string_view bytes) {
    std::uint32_t rest = 0xFFFFFFFF;
    for (const char byte : bytes) {
        rest ^= reversed(static_cast<unsigned char>(byte), 8) << 24;
        for (int bit = 0; bit < 8; ++bit) {
            rest = rest & 0x80000000 ? rest << 1 ^ 0x1EDC6F41 : rest << 1;
        }
    }
    return ~reversed(rest, 32);
}
std::uint32_t slow_masked(std::string_view bytes) {
    const std::uint64_t crc = slow_crc32c(bytes);
    return static_cast<std::uint32_t>((crc >> 15 | (crc << 17 & 0xFFFFFFFF)) + 0xA282EAD8);
}

// A reader of its own: one protobuf message as (field, payload) pairs.
struct Message {
    explicit Message(std::string_view bytes) : rest(bytes) {}

    std::uint64_t varint() {
        std::uint64_t value = 0;
        for (int shift = 0;; shift += 7) {
            const auto byte = static_cast<unsigned char>(rest.at(0));
            rest.remove_prefix(1);
            value |= static_cast<std::uint64_t>(byte & 0x7F) << shift;
            if (byte < 0x80) {
                return value;
            }
        }
    }
    std::string_view take(std::size_t count) {
        if (count > rest.size()) {
            throw std::out_of_range("message ends early");
        }
        const std::string_view taken = rest.substr(0, count);
        rest.remove_prefix(count);
        return taken;
    }
    // The next field's payload into `number` or `bytes`; its number, or 0 at the end.
    std::uint64_t next() {
        if (rest.empty()) {
            return 0;
        }
        const std::uint64_t key = varint();
        switch (key & 7) {
        case 0:
            number = varint();
            break;
        case 1:
            bytes = take(8);
            break;
        case 2:
            bytes = take(varint());
            break;
        case 5:
            bytes = take(4);
            break;
        default:
            throw std::out_of_range("wire type");
        }
        return key >> 3;
    }

    std::string_view rest;
    std::uint64_t number = 0;
    std::string_view bytes;
};

struct Decoded {
    double wall_time = 0;
    std::uint64_t step = 0;
    std::string version;
    std::string tag;
    std::optional<float> scalar;
    std::uint64_t height = 0, width = 0, colorspace = 0;
    std::string png;
};

Decoded decode_event(std::string_view data) {
    Decoded event;
    Message message(data);
    while (const auto field = message.next()) {
        if (field == 1) {
            std::memcpy(&event.wall_time, message.bytes.data(), 8);
        } else if (field == 2) {
            event.step = message.number;
        } else if (field == 3) {
            event.version = message.bytes;
        } else if (field == 5) {
            Message summary(message.bytes);
            while (summary.next() == 1) {
                Message value(summary.bytes);
                while (const auto inner = value.next()) {
                    if (inner == 1) {
                        event.tag = value.bytes;
                    } else if (inner == 2) {
                        event.scalar.emplace();
                        std::memcpy(&*event.scalar, value.bytes.data(), 4);
                    } else if (inner == 4) {
                        Message image(value.bytes);
                        while (const auto part = image.next()) {
                            if (part == 4) {
                                event.png = image.bytes;
                            } else {
                                (part == 1   ? event.height
                                 : part == 2 ? event.width
                                             : event.colorspace) = image.number;
                            }
                        }
                    }
                }
            }
        }
    }
    return event;
}

// Checks lengths and both checksums of every record.
std::vector<std::string> records_of(const std::string& file) {
    std::vector<std::string> records;
    std::string_view rest = file;
    while (!rest.empty()) {
        std::uint64_t length = 0;
        std::uint32_t crc = 0;
        std::memcpy(&length, rest.substr(0, 8).data(), 8);
        std::memcpy(&crc, rest.substr(8, 4).data(), 4);
        EXPECT_EQ(crc, slow_masked(rest.substr(0, 8)));
        const std::string_view data = rest.substr(12, length);
        std::memcpy(&crc, rest.substr(12 + length, 4).data(), 4);
        EXPECT_EQ(crc, slow_masked(data));
        records.emplace_back(data);
        rest.remove_prefix(16 + length);
    }
    return records;
}

// RFC 3720, appendix B.4.
TEST(EventFile, ChecksumHasThePublishedValues) {
    EXPECT_EQ(crc32c("123456789"), 0xE3069283U);
    EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8A9136AAU);
    EXPECT_EQ(crc32c(std::string(32, '\xFF')), 0x62A8AB43U);
    EXPECT_EQ(slow_crc32c("123456789"), 0xE3069283U);
    EXPECT_EQ(crc32c(""), 0U);
}

// Worked out by hand from the field numbers of event.proto and summary.proto.
TEST(EventFile, MessagesHaveTheirGoldenBytes) {
    EXPECT_EQ(hex(encode_version_event(1.0)), "09000000000000f03f"               // wall_time = 1.0
                                              "1a0d627261696e2e4576656e743a32"); // "brain.Event:2"
    EXPECT_EQ(hex(encode_scalar_event(2.0, 300, "loss/d", 1.5F)),
              "090000000000000040"                                    // wall_time = 2.0
              "10ac02"                                                // step = 300
              "2a0f"                                                  // summary, 15 bytes
              "0a0d"                                                  // value, 13 bytes
              "0a066c6f73732f64"                                      // tag
              "150000c03f");                                          // simple_value = 1.5
    EXPECT_EQ(hex(encode_start_event(2.0, 300)), "090000000000000040" // wall_time = 2.0
                                                 "10ac02"             // step = 300
                                                 "3a020801");         // session_log: status = START
}

TEST(EventFile, ScalarsAndPicturesReadBack) {
    const TemporaryFolder folder;
    std::filesystem::path path;
    Image picture{3, 2, 3, std::vector<std::uint8_t>(18, 200)};
    picture.pixels[4] = 7;
    {
        EventFile events(folder.path());
        path = events.path();
        events.scalar("loss/d", 0, 1.25);
        events.scalar("loss/g", 1'000'000, std::nan(""));
        events.image("fixed_fake", 7, picture);
        Image grey{2, 2, 1, {0, 1, 2, 3}};
        events.image("grey", 8, grey);
    }
    EXPECT_EQ(path.filename().string().rfind("events.out.tfevents.", 0), 0u);
    const auto records = records_of(contents(path));
    ASSERT_EQ(records.size(), 5u);
    EXPECT_EQ(decode_event(records[0]).version, "brain.Event:2");
    const Decoded first = decode_event(records[1]);
    EXPECT_EQ(first.tag, "loss/d");
    EXPECT_EQ(first.step, 0u);
    EXPECT_EQ(first.scalar, 1.25F);
    EXPECT_GT(first.wall_time, 1.6e9);
    EXPECT_EQ(decode_event(records[2]).step, 1'000'000u);
    EXPECT_TRUE(std::isnan(decode_event(records[2]).scalar.value_or(0)));
    const Decoded image = decode_event(records[3]);
    EXPECT_EQ(image.height, 2u);
    EXPECT_EQ(image.width, 3u);
    EXPECT_EQ(image.colorspace, 3u);
    EXPECT_EQ(decode_event(records[4]).colorspace, 1u);
    const Image decoded = decode_png(
        std::span(reinterpret_cast<const std::uint8_t*>(image.png.data()), image.png.size()), 3,
        "event");
    EXPECT_EQ(decoded.pixels, picture.pixels);
}

TEST(EventFile, EveryBeginningIsANewFile) {
    const TemporaryFolder folder;
    const EventFile first(folder.path());
    const EventFile second(folder.path());
    EXPECT_NE(first.path(), second.path());
    EXPECT_THROW(EventFile(folder / "missing"), std::runtime_error);
}

TEST(EventFile, OpensInTensorBoard) {
    if (std::system("python3 -c 'import tensorboard' > /dev/null 2>&1") != 0) {
        GTEST_SKIP() << "python3 has no tensorboard";
    }
    const TemporaryFolder folder;
    {
        EventFile events(folder.path());
        events.scalar("loss/d", 5, 1.5);
        events.image("grid", 5, {2, 2, 1, {0, 1, 2, 3}});
    }
    const std::string script =
        "python3 -c 'import sys\n"
        "from tensorboard.backend.event_processing.event_accumulator import EventAccumulator\n"
        "a = EventAccumulator(sys.argv[1]); a.Reload()\n"
        "s = a.Scalars(\"loss/d\")[0]; i = a.Images(\"grid\")[0]\n"
        "assert (s.step, s.value, i.width, i.height) == (5, 1.5, 2, 2)' " +
        folder.path().string();
    EXPECT_EQ(std::system(script.c_str()), 0);
}

} // namespace
} // namespace patchforge
