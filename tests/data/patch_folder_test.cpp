#include "data/patch_folder.h"

#include "tests/data/folder_fixture.h"

#include <fmt/format.h>

#include <map>
#include <sys/stat.h>

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
    PatchFolder folder = scan_patch_folder(folder_);
    EXPECT_EQ(folder.layout, Layout::idc);
    EXPECT_EQ(folder.entries.size(), 4u);
    remove_copies(folder);
    EXPECT_EQ(folder.entries.size(), 2u);
    EXPECT_EQ(ignored_reasons(folder)["second copy of the same patch"], 2);
}

TEST_F(PatchFolderTest, IdcACopyIsOneOnlyIfTheBytesAgree) {
    write_text(folder_ / "9023/1/9023_idx5_x1_y1_class1.png", "one");
    write_text(folder_ / "again/9023/1/9023_idx5_x1_y1_class1.png", "one");
    write_text(folder_ / "more/9023/1/9023_idx5_x1_y1_class1.png", "two");
    PatchFolder folder = scan_patch_folder(folder_);
    EXPECT_EQ(folder.layout, Layout::idc);
    remove_copies(folder);
    ASSERT_EQ(folder.entries.size(), 2u);
    EXPECT_EQ(folder.entries[0].path, "9023/1/9023_idx5_x1_y1_class1.png");
    EXPECT_EQ(folder.entries[1].path, "more/9023/1/9023_idx5_x1_y1_class1.png");
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
                                          {"no picture: not named *.png, *.jpg or *.npy", 1},
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
    const PatchFolder test = scan_patch_folder(folder_, {.part = Part::test});
    ASSERT_EQ(test.entries.size(), 3u);
    EXPECT_EQ(test.entries[0].path, "test/cat/1.png");
    EXPECT_EQ(test.entries[0].label, 0);
    EXPECT_EQ(test.entries[2].path, "test/dog/1.png");
    EXPECT_EQ(test.entries[2].label, 1);
    EXPECT_THROW(scan_patch_folder(folder_, {.part = Part::validation}), std::invalid_argument);
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

TEST_F(PatchFolderTest, EveryRealFolderIsReadOnceAndLinksDoNotLeaveTheSet) {
    touch("set/cat/1.png");
    touch("elsewhere/dog/2.png");
    touch("elsewhere/3.png");
    fs::create_directory_symlink(folder_ / "set/cat", folder_ / "set/tom");
    fs::create_directory_symlink(folder_ / "set", folder_ / "set/cat/back");
    fs::create_symlink("1.png", folder_ / "set/cat/1 again.png");
    fs::create_directory_symlink(folder_ / "elsewhere/dog", folder_ / "set/dog");
    fs::create_directory_symlink(folder_ / "elsewhere/dog", folder_ / "set/hound");
    fs::create_symlink(folder_ / "elsewhere/3.png", folder_ / "set/cat/3.png");
    fs::create_symlink("nowhere", folder_ / "set/cat/4.png");
    const auto paths = [&](bool follow) {
        std::vector<std::string> all;
        const FolderOptions options{.layout = Layout::class_folders, .follow_links = follow};
        for (const PatchEntry& entry : scan_patch_folder(folder_ / "set", options).entries) {
            all.push_back(entry.path);
        }
        return all;
    };
    EXPECT_EQ(paths(false), (std::vector<std::string>{"cat/1 again.png", "cat/1.png"}));
    const std::vector<std::string> followed = paths(true);
    ASSERT_EQ(followed.size(), 4u);
    EXPECT_EQ(followed[2], "cat/3.png");
    EXPECT_TRUE(followed[3] == "dog/2.png" || followed[3] == "hound/2.png");
    EXPECT_EQ(ignored_reasons(scan_patch_folder(folder_ / "set")),
              (std::map<std::string, int>{{"link to a folder that is read where it lies", 2},
                                          {"link that leaves the set; --follow-links reads it", 3},
                                          {"broken symbolic link", 1}}));
}

TEST_F(PatchFolderTest, FoldersThatLinkToEachOtherTwiceEnd) {
    touch("0/1.png");
    for (int i = 0; i < 25; ++i) { // 2^25 ways lead to the last
        fs::create_directories(folder_ / std::to_string(i));
        for (const char* name : {"a", "b"}) {
            fs::create_directory_symlink(folder_ / std::to_string((i + 1) % 25),
                                         folder_ / std::to_string(i) / name);
        }
    }
    for (const bool follow : {false, true}) {
        EXPECT_EQ(scan_patch_folder(folder_, {.follow_links = follow}).entries.size(), 1u);
    }
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
    EXPECT_NE(error_of([&] { scan_patch_folder(folder_); }).find("holds no pictures"),
              std::string::npos);
    EXPECT_NE(error_of([&] { scan_patch_folder(folder_ / "no"); }).find("does not exist"),
              std::string::npos);
    touch("file");
    EXPECT_NE(error_of([&] { scan_patch_folder(folder_ / "file"); }).find("not a folder"),
              std::string::npos);
}

/// Layout, classes and how many entries each has: "class folders: cat 2, dog 1".
std::string told(const PatchFolder& folder) {
    std::vector<int> counts(folder.class_names.size());
    int unlabelled = 0;
    for (const PatchEntry& entry : folder.entries) {
        ++(entry.label < 0 ? unlabelled : counts[static_cast<std::size_t>(entry.label)]);
    }
    constexpr const char* words[] = {"idc", "patients", "classes", "flat",
                                     "arrays"}; // in the enum's order
    std::string text = std::string(words[static_cast<std::size_t>(folder.layout)]) + ":";
    for (std::size_t c = 0; c < counts.size(); ++c) {
        text += " " + folder.class_names[c] + "=" + std::to_string(counts[c]);
    }
    return text + (unlabelled > 0 ? " none=" + std::to_string(unlabelled) : "");
}

TEST_F(PatchFolderTest, ClassesNamed0And1InAFolderAroundThemAreNotIdc) {
    for (const char* label : {"0", "1"}) {
        for (int i = 0; i < 3; ++i) {
            touch("mydata/" + std::string(label) + "/" + std::to_string(i) + ".png");
        }
    }
    const PatchFolder folder = scan_patch_folder(folder_);
    EXPECT_EQ(told(folder), "classes: 0=3 1=3");
    EXPECT_TRUE(folder.ignored.empty());
    EXPECT_EQ(told(scan_patch_folder(folder_, {.layout = Layout::idc})),
              "idc: no cancer=3 cancer=3");
    EXPECT_EQ(told(scan_patch_folder(folder_, {.layout = Layout::flat})), "flat: none=6");
}

TEST_F(PatchFolderTest, FoldersNamedAsPatients) {
    for (const char* patient : {"8863", "8864", "10253"}) {
        touch(std::string(patient) + "/0/a.png");
        touch(std::string(patient) + "/1/a.png");
    }
    const PatchFolder idc = scan_patch_folder(folder_);
    EXPECT_EQ(told(idc), "idc: no cancer=3 cancer=3");
    EXPECT_EQ(idc.patient_names, (std::vector<std::string>{"10253", "8863", "8864"}));
    fs::remove_all(folder_);
    for (const char* patient : {"patient 1", "patient 2"}) {
        touch(std::string(patient) + "/benign/a.png");
        touch(std::string(patient) + "/malignant/b.png");
    }
    const PatchFolder named = scan_patch_folder(folder_);
    EXPECT_EQ(told(named), "patients: benign=2 malignant=2");
    EXPECT_EQ(named.patient_names.size(), 2u);
}

TEST_F(PatchFolderTest, PartsInEverySpelling) {
    for (const auto& [train, test] : {std::pair{"training", "testing"},
                                      {"Train", "Test"},
                                      {"TRAIN_SET", "TEST_SET"},
                                      {"training_set", "val_set"},
                                      {"train-images", "validation images"},
                                      {"seg_train", "seg_test"},
                                      {"trainset", "t10k"},
                                      {"data_train", "data_eval"},
                                      {"Training Data", "dev"}}) {
        fs::remove_all(folder_);
        for (const std::string part : {train, test}) {
            touch(part + "/cat/1.png");
            touch(part + "/dog/1.png");
        }
        touch(std::string(train) + "/dog/2.png");
        EXPECT_EQ(told(scan_patch_folder(folder_, {.part = Part::train})), "classes: cat=1 dog=2")
            << train;
        EXPECT_EQ(told(scan_patch_folder(folder_)), "classes: cat=2 dog=3") << train;
        EXPECT_EQ(told(scan_patch_folder(folder_, {.usual_part = Part::train})),
                  "classes: cat=1 dog=2");
        EXPECT_EQ(told(scan_patch_folder(folder_, {.usual_part = Part::test})),
                  "classes: cat=1 dog=1")
            << "validation stands in for " << test;
    }
}

TEST_F(PatchFolderTest, PartsBelowClassesInsideFoldersAndWithoutLabels) {
    touch("cat/train/1.png");
    touch("cat/test/2.png");
    touch("dog/train/3.png");
    EXPECT_EQ(told(scan_patch_folder(folder_, {.part = Part::train})), "classes: cat=1 dog=1");
    fs::remove_all(folder_);
    touch("pets/train/train/cat/1.png"); // as some archives unpack
    touch("pets/train/train/dog/1.png");
    touch("pets/test/test/dog/1.png");
    EXPECT_EQ(told(scan_patch_folder(folder_)), "classes: cat=1 dog=2");
    fs::remove_all(folder_);
    touch("train/cat/1.png");
    touch("train/dog/1.png");
    for (int i = 0; i < 5; ++i) {
        touch("test/" + std::to_string(i) + ".png");
    }
    EXPECT_EQ(told(scan_patch_folder(folder_)), "classes: cat=1 dog=1 none=5");
    EXPECT_EQ(told(scan_patch_folder(folder_, {.part = Part::test})),
              "classes: cat=0 dog=0 none=5");
    fs::remove_all(folder_);
    touch("train/1.png");
    touch("test/2.png");
    EXPECT_EQ(told(scan_patch_folder(folder_, {.part = Part::test})), "flat: none=1");
}

TEST_F(PatchFolderTest, AClassMayBeCalledTrain) {
    for (const char* name : {"bus", "car", "train"}) {
        touch(std::string(name) + "/1.png");
    }
    EXPECT_EQ(told(scan_patch_folder(folder_)), "classes: bus=1 car=1 train=1");
}

TEST_F(PatchFolderTest, TheSameFoldersInAllFoldersAreAskedAbout) {
    for (const char* site : {"berlin", "paris"}) {
        touch(std::string(site) + "/ant/1.png");
        touch(std::string(site) + "/bee/1.png");
    }
    const std::string error = error_of([&] { scan_patch_folder(folder_); });
    EXPECT_NE(error.find("--layout classes"), std::string::npos) << error;
    EXPECT_NE(error.find("berlin, paris"), std::string::npos) << error;
    EXPECT_EQ(told(scan_patch_folder(folder_, {.layout = Layout::class_folders})),
              "classes: berlin=2 paris=2");
    EXPECT_EQ(told(scan_patch_folder(folder_, {.layout = Layout::patients})),
              "patients: ant=2 bee=2");
}

TEST_F(PatchFolderTest, AClassFolderIsAClassWhateverIsInIt) {
    touch("ant/1.png");
    touch("cat/1.png");
    fs::create_directories(folder_ / "bee");
    EXPECT_EQ(told(scan_patch_folder(folder_)), "classes: ant=1 bee=0 cat=1");
    touch("bee/.hidden");
    touch("bee/1.tif");
    const PatchFolder folder = scan_patch_folder(folder_);
    EXPECT_EQ(told(folder), "classes: ant=1 bee=0 cat=1");
    EXPECT_EQ(ignored_reasons(folder)["TIFF, which is not read: make PNG files of it"], 1);
}

TEST_F(PatchFolderTest, WhatPatchforgeWroteIntoTheSetIsNoClass) {
    touch("real/a.png");
    write_text(folder_ / "fake/.patchforge", "patchforge generate\nfile fake_000000.png\n");
    touch("fake/fake_000000.png"); // made for this set
    write_text(folder_ / "runs/gan/params.json", "{\n  \"run\": \"train gan\",\n");
    touch("runs/gan/images/final.png");
    write_text(folder_ / "attacked/.patchforge", "patchforge attack\nfile attack.csv\n");
    touch("attacked/pgd/0.png");
    touch("other/a.png");
    write_text(folder_ / "other/params.json", "{\"size\": 3}\n");         // somebody else's
    ASSERT_EQ(::mkfifo((folder_ / "real/params.json").c_str(), 0600), 0); // waits for nobody
    ASSERT_EQ(::mkfifo((folder_ / "real/.patchforge").c_str(), 0600), 0);
    const PatchFolder folder = scan_patch_folder(folder_);
    EXPECT_EQ(folder.class_names, (std::vector<std::string>{"fake", "other", "real"}));
    EXPECT_EQ(folder.entries.size(), 3u);
    auto reasons = ignored_reasons(folder);
    EXPECT_EQ(reasons["what `patchforge train gan` wrote, no class"], 1);
    EXPECT_EQ(reasons["what `patchforge attack` wrote, no class"], 1);
    EXPECT_EQ(reasons["hidden file"], 0) << "the list of the fakes";
    EXPECT_NE(error_of([&] {
                  scan_patch_folder(folder_ / "runs/gan");
              }).find("`patchforge train gan` wrote"),
              std::string::npos);
}

TEST_F(PatchFolderTest, ClassesAreThoseOfAllParts) {
    touch("train/ant/1.png");
    touch("train/bee/1.png");
    touch("train/cat/1.png");
    touch("test/ant/1.png");
    touch("test/cat/1.png");
    EXPECT_EQ(told(scan_patch_folder(folder_, {.part = Part::test})), "classes: ant=1 bee=0 cat=1");
}

TEST_F(PatchFolderTest, MostPicturesDecide) {
    for (int i = 0; i < 20; ++i) {
        touch(std::to_string(i) + ".png");
    }
    touch("grids/epoch1.png");
    const PatchFolder flat = scan_patch_folder(folder_);
    EXPECT_EQ(told(flat), "flat: none=20");
    EXPECT_EQ(ignored_reasons(flat)["in a folder, while most lie in none"], 1);
    fs::remove_all(folder_);
    touch("preview.png");
    for (int i = 0; i < 3; ++i) {
        touch("cat/" + std::to_string(i) + ".png");
        touch("dog/" + std::to_string(i) + ".png");
    }
    const PatchFolder classes = scan_patch_folder(folder_);
    EXPECT_EQ(told(classes), "classes: cat=3 dog=3");
    EXPECT_EQ(ignored_reasons(classes)["outside the class folders"], 1);
}

TEST_F(PatchFolderTest, ThePatientInTheNameCountsInClassFoldersToo) {
    for (const char* patient : {"10253", "10254"}) {
        for (const char* label : {"0", "1"}) {
            touch(fmt::format("{}/{}_idx5_x51_y101_class{}.png", label, patient, label));
        }
    }
    touch("1/10254_idx5_x1_y1_class0.png");
    touch("1/scan.png");
    const PatchFolder folder = scan_patch_folder(folder_);
    EXPECT_EQ(told(folder), "classes: 0=2 1=2");
    EXPECT_EQ(folder.patient_names, (std::vector<std::string>{"10253", "10254"}));
    EXPECT_EQ(folder.entries[0].x, 51);
    EXPECT_EQ(ignored_reasons(folder),
              (std::map<std::string, int>{{"class in the name is not the folder's", 1},
                                          {"no patient in the name, while most have one", 1}}));
    fs::remove_all(folder_);
    touch("10253_idx5_x51_y101_class1.png");
    touch("10254_idx5_x51_y101_class0.png");
    const PatchFolder flat = scan_patch_folder(folder_);
    EXPECT_EQ(told(flat), "idc: no cancer=1 cancer=1");
    EXPECT_EQ(flat.patient_names.size(), 2u);
}

TEST_F(PatchFolderTest, PatientsByPattern) {
    touch("a/slide7-tile1.png");
    touch("a/slide7-tile2.png");
    touch("b/slide12-tile1.png");
    touch("b/unknown.png");
    const PatchFolder folder = scan_patch_folder(folder_, {.patient_pattern = "slide(\\d+)-"});
    EXPECT_EQ(folder.patient_names, (std::vector<std::string>{"12", "7"}));
    EXPECT_EQ(folder.entries.size(), 3u);
    EXPECT_EQ(ignored_reasons(folder)["no patient by --patient-pattern"], 1);
    EXPECT_EQ(scan_patch_folder(folder_, {.patient_pattern = "^."}).patient_names,
              (std::vector<std::string>{"a", "b"}));
    for (const char* bad : {"(", "[", "zzz"}) {
        EXPECT_NE(error_of([&] {
                      scan_patch_folder(folder_, {.patient_pattern = bad});
                  }).find("--patient-pattern"),
                  std::string::npos);
    }
}

TEST_F(PatchFolderTest, ClassesAndPatientsFromATable) {
    const fs::path table = folder_ / "labels.csv";
    touch("set/x/1.png");
    touch("set/x/2.png");
    touch("set/y/3.png");
    touch("set/y/4.png");
    write_text(table, "id,label,patient\n1,10,p\nx/2.png,9,q\n3.png,9,q\nz,9,q\n");
    const PatchFolder folder = scan_patch_folder(folder_ / "set", {.labels = table});
    EXPECT_EQ(told(folder), "flat: 9=2 10=1");
    EXPECT_EQ(folder.patient_names, (std::vector<std::string>{"p", "q"}));
    EXPECT_EQ(ignored_reasons(folder),
              (std::map<std::string, int>{{"not in the table of --labels", 1},
                                          {"in the table of --labels, but no such picture", 1}}));
    write_text(table, "other.png,1\n");
    EXPECT_NE(error_of([&] {
                  scan_patch_folder(folder_ / "set", {.labels = table});
              }).find("--labels " + table.string()),
              std::string::npos);
}

TEST_F(PatchFolderTest, ALayoutThatFitsNoPictureIsSaidBeforeATableIsAsked) {
    touch("a.png");
    write_text(folder_ / "labels.csv", "a.png,cat\n");
    FolderOptions options{.layout = Layout::class_folders};
    options.labels = folder_ / "labels.csv";
    EXPECT_NE(error_of([&] { scan_patch_folder(folder_, options); }).find("fits the layout"),
              std::string::npos);
    options.labels.clear();
    options.patient_pattern = "(.)";
    EXPECT_NE(error_of([&] { scan_patch_folder(folder_, options); }).find("fits the layout"),
              std::string::npos);
}

TEST_F(PatchFolderTest, NamesThatAreNotUtf8AreWrittenOut) {
    touch("caf\xe9/1.png");
    touch("two\nlines/1.png");
    const PatchFolder folder = scan_patch_folder(folder_);
    EXPECT_EQ(folder.class_names, (std::vector<std::string>{"caf\\xE9", "two\nlines"}));
    EXPECT_EQ(folder.entries[0].path, "caf\xe9/1.png");
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
