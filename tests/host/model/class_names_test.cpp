#include "host/model/class_names.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace patchforge {
namespace {

using Names = std::vector<std::string>;
using Numbers = std::vector<std::int32_t>;

TEST(ClassNames, MatchByNameAndElseByNumber) {
    const Names tissue = {"no cancer", "cancer"};
    EXPECT_EQ(match_classes(Names{"cancer", "no cancer"}, tissue), (Numbers{1, 0}));
    EXPECT_EQ(match_classes(Names{"0", "1"}, tissue), (Numbers{0, 1}));
    EXPECT_EQ(match_classes(Names{"1"}, tissue), (Numbers{1}));
    EXPECT_EQ(match_classes(Names{"01"}, tissue), (Numbers{1}));
    EXPECT_EQ(match_classes(Names{"2", "-1", "", "1x", "Cancer"}, tissue),
              (Numbers{-1, -1, -1, -1, -1}));
    // A name is a name, even where it looks like the number of another class.
    EXPECT_EQ(match_classes(Names{"1", "0"}, Names{"1", "0"}), (Numbers{0, 1}));
    EXPECT_EQ(match_classes(Names{}, tissue), Numbers{});
    EXPECT_EQ(match_classes(Names{"0"}, Names{}), (Numbers{-1}));
}

TEST(ClassNames, FoldersSortAsTheClassesDo) {
    EXPECT_EQ(class_folders({"cat", "dog"}), (Names{"cat", "dog"}));
    EXPECT_EQ(class_folders({"no cancer", "cancer"}), (Names{"0", "1"}));
    EXPECT_EQ(class_folders({"a/b", "c"}), (Names{"0", "1"}));
    EXPECT_EQ(class_folders({".hidden", "c"}), (Names{"0", "1"}));
    const Names eleven = {"k", "j", "i", "h", "g", "f", "e", "d", "c", "b", "a"};
    const Names folders = class_folders(eleven);
    EXPECT_EQ(folders.front(), "00");
    EXPECT_TRUE(std::is_sorted(folders.begin(), folders.end()));
    EXPECT_EQ(match_classes(folders, eleven), (Numbers{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10}));
}

} // namespace
} // namespace patchforge
