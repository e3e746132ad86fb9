#include "data/split.h"

#include "data/packed_set_writer.h"
#include "data/random_sequence.h"
#include "tests/data/folder_fixture.h"

#include <cmath>
#include <map>
#include <set>

namespace patchforge {
namespace {

namespace fs = std::filesystem;

struct Row {
    int patient;
    int label;
};

class SplitTest : public FolderTest {
  protected:
    PackedSet make(const std::vector<Row>& rows, const std::string& file = "set.pfs") {
        PackedSetWriter writer(folder_ / file, 1, 1, 1);
        std::map<int, int> serial;
        int patients = 0;
        for (const Row& row : rows) {
            // The name does not tell the order in the file.
            const std::string name = std::to_string(row.patient) + "/" + std::to_string(row.label) +
                                     "/" + std::to_string(serial[row.patient * 2 + row.label]++);
            writer.append(std::vector<std::uint8_t>{1},
                          {.name = name, .label = row.label, .patient = row.patient});
            patients = std::max(patients, row.patient + 1);
        }
        std::vector<std::string> names;
        for (int p = 0; p < patients; ++p) {
            names.push_back("patient " + std::to_string(p));
        }
        writer.finish(std::vector<std::string>{"0", "1"}, names, "test");
        return PackedSet::open(folder_ / file);
    }

    /// 50 patients with 1 to 60 patches and very different shares of class 1.
    static std::vector<Row> varied_rows() {
        RandomSequence random(7);
        std::vector<Row> rows;
        for (int p = 0; p < 50; ++p) {
            const float share = random.uniform();
            for (int i = static_cast<int>(random.uniform(1.0f, 60.0f)); i > 0; --i) {
                rows.push_back({p, random.chance(share * share) ? 1 : 0});
            }
        }
        return rows;
    }
};

TEST_F(SplitTest, PatientsStandOnOneSideAndRowsOnExactlyOne) {
    const PackedSet set = make(varied_rows());
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        const Split split = split_by_patient(set, {.seed = seed});
        EXPECT_EQ(split.test_patients.size(), 10u);
        std::set<int> train_patients;
        std::set<std::string> test_patients;
        std::set<int> rows;
        int cancer = 0;
        for (const int row : split.train) {
            train_patients.insert(set.patients()[row]);
            rows.insert(row);
        }
        for (const int row : split.test) {
            EXPECT_FALSE(train_patients.contains(set.patients()[row])) << "seed " << seed;
            test_patients.insert(set.patient_names()[set.patients()[row]]);
            rows.insert(row);
            cancer += set.labels()[row];
        }
        EXPECT_EQ(rows.size(), static_cast<std::size_t>(set.count()));
        EXPECT_EQ(split.train.size() + split.test.size(), rows.size());
        EXPECT_EQ(std::vector(test_patients.begin(), test_patients.end()), split.test_patients);
        EXPECT_TRUE(std::is_sorted(split.train.begin(), split.train.end()));
        // A fifth of the patches and of each class, within a third of that.
        const double share = double(split.test.size()) / double(set.count());
        EXPECT_TRUE(share > 0.13 && share < 0.27) << share << " with seed " << seed;
        const double part = double(cancer) / double(set.class_counts()[1]);
        EXPECT_TRUE(part > 0.13 && part < 0.27) << part << " with seed " << seed;
    }
}

TEST_F(SplitTest, TheSameSeedGivesTheSameSplitInAnyOrderOfTheFile) {
    std::vector<Row> rows = varied_rows();
    const Split first = split_by_patient(make(rows), {.seed = 3});
    EXPECT_EQ(split_by_patient(make(rows), {.seed = 3}).test, first.test);
    EXPECT_NE(split_by_patient(make(rows), {.seed = 4}).test, first.test);
    std::reverse(rows.begin(), rows.end());
    EXPECT_EQ(split_by_patient(make(rows), {.seed = 3}).test_patients, first.test_patients);
}

TEST_F(SplitTest, ANumberOfPatientsOverridesTheFraction) {
    const PackedSet set = make(varied_rows());
    EXPECT_EQ(split_by_patient(set, {.test_patients = 7}).test_patients.size(), 7u);
}

// What one split left may be parted again: no row comes back, no patient stands on both sides.
TEST_F(SplitTest, PartsTheRowsThatAnotherLeft) {
    const PackedSet set = make(varied_rows());
    const Split first = split_by_patient(set, {.test_patients = 10});
    for (const bool by_row : {false, true}) {
        const SplitOptions options{.test_fraction = 0.25, .among = first.train};
        const Split second = by_row ? split_by_row(set, options) : split_by_patient(set, options);
        std::vector<std::int32_t> both = second.train;
        both.insert(both.end(), second.test.begin(), second.test.end());
        std::sort(both.begin(), both.end());
        EXPECT_EQ(both, first.train);
        EXPECT_FALSE(second.test.empty());
        if (!by_row) {
            EXPECT_EQ(second.test_patients.size(), 10u); // a quarter of the 40 that are left
            std::set<std::int32_t> tested;
            for (const std::int32_t row : second.test) {
                tested.insert(set.patients()[row]);
            }
            for (const std::int32_t row : second.train) {
                EXPECT_FALSE(tested.contains(set.patients()[row]));
            }
        }
    }
}

TEST_F(SplitTest, ImpossibleSplitsSayWhy) {
    const PackedSet one_patient = make({{0, 0}, {0, 1}});
    EXPECT_NE(error_of([&] { split_by_patient(one_patient); }).find("hold out 1 of 1"),
              std::string::npos);
    const PackedSet one_with_cancer = make({{0, 0}, {1, 1}, {1, 0}, {2, 0}});
    EXPECT_NE(error_of([&] { split_by_patient(one_with_cancer); }).find("every class"),
              std::string::npos);
    const PackedSet unknown = make({{-1, 0}, {-1, 1}});
    EXPECT_NE(error_of([&] { split_by_patient(unknown); }).find("split by row"), std::string::npos);
    const PackedSet set = make(varied_rows());
    for (const double fraction : {0.0, 1.0, -0.5, std::nan("")}) {
        EXPECT_THROW(split_by_patient(set, {.test_fraction = fraction}), std::invalid_argument);
    }
    EXPECT_THROW(split_by_patient(set, {.test_patients = -1}), std::invalid_argument);
    EXPECT_THROW(split_by_patient(set, {.test_patients = 50}), std::runtime_error);
}

TEST_F(SplitTest, ByRowPartsEachClass) {
    std::vector<Row> rows;
    for (int i = 0; i < 300; ++i) {
        rows.push_back({-1, i % 10 == 0});
    }
    const PackedSet set = make(rows);
    const Split split = split_by_row(set, {.test_fraction = 0.3, .seed = 2});
    int cancer = 0;
    std::set<int> all(split.train.begin(), split.train.end());
    for (const int row : split.test) {
        cancer += set.labels()[row];
        all.insert(row);
    }
    EXPECT_EQ(split.test.size(), 90u);
    EXPECT_EQ(cancer, 9);
    EXPECT_EQ(all.size(), 300u);
    EXPECT_EQ(split_by_row(set, {.test_fraction = 0.3, .seed = 2}).test, split.test);
    EXPECT_THROW(split_by_row(make({{-1, 0}, {-1, 0}, {-1, 1}})), std::runtime_error);
}

} // namespace
} // namespace patchforge
