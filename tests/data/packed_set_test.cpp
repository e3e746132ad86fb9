#include "data/packed_set.h"

#include "data/packed_set_format.h"
#include "data/packed_set_writer.h"
#include "tests/data/folder_fixture.h"

#include <cstring>
#include <unistd.h>
#include <zlib.h>

namespace patchforge {
namespace {

namespace fs = std::filesystem;
namespace format = packed_set_format;

const std::vector<std::string> class_names{"benign", "Größe", ""};
const std::vector<std::string> patient_names{"p0", "p1"};

class PackedSetTest : public FolderTest {
  protected:
    /// 7 patches of 3 x 5 x 3.
    fs::path make() {
        const fs::path path = folder_ / "set.pfs";
        PackedSetWriter writer(path, 3, 5, 3);
        for (int i = 0; i < 7; ++i) {
            const std::string name = "patch " + std::to_string(i) + std::string(i, '*');
            writer.append(pattern(3, 5, 3, i).pixels, {name, i % 4 - 1, i % 3 - 1, 10 * i, -1});
        }
        writer.finish(class_names, patient_names, "a test");
        return path;
    }

    /// open and verify of a file with these bytes.
    std::string error_of_bytes(const std::string& bytes) {
        const fs::path path = folder_ / "bad.pfs";
        write_text(path, bytes);
        const std::string error = error_of([&] { PackedSet::open(path).verify(); });
        if (!error.empty()) {
            EXPECT_TRUE(error.starts_with(path.string() + ": ")) << error;
        }
        return error;
    }
};

TEST_F(PackedSetTest, RoundTrip) {
    const PackedSet set = PackedSet::open(make());
    EXPECT_EQ(set.count(), 7);
    EXPECT_EQ(set.channels(), 3);
    EXPECT_EQ(set.height(), 5);
    EXPECT_EQ(set.width(), 3);
    EXPECT_EQ(set.pixels_per_patch(), 45);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(set.pixels()) % 4096, 0u);
    EXPECT_EQ(set.source_layout(), "a test");
    EXPECT_TRUE(std::ranges::equal(set.class_names(), class_names));
    EXPECT_TRUE(std::ranges::equal(set.patient_names(), patient_names));
    for (int i = 0; i < 7; ++i) {
        EXPECT_TRUE(std::ranges::equal(set.patch(i), pattern(3, 5, 3, i).pixels)) << i;
        EXPECT_EQ(set.labels()[i], i % 4 - 1);
        EXPECT_EQ(set.patients()[i], i % 3 - 1);
        EXPECT_EQ(set.x(i), 10 * i);
        EXPECT_EQ(set.y(i), -1);
        EXPECT_EQ(set.name(i), "patch " + std::to_string(i) + std::string(i, '*'));
    }
    EXPECT_EQ(set.class_counts(), (std::vector<std::int64_t>{2, 2, 1}));
    EXPECT_NO_THROW(set.verify());
    EXPECT_THROW(set.patch(7), std::invalid_argument);
    EXPECT_THROW(set.patch(-1), std::invalid_argument);
    EXPECT_TRUE(is_packed_set(set.path()));
}

TEST_F(PackedSetTest, ClassesOfAnotherSetAreMatchedByName) {
    const PackedSet set = PackedSet::open(make());
    const std::vector<std::string> wanted{"", "other", "Größe", "benign"};
    const PackedSet matched = set.with_classes(wanted);
    EXPECT_TRUE(std::ranges::equal(matched.class_names(), wanted));
    for (int i = 0; i < 7; ++i) {
        const std::int32_t label = set.labels()[i];
        EXPECT_EQ(matched.labels()[i], label < 0 ? -1 : std::vector<int>({3, 2, 0})[label]) << i;
    }
    EXPECT_EQ(matched.class_counts(), (std::vector<std::int64_t>{1, 0, 2, 2}));
    EXPECT_EQ(matched.pixels(), set.pixels());
    const std::string error = error_of([&] {
        set.with_classes(std::vector<std::string>{"benign", ""});
    });
    EXPECT_NE(error.find("its class 'Größe' (2 patches) is none of benign"), std::string::npos)
        << error;
}

TEST_F(PackedSetTest, ErrorsAndPathShowTheNameThatTheUserGave) {
    const fs::path path = make();
    EXPECT_EQ(PackedSet::open(path, "my patches").path(), "my patches");
    write_text(path, read_text(path).substr(0, 4200));
    EXPECT_TRUE(error_of([&] { PackedSet::open(path, "my patches"); }).starts_with("my patches: "));
}

TEST_F(PackedSetTest, AFileCutWhileItIsReadEndsWithALine) {
    const fs::path path = make();
    const auto cut = [&] {
        const PackedSet set = PackedSet::open(path);
        ::truncate(path.c_str(), 0);
        set.verify();
    };
    EXPECT_EXIT(cut(), testing::ExitedWithCode(1), "set.pfs: became shorter while it was read");
}

TEST_F(PackedSetTest, AMovedSetStaysMapped) {
    PackedSet first = PackedSet::open(make());
    const std::uint8_t* pixels = first.pixels();
    const PackedSet second = std::move(first);
    EXPECT_EQ(second.pixels(), pixels);
    EXPECT_NO_THROW(second.verify());
}

TEST_F(PackedSetTest, EveryFlippedByteIsFound) {
    const fs::path path = make();
    const std::string sound = read_text(path);
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    const auto put = [&](std::size_t i, char byte) {
        file.seekp(static_cast<std::streamoff>(i)).put(byte).flush();
    };
    for (std::size_t i = 0; i < sound.size(); ++i) {
        put(i, static_cast<char>(sound[i] ^ (1 << i % 8)));
        ASSERT_NE(error_of([&] { PackedSet::open(path).verify(); }), "") << "byte " << i;
        put(i, sound[i]);
    }
    EXPECT_EQ(error_of([&] { PackedSet::open(path).verify(); }), "");
}

TEST_F(PackedSetTest, OpeningLeavesThePixelsToVerify) {
    std::string bytes = read_text(make());
    bytes[format::header_bytes + 17] ^= 1;
    write_text(folder_ / "bad.pfs", bytes);
    const PackedSet set = PackedSet::open(folder_ / "bad.pfs");
    EXPECT_NE(error_of([&] { set.verify(); }).find("pixels"), std::string::npos);
}

TEST_F(PackedSetTest, EveryTruncationAndAnyAdditionIsFound) {
    const std::string sound = read_text(make());
    for (std::size_t size = 0; size < sound.size(); size += size < 64 ? 1 : 7) {
        ASSERT_NE(error_of_bytes(sound.substr(0, size)), "") << size << " bytes";
    }
    EXPECT_NE(error_of_bytes(sound.substr(0, sound.size() - 1)).find("truncated"),
              std::string::npos);
    EXPECT_NE(error_of_bytes(sound + "x").find("bytes were added"), std::string::npos);
    EXPECT_NE(error_of_bytes(sound + sound), "");
}

TEST_F(PackedSetTest, ForeignFilesAreNamedAsSuch) {
    EXPECT_NE(error_of_bytes("").find("empty"), std::string::npos);
    EXPECT_NE(error_of_bytes("hello, I am a text").find("not a packed set (.pfs)"),
              std::string::npos);
    EXPECT_NE(error_of([&] { PackedSet::open(folder_); }), "");
    EXPECT_NE(error_of([&] { PackedSet::open(folder_ / "none.pfs"); }), "");
    EXPECT_FALSE(is_packed_set(folder_ / "none.pfs"));
    EXPECT_FALSE(is_packed_set(folder_));
}

/// The bytes with `change` made to the header and its checksum made right again.
std::string with_header(std::string bytes, const std::function<void(format::Header&)>& change) {
    format::Header header;
    std::memcpy(&header, bytes.data(), sizeof header);
    change(header);
    header.checksum = static_cast<std::uint32_t>(
        crc32_z(0, reinterpret_cast<const Bytef*>(&header), sizeof header - 4));
    std::memcpy(bytes.data(), &header, sizeof header);
    return bytes;
}

TEST_F(PackedSetTest, ANewerVersionSaysSo) {
    const std::string newer =
        with_header(read_text(make()), [](format::Header& header) { header.version = 2; });
    const std::string error = error_of_bytes(newer);
    EXPECT_NE(error.find("written in format version 2, this patchforge reads version 1"),
              std::string::npos)
        << error;
}

TEST_F(PackedSetTest, HeadersThatLieWithARightChecksumAreFound) {
    const std::string sound = read_text(make());
    const std::vector<std::function<void(format::Header&)>> lies{
        [](auto& h) { h.count = 8; },
        [](auto& h) { h.count = 0; },
        [](auto& h) { h.count = ~std::uint64_t{0} / 45; },
        [](auto& h) { h.width = 0; },
        [](auto& h) { h.height = 0xffffffff; },
        [](auto& h) { h.channels = 2; },
        [](auto& h) { h.version = 0; },
        [](auto& h) { h.section_entries = 7; },
        [](auto& h) { h.file_bytes += 1; },
        [](auto& h) { h.sections[1].offset = ~std::uint64_t{0} - 3; },
        [](auto& h) { h.sections[2].bytes = ~std::uint64_t{0} - 3; },
        [](auto& h) { h.sections[4].bytes -= 1; },
        [](auto& h) { std::swap(h.sections[1], h.sections[2]); },
        [](auto& h) { h.sections[0].offset += 4096; },
    };
    for (std::size_t i = 0; i < lies.size(); ++i) {
        EXPECT_NE(error_of_bytes(with_header(sound, lies[i])), "") << "lie " << i;
    }
}

TEST_F(PackedSetTest, TheContentHashFollowsTheContent) {
    const fs::path path = make();
    const std::uint64_t hash = PackedSet::open(path).content_hash();
    EXPECT_EQ(PackedSet::open(make()).content_hash(), hash);
    PackedSetWriter writer(folder_ / "other.pfs", 3, 5, 3);
    for (int i = 0; i < 7; ++i) {
        const std::string name = "patch " + std::to_string(i) + std::string(i, '*');
        const int label = i == 6 ? -1 : i % 4 - 1;
        writer.append(pattern(3, 5, 3, i).pixels, {name, label, i % 3 - 1, 10 * i, -1});
    }
    writer.finish(class_names, patient_names, "a test");
    EXPECT_NE(PackedSet::open(folder_ / "other.pfs").content_hash(), hash);
}

TEST_F(PackedSetTest, TheWriterRefusesNonsenseAndLeavesNothing) {
    const fs::path path = folder_ / "none.pfs";
    EXPECT_THROW(PackedSetWriter(path, 2, 5, 5), std::invalid_argument);
    EXPECT_THROW(PackedSetWriter(path, 3, 0, 5), std::invalid_argument);
    {
        PackedSetWriter writer(path, 1, 2, 2);
        EXPECT_THROW(writer.append(std::vector<std::uint8_t>(5), {.name = "x"}),
                     std::invalid_argument);
        EXPECT_THROW(writer.finish({}, {}, ""), std::runtime_error);
        writer.append(std::vector<std::uint8_t>(4), {.name = "x", .label = 0});
        EXPECT_THROW(writer.finish({}, {}, ""), std::invalid_argument);
    }
    EXPECT_TRUE(fs::is_empty(folder_));
}

} // namespace
} // namespace patchforge
