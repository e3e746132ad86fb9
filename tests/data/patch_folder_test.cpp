#include "data/patch_folder.h"

#include "tests/data/folder_fixture.h"

#include <map>

namespace patchforge {
namespace {

namespace fs = std::filesystem;

class PatchFolderTest : public FolderTest {
  protected:
    /// The scan reads names only, so the files may be empty.
    void touch(const std::string& path) { write_text(folder_ / path, ""); }

    std::map<std::string, int> ignored_reasons(const PatchFolder& folder) {
        std::map<std::string, int> reasons;
        for (const IgnoredFile& file : folder.ignored) {
            ++reasons[file.reason];
        }
        return reasons;
    }
};

TEST_F(PatchFolderTest, Idc) {
    touch("9023/1/9023_idx5_x1001_y851_class1.png");
    touch("9023/0/9023_idx5_x51_y101_class0.png");
    touch("10253/0/10253_idx5_x801_y201_class0.png");
    const PatchFolder folder = scan_patch_folder(folder_);
    EXPECT_EQ(folder.layout, Layout::idc);
    EXPECT_EQ(folder.class_names, (std::vector<std::string>{"no cancer", "cancer"}));
    EXPECT_EQ(folder.patient_names, (std::vector<std::string>{"10253", "9023"}));
    ASSERT_EQ(folder.entries.size(), 3u);
    const PatchEntry& last = folder.entries[2];
    EXPECT_EQ(last.path, "9023/1/9023_idx5_x1001_y851_class1.png");
    EXPECT_EQ(last.label, 1);
    EXPECT_EQ(last.patient, 1);
    EXPECT_EQ(last.x, 1001);
    EXPECT_EQ(last.y, 851);
    EXPECT_EQ(folder.entries[0].patient, 0);
    EXPECT_EQ(folder.entries[0].label, 0);
}

TEST_F(PatchFolderTest, IdcTheArchiveHoldsEverythingTwice) {
    for (const std::string prefix : {"", "IDC_regular_ps50_idx5/"}) {
        touch(prefix + "9023/1/9023_idx5_x1_y1_class1.png");
        touch(prefix + "9023/0/9023_idx5_x51_y1_class0.png");
    }
    const PatchFolder folder = scan_patch_folder(folder_);
    EXPECT_EQ(folder.layout, Layout::idc);
    EXPECT_EQ(folder.entries.size(), 2u);
    EXPECT_EQ(ignored_reasons(folder)["second copy of the same patch"], 2);
}

TEST_F(PatchFolderTest, IdcContradictionsAndStraysAreIgnoredWithReason) {
    touch("1/0/1_idx5_x1_y1_class0.png");
    touch("1/0/1_idx5_x2_y1_class1.png");
    touch("1/0/unnamed.png");
    touch("1/stray.png");
    touch("1/0/notes.txt");
    touch("1/0/._1_idx5_x1_y1_class0.png");
    const PatchFolder folder = scan_patch_folder(folder_);
    EXPECT_EQ(folder.layout, Layout::idc);
    ASSERT_EQ(folder.entries.size(), 2u);
    EXPECT_EQ(folder.entries[1].path, "1/0/unnamed.png");
    EXPECT_EQ(folder.entries[1].x, -1);
    EXPECT_EQ(ignored_reasons(folder),
              (std::map<std::string, int>{{"class in the name is not the folder's", 1},
                                          {"outside <patient>/<0|1>/", 1},
                                          {"not named *.png", 1},
                                          {"hidden file", 1}}));
}

TEST_F(PatchFolderTest, ClassFoldersAndParts) {
    for (const std::string part : {"train", "test"}) {
        touch(part + "/dog/1.png");
        touch(part + "/cat/1.png");
        touch(part + "/cat/deeper/2.PNG");
    }
    const PatchFolder all = scan_patch_folder(folder_);
    EXPECT_EQ(all.layout, Layout::class_folders);
    EXPECT_EQ(all.class_names, (std::vector<std::string>{"cat", "dog"}));
    EXPECT_EQ(all.entries.size(), 6u);
    EXPECT_TRUE(all.patient_names.empty());
    const PatchFolder test = scan_patch_folder(folder_, Part::test);
    ASSERT_EQ(test.entries.size(), 3u);
    EXPECT_EQ(test.entries[0].path, "test/cat/1.png");
    EXPECT_EQ(test.entries[0].label, 0);
    EXPECT_EQ(test.entries[2].path, "test/dog/1.png");
    EXPECT_EQ(test.entries[2].label, 1);
    EXPECT_THROW(scan_patch_folder(folder_, Part::validation), std::invalid_argument);
}

TEST_F(PatchFolderTest, ClassesNamed0And1UnderPartsAreNoPatients) {
    touch("train/0/a.png");
    touch("train/1/b.png");
    touch("test/1/c.png");
    const PatchFolder folder = scan_patch_folder(folder_);
    EXPECT_EQ(folder.layout, Layout::class_folders);
    EXPECT_EQ(folder.class_names, (std::vector<std::string>{"0", "1"}));
}

TEST_F(PatchFolderTest, Flat) {
    touch("b.png");
    touch("a b – ö.png");
    touch("readme.md");
    const PatchFolder folder = scan_patch_folder(folder_);
    EXPECT_EQ(folder.layout, Layout::flat);
    ASSERT_EQ(folder.entries.size(), 2u);
    EXPECT_EQ(folder.entries[0].path, "a b – ö.png");
    EXPECT_EQ(folder.entries[0].label, -1);
    EXPECT_EQ(folder.entries[0].patient, -1);
    EXPECT_EQ(folder.ignored.size(), 1u);
}

TEST_F(PatchFolderTest, IdxFilesAndTheirParts) {
    touch("train-images-idx3-ubyte");
    touch("train-labels-idx1-ubyte.gz");
    touch("t10k-images-idx3-ubyte.gz");
    const PatchFolder folder = scan_patch_folder(folder_);
    EXPECT_EQ(folder.layout, Layout::idx);
    ASSERT_EQ(folder.idx_pairs.size(), 2u);
    EXPECT_FALSE(folder.idx_pairs[0].labels.empty());
    EXPECT_TRUE(folder.idx_pairs[1].labels.empty());
    EXPECT_EQ(scan_patch_folder(folder_, Part::test).idx_pairs.at(0).part, "t10k");
}

TEST_F(PatchFolderTest, LinksAreFollowedAndCyclesAreNot) {
    touch("real/cat/1.png");
    fs::create_directories(folder_ / "set");
    fs::create_directory_symlink(folder_ / "real/cat", folder_ / "set/cat");
    fs::create_directory_symlink(folder_ / "real/cat", folder_ / "set/tom");
    fs::create_symlink(folder_ / "real/cat/1.png", folder_ / "real/cat/2.png");
    fs::create_directory_symlink(folder_ / "set", folder_ / "real/cat/back");
    fs::create_symlink("nowhere", folder_ / "real/cat/3.png");
    const PatchFolder folder = scan_patch_folder(folder_ / "set");
    std::vector<std::string> paths;
    for (const PatchEntry& entry : folder.entries) {
        paths.push_back(entry.path);
    }
    EXPECT_EQ(paths,
              (std::vector<std::string>{"cat/1.png", "cat/2.png", "tom/1.png", "tom/2.png"}));
    EXPECT_EQ(ignored_reasons(folder),
              (std::map<std::string, int>{{"symbolic link to a folder above it", 2},
                                          {"broken symbolic link", 2}}));
}

TEST_F(PatchFolderTest, OrderIsBytewiseWhateverTheOrderOfMaking) {
    for (const char* name : {"c10.png", "c9.png", "B.png", "a.png", "ä.png"}) {
        touch(name);
    }
    std::vector<std::string> paths;
    for (const PatchEntry& entry : scan_patch_folder(folder_).entries) {
        paths.push_back(entry.path);
    }
    EXPECT_EQ(paths, (std::vector<std::string>{"B.png", "a.png", "c10.png", "c9.png", "ä.png"}));
}

TEST_F(PatchFolderTest, UnusableFoldersAreNamed) {
    EXPECT_NE(error_of([&] { scan_patch_folder(folder_); }).find("holds no PNG files"),
              std::string::npos);
    EXPECT_NE(error_of([&] { scan_patch_folder(folder_ / "no"); }).find("does not exist"),
              std::string::npos);
    touch("file");
    EXPECT_NE(error_of([&] { scan_patch_folder(folder_ / "file"); }).find("not a folder"),
              std::string::npos);
}

TEST(PatchFolder, RealIdc) {
    const auto path = real_data("idc");
    if (path.empty()) {
        GTEST_SKIP() << "the real IDC patches are not at ../shared/data/idc";
    }
    const PatchFolder folder = scan_patch_folder(path);
    EXPECT_EQ(folder.layout, Layout::idc);
    EXPECT_EQ(folder.entries.size(), 5127u);
    EXPECT_EQ(folder.patient_names.size(), 100u);
    int cancer = 0;
    for (const PatchEntry& entry : folder.entries) {
        cancer += entry.label;
        ASSERT_GE(entry.x, 1) << entry.path;
        ASSERT_GE(entry.y, 1) << entry.path;
    }
    EXPECT_EQ(cancer, 2241);
    EXPECT_TRUE(folder.ignored.empty());
}

} // namespace
} // namespace patchforge
