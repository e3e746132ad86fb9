#include "data/npy.h"

#include "data/patch_folder.h"
#include "data/picture_stack.h"
#include "tests/data/folder_fixture.h"

#include <cstring>

namespace patchforge {
namespace {

using Bytes = std::vector<std::uint8_t>;
using NpyFolderTest = FolderTest;

/// A file of version 1 as numpy.save writes it, whose values are `values`.
template <class T>
std::string npy(const std::string& type, const std::string& shape, const std::vector<T>& values) {
    std::string header =
        "{'descr': '" + type + "', 'fortran_order': False, 'shape': " + shape + ", }";
    header.resize((10 + header.size() + 1 + 63) / 64 * 64 - 10 - 1, ' ');
    header += '\n';
    std::string file("\x93NUMPY\x01\x00", 8);
    file += static_cast<char>(header.size() & 0xff);
    file += static_cast<char>(header.size() >> 8);
    file += header;
    return file.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
}

std::span<const std::uint8_t> bytes_of(const std::string& text) {
    return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

Bytes levels_of(const std::string& file) {
    NpyArray array(bytes_of(file), "x");
    Bytes levels(static_cast<std::size_t>(array.sizes()[0]));
    array.levels(0, levels);
    return levels;
}

TEST(Npy, ValuesOfEveryTypeBecomeLevels) {
    EXPECT_EQ(levels_of(npy<std::uint8_t>("|u1", "(3,)", {0, 7, 255})), (Bytes{0, 7, 255}));
    EXPECT_EQ(levels_of(npy<std::uint8_t>("|b1", "(2,)", {0, 1})), (Bytes{0, 255}));
    EXPECT_EQ(levels_of(npy<std::int16_t>("<i2", "(2,)", {1, 255})), (Bytes{1, 255}));
    EXPECT_EQ(levels_of(npy<std::uint8_t>(">u2", "(2,)", {0, 1, 0, 200})), (Bytes{1, 200}));
    EXPECT_EQ(levels_of(npy<std::int64_t>("<i8", "(2,)", {0, 254})), (Bytes{0, 254}));
    EXPECT_EQ(levels_of(npy<float>("<f4", "(3,)", {0.0F, 0.5F, 1.0F})), (Bytes{0, 128, 255}));
    EXPECT_EQ(levels_of(npy<double>("<f8", "(3,)", {0.0, 1.4, 255.0})), (Bytes{0, 1, 255}));
}

TEST(Npy, ValuesOutsideTheLevelsAreNamed) {
    for (const std::string& file :
         {npy<float>("<f4", "(2,)", {-1.0F, 1.0F}), npy<std::int16_t>("<i2", "(2,)", {0, 256}),
          npy<double>("<f8", "(1,)", {std::numeric_limits<double>::quiet_NaN()})}) {
        EXPECT_NE(error_of([&] { levels_of(file); }).find("x: holds the value"), std::string::npos);
    }
}

TEST(Npy, HeadersAreTakenApartOrRefused) {
    const auto refused = [](const std::string& type, const std::string& shape) {
        return error_of([&] { NpyArray(bytes_of(npy<std::uint8_t>(type, shape, {1, 2})), "x"); });
    };
    EXPECT_EQ(refused("|u1", "(2,)"), "");
    EXPECT_EQ(refused("|u1", "(1, 2)"), "");
    for (const auto& [type, shape] : {std::pair{"|O", "(2,)"},
                                      {"<c8", "(2,)"},
                                      {"<U1", "(2,)"},
                                      {"|u1", "(3,)"},
                                      {"|u1", "(-2,)"},
                                      {"|u1", "()"},
                                      {"|u1", "(1, 1, 1, 1, 2)"},
                                      {"|u1", "(2"},
                                      {"|u1", "(9999999999999, 9999999999999)"},
                                      {"|u1', 'x': 'y", "(2,)"}}) {
        EXPECT_TRUE(refused(type, shape).starts_with("x: ")) << type << " " << shape;
    }
    EXPECT_NE(refused("<U1", "(2,)").find("numpy.unique"), std::string::npos);
    const std::string whole = npy<std::uint8_t>("|u1", "(2,)", {1, 2});
    for (std::size_t size = 0; size < whole.size(); ++size) {
        EXPECT_NE(error_of([&] { NpyArray(bytes_of(whole).first(size), "x"); }), "") << size;
    }
}

TEST(Npy, ColumnByColumn) {
    // numpy.asfortranarray([[[1, 2, 3], [4, 5, 6]], [[7, 8, 9], [10, 11, 12]]])
    std::string file =
        npy<std::uint16_t>("<u2", "(2, 2, 3)", {1, 7, 4, 10, 2, 8, 5, 11, 3, 9, 6, 12});
    file.replace(file.find("False"), 5, "True ");
    NpyArray array(bytes_of(file), "x");
    Bytes levels(12);
    array.levels(0, levels);
    EXPECT_EQ(levels, (Bytes{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}));
    array.levels(6, std::span(levels).first(2));
    EXPECT_EQ(levels[1], 8);
}

TEST_F(NpyFolderTest, LabelsInAColumnAreLabelsAndADamagedArrayIsOneOfMany) {
    write_text(folder_ / "x.npy", npy<std::uint8_t>("|u1", "(2, 2, 2)", {1, 2, 3, 4, 5, 6, 7, 8}));
    write_text(folder_ / "y.npy", npy<std::uint8_t>("|u1", "(2, 1)", {3, 8}));
    EXPECT_EQ(scan_patch_folder(folder_).class_names, (std::vector<std::string>{"3", "8"}));
    write_text(folder_ / "y.npy", npy<std::uint8_t>("|u1", "(2, 2)", {0, 1, 1, 0}));
    EXPECT_NE(error_of([&] { scan_patch_folder(folder_); }).find("not one label for each picture"),
              std::string::npos);
    std::filesystem::remove(folder_ / "y.npy");
    write_text(folder_ / "x.npy", npy<std::uint8_t>("<c8", "(1,)", {1, 2, 3, 4, 5, 6, 7, 8}));
    EXPECT_NE(error_of([&] { scan_patch_folder(folder_); }).find("'<c8'"), std::string::npos);
    write_text(folder_ / "z.npy", npy<std::uint8_t>("|u1", "(2, 2)", {1, 2, 3, 4}));
    EXPECT_EQ(scan_patch_folder(folder_).entries.size(), 2u); // one of them is found damaged later
}

TEST(Npy, HalfPrecision) {
    // 0, 1, 0.5, the smallest above 0, 1/3 as numpy.float16 has it
    const std::string file = npy<std::uint16_t>("<f2", "(5,)", {0, 0x3c00, 0x3800, 1, 0x3555});
    NpyArray array(bytes_of(file), "x");
    Bytes levels(5);
    array.levels(0, levels);
    EXPECT_EQ(levels, (Bytes{0, 255, 128, 0, 85}));
    for (const std::uint16_t bad : {0x7c00, 0x7e00, 0xbc00}) { // infinity, NaN, -1
        const std::string wrong = npy<std::uint16_t>("<f2", "(1,)", {bad});
        NpyArray one(bytes_of(wrong), "x");
        EXPECT_NE(error_of([&] { one.levels(0, std::span(levels).first(1)); }), "") << bad;
    }
}

TEST(Npy, OnePictureInEveryOrder) {
    const Bytes interleaved{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}; // 2 x 2 of RGB
    const Bytes planes{1, 4, 7, 10, 2, 5, 8, 11, 3, 6, 9, 12};
    EXPECT_EQ(decode_npy_picture(bytes_of(npy("|u1", "(2, 2, 3)", interleaved)), 3, "x").pixels,
              planes);
    EXPECT_EQ(decode_npy_picture(bytes_of(npy("|u1", "(3, 2, 2)", planes)), 3, "x").pixels, planes);
    const Bytes grey{grey_of(1, 2, 3), grey_of(4, 5, 6), grey_of(7, 8, 9), grey_of(10, 11, 12)};
    EXPECT_EQ(decode_npy_picture(bytes_of(npy("|u1", "(3, 2, 2)", planes)), 1, "x").pixels, grey);
    EXPECT_EQ(decode_npy_picture(bytes_of(npy("|u1", "(2, 6)", interleaved)), 1, "x").pixels,
              interleaved);
    EXPECT_THROW(decode_npy_picture(bytes_of(npy("|u1", "(2, 2, 1, 3)", interleaved)), 3, "x"),
                 PictureError);
    const std::string file = npy("|u1", "(3, 2, 2)", planes);
    EXPECT_EQ(npy_picture_size(bytes_of(file), "x"), (PictureSize{2, 2}));
    EXPECT_FALSE(npy_picture_size(bytes_of(file), "x").grey);
}

class StackTest : public FolderTest {
  protected:
    std::vector<std::string> stacks(const std::string& only = {}) {
        std::vector<std::string> found;
        for (const StackPair& pair : find_stacks(folder_, read_folder_tree(folder_), only)) {
            found.push_back(part_name(pair.part) + " " + pair.pictures.filename().string() + " " +
                            pair.labels.filename().string());
        }
        return found;
    }
    void idx(const std::string& name) {
        const bool pictures = name.find("3") != std::string::npos;
        write_text(folder_ / name, pictures ? std::string("\0\0\10\3\0\0\0\1\0\0\0\1\0\0\0\1x", 17)
                                            : std::string("\0\0\10\1\0\0\0\1\7", 9));
    }
};

TEST_F(StackTest, MnistInEverySpelling) {
    using Names = std::vector<std::string>;
    for (const auto& [images, labels] :
         {std::pair{"train-images-idx3-ubyte", "train-labels-idx1-ubyte"},
          {"train-images.idx3-ubyte", "train-labels.idx1-ubyte"},
          {"train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"},
          {"MNIST/raw/train-images-idx3-ubyte", "MNIST/raw/train-labels-idx1-ubyte"},
          {"emnist-letters-train-images-idx3-ubyte", "emnist-letters-train-labels-idx1-ubyte"},
          {"train-images-idx3-ubyte/train-images-idx3-ubyte",
           "train-labels-idx1-ubyte/train-labels-idx1-ubyte"}}) {
        std::filesystem::remove_all(folder_);
        idx(images);
        idx(labels);
        const auto name = [](const std::string& path) {
            return std::filesystem::path(path).filename().string();
        };
        EXPECT_EQ(stacks(), Names{"train " + name(images) + " " + name(labels)}) << images;
    }
    idx("t10k-images-idx3-ubyte");
    idx("t10k-images-idx3-ubyte.gz"); // as torchvision leaves it
    EXPECT_EQ(stacks().at(1), "test t10k-images-idx3-ubyte ");
}

TEST_F(StackTest, ArraysAndSeveralSets) {
    const std::string pictures = npy<std::uint8_t>("|u1", "(2, 1, 2)", {1, 2, 3, 4});
    const std::string labels = npy<std::int64_t>("<i8", "(2,)", {5, 9});
    write_text(folder_ / "x_train.npy", pictures);
    write_text(folder_ / "y_train.npy", labels);
    write_text(folder_ / "X_test.npy", pictures);
    using Names = std::vector<std::string>;
    EXPECT_EQ(stacks(), (Names{"train x_train.npy y_train.npy", "test X_test.npy "}));
    std::filesystem::remove_all(folder_);
    write_text(folder_ / "mine.npy", pictures); // told by their shapes
    write_text(folder_ / "mine_labels.npy", labels);
    EXPECT_EQ(stacks(), Names{"all mine.npy mine_labels.npy"});
    idx("emnist-digits-train-images-idx3-ubyte");
    EXPECT_NE(error_of([&] { stacks(); }).find("holds 2 sets"), std::string::npos);
    EXPECT_EQ(stacks("mine.npy"), Names{"all mine.npy mine_labels.npy"});
}

TEST_F(StackTest, PicturesOfEveryShapeAndLabels) {
    const Bytes values{1, 2, 3, 4, 5, 6};
    for (const auto& [shape, channels] :
         {std::pair{"(2, 1, 1, 3)", 3}, {"(2, 1, 3)", 1}, {"(2, 1, 3, 1)", 1}}) {
        write_text(folder_ / "x.npy", npy("|u1", shape, values));
        PictureStack stack(folder_ / "x.npy");
        EXPECT_EQ(stack.count(), 2);
        EXPECT_EQ(stack.shape().channels, channels) << shape;
        EXPECT_EQ(stack.picture(1, channels).pixels, (Bytes{4, 5, 6})) << shape;
    }
    write_text(folder_ / "x.npy", npy("|u1", "(1, 3, 1, 2)", values));
    EXPECT_EQ(PictureStack(folder_ / "x.npy").picture(0, 3).pixels, values);
    write_text(folder_ / "x.npy", npy("|u1", "(6,)", values));
    EXPECT_NE(error_of([&] { PictureStack(folder_ / "x.npy"); }).find("are no pictures"),
              std::string::npos);
    write_text(folder_ / "y.npy", npy<float>("<f4", "(2, 1)", {3, 8}));
    EXPECT_EQ(read_stack_labels(folder_ / "y.npy"), (std::vector<std::int64_t>{3, 8}));
    for (const std::string& bad :
         {npy<float>("<f4", "(1,)", {0.5F}), npy("|u1", "(3, 2)", values)}) {
        write_text(folder_ / "y.npy", bad);
        EXPECT_NE(error_of([&] { read_stack_labels(folder_ / "y.npy"); }), "");
    }
}

} // namespace
} // namespace patchforge
