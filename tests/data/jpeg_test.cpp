#include "data/exif_orientation.h"
#include "data/jpeg.h"

#include "tests/data/folder_fixture.h"

#include <cmath>

#ifdef PATCHFORGE_JPEG
#include <turbojpeg.h>
#endif

namespace patchforge {
namespace {

TEST(ExifOrientation, SaysWhereTheFirstRowAndColumnAre) {
    // Stored: 1 2 3 above 4 5 6. Row 0 is (2.32, 4.6.4 A) the top, top, bottom, bottom, left, right, right and left of the
    // scene, column 0 its left, right, right, left, top, top, bottom and bottom.
    const std::vector<std::uint8_t> seen[8] = {
        {1, 2, 3, 4, 5, 6}, {3, 2, 1, 6, 5, 4}, {6, 5, 4, 3, 2, 1}, {4, 5, 6, 1, 2, 3},
        {1, 4, 2, 5, 3, 6}, {4, 1, 5, 2, 6, 3}, {6, 3, 5, 2, 4, 1}, {3, 6, 2, 5, 1, 4}};
    for (int orientation = 1; orientation <= 8; ++orientation) {
        const Image image = upright({3, 2, 1, {1, 2, 3, 4, 5, 6}}, orientation);
        EXPECT_EQ(image.pixels, seen[orientation - 1]) << orientation;
        EXPECT_EQ(image.width, orientation < 5 ? 3 : 2) << orientation;
    }
}

#ifdef PATCHFORGE_JPEG

/// A picture smooth enough for JPEG, interleaved.
std::vector<std::uint8_t> waves(int width, int height, int samples) {
    std::vector<std::uint8_t> pixels;
    for (int y = 0; y < height; ++y) {
        for (int x = 0; x < width; ++x) {
            for (int c = 0; c < samples; ++c) {
                pixels.push_back(static_cast<std::uint8_t>(
                    std::lround(127.5 + 100 * std::sin(0.2 * x + c) * std::cos(0.15 * y - c))));
            }
        }
    }
    return pixels;
}

std::vector<std::uint8_t> encode(const std::vector<std::uint8_t>& pixels, int width, int height,
                                 int samples, int flags = 0) {
    tjhandle encoder = tjInitCompress();
    unsigned char* bytes = nullptr;
    unsigned long size = 0;
    EXPECT_EQ(tjCompress2(encoder, pixels.data(), width, 0, height,
                          samples == 1 ? TJPF_GRAY : TJPF_RGB, &bytes, &size,
                          samples == 1 ? TJSAMP_GRAY : TJSAMP_444, 98, flags),
              0);
    std::vector<std::uint8_t> file(bytes, bytes + size);
    tjFree(bytes);
    tjDestroy(encoder);
    return file;
}

TEST(Jpeg, PicturesComeBackAsFarAsJpegKeepsThem) {
    for (const int samples : {1, 3}) {
        for (const int flags : {0, TJFLAG_PROGRESSIVE}) {
            const int width = 37;
            const int height = 21;
            const std::vector<std::uint8_t> pixels = waves(width, height, samples);
            const auto file = encode(pixels, width, height, samples, flags);
            ASSERT_TRUE(is_jpeg(file));
            EXPECT_EQ(find_jpeg_size(file, "x"), (PictureSize{width, height}));
            EXPECT_EQ(find_jpeg_size(file, "x")->grey, samples == 1);
            const Image image = decode_jpeg(file, 3, "x");
            double worst = 0;
            for (int i = 0; i < width * height; ++i) {
                for (int c = 0; c < 3; ++c) {
                    const int want = pixels[i * samples + (samples == 1 ? 0 : c)];
                    worst = std::max(worst,
                                     std::abs(1.0 * image.pixels[c * width * height + i] - want));
                }
            }
            EXPECT_TRUE(worst <= 6) << worst; // quality 98 quantises by 1 or 2
            EXPECT_EQ(decode_picture(file, 1, "x").pixels.size(), 37u * 21u);
        }
    }
}

/// The file with an Exif segment of one entry behind its first marker.
std::vector<std::uint8_t> with_orientation(std::vector<std::uint8_t> file, int orientation,
                                           bool little) {
    std::vector<std::uint8_t> segment{0xff, 0xe1, 0, 34, 'E', 'x', 'i', 'f', 0, 0};
    const auto add = [&](std::uint32_t value, int bytes) {
        for (int i = 0; i < bytes; ++i) {
            segment.push_back(static_cast<std::uint8_t>(value >> 8 * (little ? i : bytes - 1 - i)));
        }
    };
    add(little ? 0x4949 : 0x4d4d, 2);
    add(42, 2);
    add(8, 4); // where the directory begins
    add(1, 2); // entries
    add(0x0112, 2);
    add(3, 2); // a number of 16 bits
    add(1, 4);
    add(static_cast<std::uint32_t>(orientation), 2);
    add(0, 2);
    add(0, 4); // no further directory
    file.insert(file.begin() + 2, segment.begin(), segment.end());
    file[5] = static_cast<std::uint8_t>(segment.size() - 2);
    return file;
}

TEST(Jpeg, PhotographsAreTurnedAsTheCameraWasHeld) {
    const auto file = encode(waves(37, 21, 3), 37, 21, 3);
    const Image stored = decode_jpeg(file, 3, "x");
    for (int orientation = 0; orientation <= 9; ++orientation) {
        for (const bool little : {false, true}) {
            SCOPED_TRACE(orientation);
            const auto photograph = with_orientation(file, orientation, little);
            const bool side = orientation >= 5 && orientation <= 8;
            const PictureSize size{side ? 21 : 37, side ? 37 : 21};
            EXPECT_EQ(find_jpeg_size(photograph, "x"), size);
            const Image image = decode_jpeg(photograph, 3, "x");
            EXPECT_EQ(image.width, size.width);
            EXPECT_EQ(image.height, size.height);
            const bool known = orientation >= 1 && orientation <= 8;
            EXPECT_EQ(image.pixels, upright(stored, known ? orientation : 1).pixels);
            for (std::size_t cut = 0; cut < 40; ++cut) { // whatever the segment has lost
                const auto bytes = std::span(photograph).subspan(6, 30);
                EXPECT_GE(exif_orientation(bytes.first(std::min(cut, bytes.size()))), 1);
            }
        }
    }
}

TEST(Jpeg, DamageIsRefusedWithTheName) {
    const auto file = encode(waves(37, 21, 3), 37, 21, 3);
    for (std::size_t size = 0; size < file.size() - 2;
         ++size) { // the end marker alone tells nothing
        EXPECT_TRUE(error_of([&] {
                        decode_jpeg(std::span(file).first(size), 3, "cut.jpg");
                    }).starts_with("cut.jpg: "))
            << size;
    }
}

TEST(Jpeg, AHeaderCannotTakeMemory) {
    auto file = encode(waves(8, 8, 3), 8, 8, 3);
    const std::uint8_t frame[] = {0xff, 0xc0};
    const auto at = std::search(file.begin(), file.end(), std::begin(frame), std::end(frame));
    ASSERT_NE(at, file.end());
    std::fill(at + 5, at + 9, 0x20);
    EXPECT_THROW(decode_jpeg(file, 3, "x"), PictureError);
    std::fill(at + 5, at + 9, 0xff);
    EXPECT_THROW(find_jpeg_size(file, "x"), PictureError);
}

class JpegFileTest : public FolderTest {};

TEST_F(JpegFileTest, FilesAreToldByTheirBytes) {
    const auto file = encode(waves(9, 7, 3), 9, 7, 3);
    write_text(folder_ / "a.png", std::string(file.begin(), file.end()));
    EXPECT_EQ(read_picture(folder_ / "a.png").width, 9);
    EXPECT_EQ(read_picture_size(folder_ / "a.png"), (PictureSize{9, 7}));
    // A long comment ahead of the size.
    std::string longer(file.begin(), file.begin() + 2);
    longer += std::string("\xff\xfe\x40\x02", 4) + std::string(0x4000, 'x');
    longer.append(file.begin() + 2, file.end());
    write_text(folder_ / "b.jpg", longer);
    EXPECT_EQ(read_picture_size(folder_ / "b.jpg"), (PictureSize{9, 7}));
    write_text(folder_ / "c.jpg", longer.substr(0, 5000));
    EXPECT_THROW(read_picture_size(folder_ / "c.jpg"), PictureError);
}

#else

TEST(Jpeg, WithoutTurboJpegTheReasonIsGiven) {
    EXPECT_FALSE(reads_jpeg());
    const std::vector<std::uint8_t> head{0xff, 0xd8, 0xff, 0xe0};
    EXPECT_NE(error_of([&] { decode_jpeg(head, 3, "x.jpg"); }).find("libturbojpeg0-dev"),
              std::string::npos);
}

#endif

} // namespace
} // namespace patchforge
