#include "data/tissue.h"

#include "data/packed_set.h"
#include "tests/data/folder_fixture.h"
#include "tests/data/unprivileged.h"

#include <map>

namespace patchforge {
namespace {

namespace fs = std::filesystem;

class TissueTest : public FolderTest {
  protected:
    std::map<std::string, std::string> files(const fs::path& folder) {
        std::map<std::string, std::string> all;
        for (const auto& file : fs::recursive_directory_iterator(folder)) {
            if (file.is_regular_file()) {
                all[fs::relative(file.path(), folder).string()] = read_text(file.path());
            }
        }
        return all;
    }
};

TEST_F(TissueTest, TheSameSeedGivesTheSameBytesOnAnyNumberOfThreads) {
    const TissueOptions options{.patients = 5, .patches_per_patient = 9, .seed = 4, .threads = 1};
    write_tissue_folder(folder_ / "one", options);
    TissueOptions threaded = options;
    threaded.threads = 4;
    write_tissue_folder(folder_ / "four", threaded);
    const auto first = files(folder_ / "one");
    EXPECT_EQ(first.size(), 45u);
    EXPECT_EQ(files(folder_ / "four"), first);
    threaded.seed = 5;
    write_tissue_folder(folder_ / "other", threaded);
    EXPECT_NE(files(folder_ / "other"), first);
}

TEST_F(TissueTest, ItPacksAsTheIdcLayout) {
    std::int64_t last = 0;
    const TissueReport made =
        write_tissue_folder(folder_ / "t", {.patients = 6, .patches_per_patient = 30},
                            [&](std::int64_t done, std::int64_t total) {
                                EXPECT_EQ(total, 180);
                                last = done;
                            });
    EXPECT_EQ(last, 180);
    EXPECT_EQ(made.patches, 180);
    const PackReport report = pack_folder(folder_ / "t", folder_ / "t.pfs", {.strict = true});
    EXPECT_EQ(report.layout, Layout::idc);
    EXPECT_EQ(report.packed, 180);
    EXPECT_EQ(report.odd, 0);
    const PackedSet set = PackedSet::open(folder_ / "t.pfs");
    EXPECT_EQ(set.patient_names().size(), 6u);
    EXPECT_EQ(set.class_counts()[1], made.cancer);
    std::map<int, std::array<int, 2>> of_patient;
    for (std::int64_t i = 0; i < set.count(); ++i) {
        ++of_patient[set.patients()[i]][set.labels()[i]];
        EXPECT_GE(set.x(i), 1);
    }
    for (const auto& [patient, counts] : of_patient) {
        EXPECT_GT(counts[0], 0) << patient;
        EXPECT_GT(counts[1], 0) << patient;
    }
}

TEST_F(TissueTest, ItIsColouredAsStainedTissueAndClassesDiffer) {
    write_tissue_folder(folder_ / "t", {.patients = 20, .patches_per_patient = 20, .seed = 9});
    pack_folder(folder_ / "t", folder_ / "t.pfs");
    const PackedSet set = PackedSet::open(folder_ / "t.pfs");
    double mean[2][3] = {};
    for (std::int64_t i = 0; i < set.count(); ++i) {
        for (int c = 0; c < 3; ++c) {
            for (int p = 0; p < 2500; ++p) {
                mean[set.labels()[i]][c] += set.patch(i)[c * 2500 + p];
            }
        }
    }
    for (int label = 0; label < 2; ++label) {
        for (double& value : mean[label]) {
            value /= 2500.0 * static_cast<double>(set.class_counts()[label]);
        }
        // Pink to violet: green is the darkest colour, as in the real patches.
        EXPECT_LT(mean[label][1], mean[label][0] - 15.0);
        EXPECT_LT(mean[label][1], mean[label][2] - 15.0);
    }
    // Cancer has more nuclei, which are dark in red: 192 against 218 in the real patches.
    EXPECT_LT(mean[1][0], mean[0][0] - 10.0);
}

TEST_F(TissueTest, AnySize) {
    for (const int size : {8, 33, 128}) {
        const fs::path folder = folder_ / std::to_string(size);
        write_tissue_folder(folder, {.patients = 2, .patches_per_patient = 2, .size = size});
        const PackReport report = pack_folder(folder, folder_ / "t.pfs");
        EXPECT_EQ(report.packed, 4);
        EXPECT_EQ(report.width, size);
        EXPECT_EQ(report.height, size);
    }
}

TEST_F(TissueTest, NothingIsOverwrittenAndNonsenseIsRefused) {
    write_text(folder_ / "full/precious.txt", "x");
    EXPECT_NE(error_of([&] { write_tissue_folder(folder_ / "full"); }).find("exists already"),
              std::string::npos);
    EXPECT_EQ(files(folder_ / "full").size(), 1u);
    EXPECT_THROW(write_tissue_folder(folder_ / "t", {.patients = 0}), std::invalid_argument);
    EXPECT_THROW(write_tissue_folder(folder_ / "t", {.patches_per_patient = 0}),
                 std::invalid_argument);
    EXPECT_THROW(write_tissue_folder(folder_ / "t", {.size = 7}), std::invalid_argument);
    const auto stop = [](std::int64_t, std::int64_t) { throw std::runtime_error("stopped"); };
    EXPECT_EQ(error_of([&] {
                  write_tissue_folder(folder_ / "t", {.patients = 3, .patches_per_patient = 1},
                                      stop);
              }),
              "stopped");
    int entries = 0;
    for ([[maybe_unused]] const auto& entry : fs::directory_iterator(folder_)) {
        ++entries;
    }
    EXPECT_EQ(entries, 1) << "only the folder that was there";
}

TEST_F(TissueTest, AnEmptyFolderThatMayNotBeWrittenToIsLeftAlone) {
    fs::permissions(folder_, fs::perms(0777));
    fs::create_directory(folder_ / "closed");
    fs::permissions(folder_ / "closed", fs::perms(0555));
    const Unprivileged scope;
    if (scope.still_root()) {
        GTEST_SKIP() << "root may write anywhere";
    }
    const auto draw = [&] {
        write_tissue_folder(folder_ / "closed", {.patients = 1, .patches_per_patient = 1});
    };
    EXPECT_NE(error_of(draw).find("closed: may not be written to"), std::string::npos);
    EXPECT_TRUE(fs::is_empty(folder_ / "closed"));
}

} // namespace
} // namespace patchforge
