#include "data/idx.h"

#include "tests/data/folder_fixture.h"

#include <zlib.h>

namespace patchforge {
namespace {

using Bytes = std::vector<std::uint8_t>;

Bytes idx_file(const std::vector<int>& sizes, int type = 8) {
    Bytes file{0, 0, static_cast<std::uint8_t>(type), static_cast<std::uint8_t>(sizes.size())};
    std::size_t total = 1;
    for (const int size : sizes) {
        for (int shift = 24; shift >= 0; shift -= 8) {
            file.push_back(static_cast<std::uint8_t>(size >> shift));
        }
        total *= static_cast<std::size_t>(size);
    }
    for (std::size_t i = 0; i < total; ++i) {
        file.push_back(static_cast<std::uint8_t>(i * 7));
    }
    return file;
}

Bytes gzip(const Bytes& plain) {
    Bytes packed(plain.size() + 1024);
    z_stream stream{};
    deflateInit2(&stream, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
    stream.next_in = const_cast<Bytef*>(plain.data());
    stream.avail_in = static_cast<uInt>(plain.size());
    stream.next_out = packed.data();
    stream.avail_out = static_cast<uInt>(packed.size());
    EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
    packed.resize(stream.total_out);
    deflateEnd(&stream);
    return packed;
}

TEST(Idx, PlainAndCompressedGiveTheSame) {
    const Bytes plain = idx_file({3, 5, 4});
    for (const Bytes& file : {plain, gzip(plain)}) {
        const IdxArray array = decode_idx(file, "x");
        EXPECT_EQ(array.sizes, (std::vector<std::int64_t>{3, 5, 4}));
        ASSERT_EQ(array.values.size(), 60u);
        for (std::size_t i = 0; i < 60; ++i) {
            EXPECT_EQ(array.values[i], static_cast<std::uint8_t>(i * 7));
        }
    }
}

TEST(Idx, EveryTruncationIsRefused) {
    const Bytes plain = idx_file({3, 5, 4});
    for (const Bytes& file : {plain, gzip(plain)}) {
        for (std::size_t size = 0; size < file.size(); ++size) {
            const std::string error =
                error_of([&] { decode_idx(std::span(file).first(size), "t10k"); });
            EXPECT_TRUE(error.starts_with("t10k: ")) << size << ": " << error;
        }
    }
}

TEST(Idx, CompressedDamageIsFoundByItsChecksum) {
    const Bytes file = gzip(idx_file({10, 5, 4}));
    for (std::size_t i = 10; i < file.size(); ++i) { // before lies gzip's header: times, flags
        Bytes bad = file;
        bad[i] ^= 0x04;
        EXPECT_NE(error_of([&] { decode_idx(bad, "x"); }), "") << "byte " << i;
    }
}

TEST(Idx, TrailingBytesAndForeignFilesAreRefused) {
    Bytes longer = idx_file({4});
    longer.push_back(0);
    EXPECT_THROW(decode_idx(longer, "x"), std::runtime_error);
    Bytes packed_longer = gzip(idx_file({4}));
    packed_longer.push_back(0);
    EXPECT_THROW(decode_idx(packed_longer, "x"), std::runtime_error);
    EXPECT_THROW(decode_idx(idx_file({4}, 0x0d), "floats"), std::runtime_error);
    EXPECT_THROW(decode_idx(Bytes{'P', 'K', 3, 4, 0, 0, 0, 0}, "zip"), std::runtime_error);
    EXPECT_THROW(decode_idx(Bytes{0, 0, 8, 9, 0, 0, 0, 1}, "x"), std::runtime_error);
}

TEST(Idx, ATableOfInt32GivesItsFirstColumn) {
    Bytes file{0, 0, 0x0c, 2, 0, 0, 0, 3, 0, 0, 0, 8}; // as QMNIST's labels
    for (int i = 0; i < 3 * 8; ++i) {
        const Bytes number = i % 8 == 0 ? Bytes{0, 0, 0, static_cast<std::uint8_t>(9 - i / 8)}
                                        : Bytes{0xff, 0xff, 1, 2};
        file.insert(file.end(), number.begin(), number.end());
    }
    for (const Bytes& given : {file, gzip(file)}) {
        const IdxArray array = decode_idx(given, "x");
        EXPECT_EQ(array.sizes, (std::vector<std::int64_t>{3}));
        EXPECT_EQ(array.values, (Bytes{9, 8, 7}));
        for (std::size_t size = 0; size < given.size(); ++size) {
            EXPECT_NE(error_of([&] { decode_idx(std::span(given).first(size), "x"); }), "");
        }
    }
    file[12 + 2] = 1; // class 265
    EXPECT_NE(error_of([&] { decode_idx(file, "x"); }).find("row 0 begins with 265"),
              std::string::npos);
    file[3] = 3;
    EXPECT_NE(error_of([&] { decode_idx(file, "x"); }).find("0x0c in 3 dimensions"),
              std::string::npos);
}

TEST(Idx, AHeaderCannotTakeMemory) {
    const Bytes file{0,    0,    8,    3,    0x7f, 0xff, 0xff, 0xff,
                     0x7f, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff};
    EXPECT_THROW(decode_idx(file, "x"), std::runtime_error);
    const Bytes promising{0, 0, 8, 1, 0x3f, 0xff, 0xff, 0xff, 1, 2, 3};
    EXPECT_NE(error_of([&] { decode_idx(promising, "x"); }).find("truncated"), std::string::npos);
}

TEST(Idx, RealMnist) {
    const auto folder = real_data("mnist");
    if (folder.empty()) {
        GTEST_SKIP() << "the real MNIST files are not at ../shared/data/mnist";
    }
    const IdxArray images = read_idx(folder / "t10k-images-idx3-ubyte.gz");
    EXPECT_EQ(images.sizes, (std::vector<std::int64_t>{10000, 28, 28}));
    const IdxArray labels = read_idx(folder / "t10k-labels-idx1-ubyte.gz");
    ASSERT_EQ(labels.sizes, (std::vector<std::int64_t>{10000}));
    const Bytes first(labels.values.begin(), labels.values.begin() + 10);
    EXPECT_EQ(first, (Bytes{7, 2, 1, 0, 4, 1, 4, 9, 5, 9})); // as published
}

} // namespace
} // namespace patchforge
