// What cannot be written is said before the work.
#include <gtest/gtest.h>

#include "host/session/named_file.h"
#include "host/session/session.h"
#include "tests/data/folder_fixture.h"
#include "tests/data/unprivileged.h"
#include "tests/host/temporary_folder.h"

namespace patchforge {
namespace {

namespace fs = std::filesystem;

class SessionTest : public ::testing::Test {
  protected:
    SessionTest() {
        fs::permissions(folder_.path(), fs::perms(0755));
        fs::create_directory(folder_ / "closed");
        fs::permissions(folder_ / "closed", fs::perms(0555));
    }
    TemporaryFolder folder_;
};

TEST_F(SessionTest, ANamedFileNeedsAFolderThatMayBeWrittenTo) {
    const auto check = [&](const std::string& name, bool makes_folders = false) {
        return error_of([&] { check_named_file("--csv", folder_ / name, "name,", makes_folders); });
    };
    EXPECT_EQ(check("new.csv"), "");
    EXPECT_TRUE(fs::is_empty(folder_ / "closed"));
    EXPECT_FALSE(fs::exists(folder_ / "new.csv"));
    EXPECT_NE(check("none/new.csv").find("create the folder first"), std::string::npos);
    EXPECT_EQ(check("none/new.csv", true), "");
    put(folder_ / "own.csv", "name,label\n");
    put(folder_ / "foreign.csv", "years of work");
    EXPECT_EQ(check("own.csv"), "");
    EXPECT_NE(check("foreign.csv").find("--csv"), std::string::npos);
    EXPECT_EQ(contents(folder_ / "own.csv") + contents(folder_ / "foreign.csv"),
              "name,label\nyears of work");
    EXPECT_EQ(error_of([] { check_named_file("--csv", "-", "name,"); }), "");
    const Unprivileged scope;
    if (scope.still_root()) {
        GTEST_SKIP() << "root may write anywhere";
    }
    for (const bool makes_folders : {false, true}) {
        EXPECT_NE(check("closed/new.csv", makes_folders).find("a folder you may write to"),
                  std::string::npos);
    }
}

TEST_F(SessionTest, ResultsGoToAFolderThatMayBeWrittenTo) {
    const auto check = [&](const std::string& name) {
        return error_of([&] { ResultsPlace{.verb = "evaluate", .out = folder_ / name}.check(); });
    };
    put(folder_ / "file", "");
    fs::create_directory(folder_ / "run");
    put(folder_ / "run/params.json", R"({"run": "train gan", "parameters": {}})");
    for (const char* name : {"new", "new/within/new", "run"}) {
        EXPECT_EQ(check(name), "");
    }
    EXPECT_NE(check("file/new").find("no file can be made there: Not a directory"),
              std::string::npos);
    fs::permissions(folder_ / "run", fs::perms(0555));
    const Unprivileged scope;
    if (scope.still_root()) {
        GTEST_SKIP() << "root may write anywhere";
    }
    for (const char* name : {"closed", "closed/new", "run"}) {
        EXPECT_EQ(check(name), "--out " + (folder_ / name).string() +
                                   ": no file can be made there: Permission denied; name another "
                                   "folder");
    }
}

} // namespace
} // namespace patchforge
