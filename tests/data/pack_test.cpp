#include "data/pack.h"

#include "data/packed_set.h"
#include "data/resample.h"
#include "tests/data/folder_fixture.h"

#include <cmath>
#include <sys/stat.h>

namespace patchforge {
namespace {

namespace fs = std::filesystem;

class PackTest : public FolderTest {
  protected:
    void SetUp() override {
        FolderTest::SetUp();
        in_ = folder_ / "in";
        out_ = folder_ / "out.pfs";
        fs::create_directories(in_);
    }

    /// 9 patches of 6 x 5 in two classes, 2 of another size, 3 that cannot be read, 1 text.
    void make_mixed_folder() {
        for (int i = 0; i < 9; ++i) {
            write_pattern(in_ / (i % 2 ? "b" : "a") / (std::to_string(i) + ".png"), 6, 5, i);
        }
        write_pattern(in_ / "a/odd small.png", 3, 4, 20);
        write_pattern(in_ / "b/odd large.png", 8, 5, 21);
        write_text(in_ / "a/empty.png", "");
        write_text(in_ / "a/text.png", "this is no picture");
        write_text(in_ / "b/cut.png", read_text(in_ / "a/0.png").substr(0, 60));
        write_text(in_ / "b/notes.txt", "x");
    }

    fs::path in_;
    fs::path out_;
};

TEST_F(PackTest, CountsReasonsAndSideFile) {
    make_mixed_folder();
    const PackReport report = pack_folder(in_, out_);
    EXPECT_EQ(report.layout, Layout::class_folders);
    EXPECT_EQ(report.seen, 14);
    EXPECT_EQ(report.packed, 9);
    EXPECT_EQ(report.odd, 2);
    EXPECT_EQ(report.unreadable, 3);
    EXPECT_EQ(report.width, 6);
    EXPECT_EQ(report.height, 5);
    EXPECT_EQ(report.reasons.at("3x4 instead of 6x5"), 1);
    EXPECT_EQ(report.reasons.at("the file is empty"), 1);
    EXPECT_EQ(report.reasons.at("neither a PNG, a JPEG nor an array (.npy)"), 1);
    EXPECT_EQ(report.reasons.at("no picture: not named *.png, *.jpg or *.npy"), 1);
    EXPECT_EQ(report.first_named.size(), 5u);
    EXPECT_EQ(report.side_file, fs::path(out_.string() + ".skipped.txt"));
    const std::string list = read_text(report.side_file);
    EXPECT_EQ(std::count(list.begin(), list.end(), '\n'), 6);
    EXPECT_NE(list.find("neither a PNG, a JPEG nor an array (.npy)\ta/text.png\n"),
              std::string::npos)
        << list;

    const PackedSet set = PackedSet::open(out_);
    set.verify();
    ASSERT_EQ(set.count(), 9);
    EXPECT_EQ(set.source_layout(), "class folders");
    EXPECT_EQ(set.name(0), "a/0.png");
    EXPECT_EQ(set.name(8), "b/7.png");
    EXPECT_TRUE(std::ranges::equal(set.patch(8), pattern(6, 5, 3, 7).pixels));
    EXPECT_EQ(set.labels()[0], 0);
    EXPECT_EQ(set.labels()[8], 1);
}

TEST_F(PackTest, AnOldSideFileGoesWhenNothingIsLeftOut) {
    write_pattern(in_ / "1.png", 4, 4, 1);
    write_text(out_.string() + ".skipped.txt", "old");
    EXPECT_TRUE(pack_folder(in_, out_).side_file.empty());
    EXPECT_FALSE(fs::exists(out_.string() + ".skipped.txt"));
}

TEST_F(PackTest, PadRepeatsTheEdgeAndCuts) {
    make_mixed_folder();
    const PackReport report = pack_folder(in_, out_, {.odd_size = OddSize::pad});
    EXPECT_EQ(report.packed, 11);
    EXPECT_EQ(report.odd, 2);
    const PackedSet set = PackedSet::open(out_);
    for (std::int64_t i = 0; i < set.count(); ++i) {
        const bool small = set.name(i) == "a/odd small.png";
        if (!small && set.name(i) != "b/odd large.png") {
            continue;
        }
        const Image source = small ? pattern(3, 4, 3, 20) : pattern(8, 5, 3, 21);
        for (int c = 0; c < 3; ++c) {
            for (int y = 0; y < 5; ++y) {
                for (int x = 0; x < 6; ++x) {
                    const int from_y = std::min(y, source.height - 1);
                    const int from_x = std::min(x, source.width - 1);
                    ASSERT_EQ(set.patch(i)[(c * 5 + y) * 6 + x],
                              source.pixels[(c * source.height + from_y) * source.width + from_x]);
                }
            }
        }
    }
}

TEST(Resample, BilinearAgainstAFloat64Oracle) {
    for (const auto& [in_w, in_h, out_w, out_h] :
         {std::tuple{3, 4, 6, 5}, {8, 5, 6, 5}, {1, 1, 4, 7}, {50, 1, 50, 50}, {13, 31, 5, 2}}) {
        const Image source = pattern(in_w, in_h, 3, 9);
        const Image out = resize_to(source, out_w, out_h);
        ASSERT_EQ(out.pixels.size(), 3u * out_w * out_h);
        for (int c = 0; c < 3; ++c) {
            for (int y = 0; y < out_h; ++y) {
                for (int x = 0; x < out_w; ++x) {
                    const double at_y = std::max(0.0, (y + 0.5) * in_h / out_h - 0.5);
                    const double at_x = std::max(0.0, (x + 0.5) * in_w / out_w - 0.5);
                    double want = 0.0;
                    for (int sy = 0; sy < in_h; ++sy) {
                        for (int sx = 0; sx < in_w; ++sx) {
                            // Clamped, a position beyond the last sample weighs that sample fully.
                            const double dy = std::min(at_y, in_h - 1.0) - sy;
                            const double dx = std::min(at_x, in_w - 1.0) - sx;
                            want += std::max(0.0, 1.0 - std::abs(dy)) *
                                    std::max(0.0, 1.0 - std::abs(dx)) *
                                    source.pixels[(c * in_h + sy) * in_w + sx];
                        }
                    }
                    const double error = std::abs(out.pixels[(c * out_h + y) * out_w + x] - want);
                    ASSERT_TRUE(error <= 0.501) << error;
                }
            }
        }
    }
}

TEST_F(PackTest, ResizeKeepsOddPatches) {
    make_mixed_folder();
    EXPECT_EQ(pack_folder(in_, out_, {.odd_size = OddSize::resize}).packed, 11);
    EXPECT_EQ(pack_folder(in_, out_, {.odd_size = OddSize::resize, .width = 4, .height = 4}).odd,
              11);
}

TEST_F(PackTest, StrictMakesThemErrorsAndWritesNothing) {
    make_mixed_folder();
    const std::string error = error_of([&] { pack_folder(in_, out_, {.strict = true}); });
    EXPECT_NE(error.find("a/empty.png"), std::string::npos) << error;
    EXPECT_FALSE(fs::exists(out_));
    for (const char* bad : {"a/empty.png", "a/text.png", "b/cut.png"}) {
        fs::remove(in_ / bad);
    }
    EXPECT_NE(error_of([&] { pack_folder(in_, out_, {.strict = true}); }).find("odd"),
              std::string::npos);
    fs::remove(in_ / "a/odd small.png");
    fs::remove(in_ / "b/odd large.png");
    EXPECT_EQ(pack_folder(in_, out_, {.strict = true}).packed, 9);
}

TEST_F(PackTest, BytesDoNotDependOnThreads) {
    for (int i = 0; i < 700; ++i) { // several chunks of 256
        const bool odd = i % 97 == 5;
        write_text(in_ / std::to_string(i % 3) / (std::to_string(i) + ".png"), [&] {
            const auto png = encode_png(pattern(odd ? 3 : 4, 4, 3, i));
            return std::string(png.begin(), png.end());
        }());
    }
    pack_folder(in_, out_, {.threads = 1});
    const std::string one = read_text(out_);
    for (const int threads : {2, 3, 16}) {
        fs::remove(out_);
        pack_folder(in_, out_, {.threads = threads});
        EXPECT_EQ(read_text(out_), one) << threads << " threads";
    }
}

TEST_F(PackTest, ProgressEndsAtTheTotal) {
    make_mixed_folder();
    std::int64_t last = 0;
    pack_folder(in_, out_, {}, [&](std::int64_t done, std::int64_t total) {
        EXPECT_GT(done, last);
        EXPECT_EQ(total, 14);
        last = done;
    });
    EXPECT_EQ(last, 14);
}

TEST_F(PackTest, AnErrorInProgressStopsAllThreads) {
    for (int i = 0; i < 600; ++i) {
        write_text(in_ / (std::to_string(i) + ".png"), "not a picture");
    }
    write_pattern(in_ / "x.png", 4, 4, 1);
    const auto stop = [](std::int64_t, std::int64_t) { throw std::runtime_error("stopped"); };
    EXPECT_EQ(error_of([&] { pack_folder(in_, out_, {.threads = 4}, stop); }), "stopped");
    EXPECT_FALSE(fs::exists(out_));
}

TEST_F(PackTest, WrongOptionsAndUselessFolders) {
    write_text(in_ / "bad.png", "no picture");
    EXPECT_THROW(pack_folder(in_, out_, {.channels = 2}), std::invalid_argument);
    EXPECT_THROW(pack_folder(in_, out_, {.width = 5}), std::invalid_argument);
    EXPECT_THROW(pack_folder(in_, out_, {.threads = -1}), std::invalid_argument);
    EXPECT_NE(error_of([&] { pack_folder(in_, out_); }).find("none of its 1 pictures"),
              std::string::npos);
    EXPECT_NE(error_of([&] { pack_folder(folder_ / "none", out_); }), "");
    EXPECT_FALSE(fs::exists(out_));
}

TEST_F(PackTest, GreyHoldsOnePlane) {
    write_pattern(in_ / "1.png", 4, 3, 1);
    pack_folder(in_, out_, {.channels = 1});
    const PackedSet set = PackedSet::open(out_);
    EXPECT_EQ(set.pixels_per_patch(), 12);
    EXPECT_TRUE(std::ranges::equal(set.patch(0), read_picture(in_ / "1.png", 1).pixels));
}

TEST_F(PackTest, NothingButAPackedSetIsReplaced) {
    write_pattern(in_ / "1.png", 4, 4, 1);
    write_text(folder_ / "x.h5", "\x89HDF\r\n\x1a\n the user's data");
    for (const char* name : {"x.h5", "fifo", "", "-", "in"}) {
        ::mkfifo((folder_ / "fifo").c_str(), 0600);
        const fs::path out = std::string(name) == "-" ? fs::path("-") : folder_ / name;
        EXPECT_TRUE(error_of([&] { pack_folder(in_, out); }).starts_with("--out ")) << name;
    }
    EXPECT_EQ(read_text(folder_ / "x.h5").substr(1, 3), "HDF");
    EXPECT_TRUE(fs::is_fifo(folder_ / "fifo"));
    EXPECT_TRUE(error_of([&] { pack_folder(in_, "/dev/null"); }).starts_with("--out /dev/null"));
    EXPECT_TRUE(error_of([&] {
                    pack_folder(in_, folder_ / std::string(250, 'x'));
                }).find("too long") != std::string::npos);
    write_text(out_, ""); // an empty file loses nothing
    pack_folder(in_, out_);
    pack_folder(in_, out_);
    EXPECT_EQ(PackedSet::open(out_).count(), 1);
}

TEST_F(PackTest, GreyWhereAllPicturesAreGrey) {
    write_png(in_ / "1.png", pattern(4, 3, 1, 1));
    Image coloured_grey = pattern(4, 3, 1, 2);
    coloured_grey.channels = 3;
    const std::vector<std::uint8_t> plane = coloured_grey.pixels;
    for (int c = 1; c < 3; ++c) {
        coloured_grey.pixels.insert(coloured_grey.pixels.end(), plane.begin(), plane.end());
    }
    write_png(in_ / "2.png", coloured_grey);
    EXPECT_EQ(pack_folder(in_, out_).channels, 1);
    EXPECT_TRUE(std::ranges::equal(PackedSet::open(out_).patch(1), plane));
    EXPECT_EQ(pack_folder(in_, out_, {.channels = 3}).channels, 3);
    write_pattern(in_ / "3.png", 4, 3, 3);
    EXPECT_EQ(pack_folder(in_, out_).channels, 3);
}

TEST_F(PackTest, MostPatchesOfAnotherSizeAreNotLeftOut) {
    for (int i = 0; i < 6; ++i) {
        write_pattern(in_ / (i % 2 ? "b" : "a") / (std::to_string(i) + ".png"), 4 + i, 4, i);
    }
    const std::string error = error_of([&] { pack_folder(in_, out_); });
    EXPECT_NE(error.find("only 1 of 6"), std::string::npos) << error;
    EXPECT_NE(error.find("--odd-size resize"), std::string::npos);
    EXPECT_FALSE(fs::exists(out_));
    EXPECT_EQ(pack_folder(in_, out_, {.odd_size = OddSize::resize}).packed, 6);
}

TEST_F(PackTest, TheReportSaysHowTheFolderWasReadAndWhatIsMissing) {
    write_pattern(in_ / "train/ant/1.png", 4, 4, 1);
    write_pattern(in_ / "train/b\x1b[31m/1.png", 4, 4, 2);
    write_text(in_ / "train/cat/1.png", "broken");
    write_pattern(in_ / "test/ant/2.png", 4, 4, 3);
    const PackReport report = pack_folder(in_, out_, {.folder = {.part = Part::train}});
    EXPECT_EQ(report.part, Part::train);
    EXPECT_EQ(report.parts, (std::map<Part, std::int64_t>{{Part::train, 3}, {Part::test, 1}}));
    std::string text;
    for (const std::string& line : report_lines(report)) {
        text += line + "\n";
    }
    for (const char* told :
         {"2 of 3 patches, 3 x 4 x 4", "layout: class folders, because: parts",
          "parts: train 3, test 1; train read", "ant 1, b\\x1B[31m 1, cat 0", "patients: unknown",
          "warning: the class 'cat' has no patches in the part train"}) {
        EXPECT_NE(text.find(told), std::string::npos) << told << "\n" << text;
    }
    EXPECT_EQ(text.find('\x1b'), std::string::npos);
    EXPECT_EQ(PackedSet::open(out_).class_counts(), (std::vector<std::int64_t>{1, 1, 0}));
}

TEST_F(PackTest, ArraysKeepTheLabelsThatOccurAsClasses) {
    const std::string head("\0\0\10\3\0\0\0\3\0\0\0\2\0\0\0\2", 16);
    write_text(in_ / "train-images-idx3-ubyte", head + "abcdefghijkl");
    write_text(in_ / "train-labels-idx1-ubyte", std::string("\0\0\10\1\0\0\0\3\10\3\10", 11));
    write_text(in_ / "t10k-images-idx3-ubyte", head + "mnopqrstuvwx");
    write_text(in_ / "t10k-labels-idx1-ubyte", std::string("\0\0\10\1\0\0\0\3\377\10\10", 11));
    const PackReport report = pack_folder(in_, out_, {.folder = {.usual_part = Part::test}});
    EXPECT_EQ(report.layout, Layout::arrays);
    EXPECT_EQ(report.channels, 1);
    const PackedSet set = PackedSet::open(out_);
    EXPECT_TRUE(std::ranges::equal(set.class_names(), std::vector<std::string>{"3", "8", "255"}));
    EXPECT_TRUE(std::ranges::equal(set.labels(), std::vector<std::int32_t>{2, 1, 1}));
    EXPECT_EQ(set.name(0), "test/00000");
    EXPECT_EQ(set.patch(0)[0], 'm');
    EXPECT_EQ(pack_folder(in_, out_, {.folder = {.part = Part::all}}).packed, 6);
    EXPECT_EQ(pack_folder(in_ / "train-images-idx3-ubyte", out_).packed, 3);
    EXPECT_EQ(pack_folder(in_, out_, {.odd_size = OddSize::resize, .width = 3, .height = 3}).odd,
              6);
    write_text(in_ / "t10k-labels-idx1-ubyte", std::string("\0\0\10\1\0\0\0\1\1", 9));
    EXPECT_NE(error_of([&] { pack_folder(in_, out_); }).find("holds 1 labels for the 3 pictures"),
              std::string::npos);
}

TEST_F(PackTest, RealIdc) {
    const fs::path path = real_data("idc");
    if (path.empty()) {
        GTEST_SKIP() << "the real IDC patches are not at ../shared/data/idc";
    }
    const PackReport report = pack_folder(path, out_);
    EXPECT_EQ(report.layout, Layout::idc);
    EXPECT_EQ(report.seen, 5127);
    EXPECT_EQ(report.odd, 79);
    EXPECT_EQ(report.packed, 5048);
    EXPECT_EQ(report.unreadable, 0);
    EXPECT_EQ(report.width, 50);
    EXPECT_EQ(report.height, 50);
    EXPECT_EQ(pack_folder(path, out_, {.odd_size = OddSize::pad}).packed, 5127);
    EXPECT_EQ(PackedSet::open(out_).class_counts(), (std::vector<std::int64_t>{2886, 2241}));
}

TEST_F(PackTest, RealMnistAndCifar) {
    const fs::path mnist = real_data("mnist");
    const fs::path cifar = real_data("cifar10");
    if (mnist.empty() || cifar.empty()) {
        GTEST_SKIP() << "the real MNIST and CIFAR-10 files are not at ../shared/data";
    }
    const PackReport report =
        pack_folder(mnist, out_, {.channels = 1, .folder = {.part = Part::test}});
    EXPECT_EQ(report.packed, 10000);
    const PackedSet set = PackedSet::open(out_);
    EXPECT_EQ(set.pixels_per_patch(), 784);
    EXPECT_EQ(set.labels()[0], 7);
    EXPECT_EQ(set.class_names().size(), 10u);
    EXPECT_EQ(pack_folder(cifar, out_, {.folder = {.part = Part::train}}).packed, 2000);
    EXPECT_EQ(pack_folder(cifar, out_, {.folder = {.part = Part::test}}).packed, 500);
}

} // namespace
} // namespace patchforge
