#include "data/open_data_set.h"

#include "data/describe.h"
#include "tests/data/folder_fixture.h"

#include <algorithm>
#include <csignal>
#include <map>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

namespace patchforge {
namespace {

namespace fs = std::filesystem;

class OpenDataSetTest : public FolderTest {
  protected:
    void SetUp() override {
        FolderTest::SetUp();
        in_ = folder_ / "my patches";
        options_.cache = folder_ / "cache";
        for (int i = 0; i < 4; ++i) {
            write_pattern(in_ / (std::to_string(i) + ".png"), 5, 4, i);
        }
    }

    /// Opens the folder; true when it had to be packed.
    bool packs() {
        bool packed = false;
        open_data_set(in_, options_, [&](std::int64_t, std::int64_t) { packed = true; });
        return packed;
    }
    int cached_sets() const {
        int count = 0;
        for (const auto& file : fs::directory_iterator(options_.cache)) {
            count += file.path().extension() == ".pfs";
        }
        return count;
    }

    fs::path in_;
    OpenOptions options_;
};

TEST_F(OpenDataSetTest, AFolderIsPackedOnceWhileUnchanged) {
    EXPECT_TRUE(packs());
    EXPECT_FALSE(packs());
    write_pattern(in_ / "5.png", 5, 4, 5);
    EXPECT_TRUE(packs());
    EXPECT_FALSE(packs());
    fs::last_write_time(in_ / "1.png", fs::file_time_type::clock::now() + std::chrono::hours(1));
    EXPECT_TRUE(packs());
    fs::rename(in_ / "1.png", in_ / "one.png");
    EXPECT_TRUE(packs());
    EXPECT_EQ(cached_sets(), 1) << "packs of older states are removed";
    EXPECT_EQ(open_data_set(in_, options_).count(), 5);
}

TEST_F(OpenDataSetTest, SeveralSetsAreOne) {
    write_pattern(folder_ / "a/7/benign/1.png", 5, 4, 1);
    write_pattern(folder_ / "a/7/tumour/2.png", 5, 4, 2);
    write_pattern(folder_ / "b/7/tumour/3.png", 5, 4, 3);
    write_pattern(folder_ / "b/8/other/4.png", 5, 4, 4);
    write_pattern(folder_ / "wide/8/other/4.png", 6, 4, 4);
    options_.pack.folder.layout = Layout::patients;
    const auto both = [&](const char* second) {
        return (folder_ / "a").string() + "," + (folder_ / second).string();
    };
    const PackedSet set = open_data_set(both("b"), options_);
    EXPECT_EQ(set.path(), both("b"));
    ASSERT_EQ(set.count(), 4);
    const std::vector<std::string> classes = {"benign", "tumour", "other"};
    EXPECT_TRUE(std::ranges::equal(set.class_names(), classes));
    EXPECT_EQ(std::vector<std::int32_t>(set.labels().begin(), set.labels().end()),
              (std::vector<std::int32_t>{0, 1, 1, 2}));
    EXPECT_EQ(std::vector<std::int32_t>(set.patients().begin(), set.patients().end()),
              (std::vector<std::int32_t>{0, 0, 0, 1}));
    const PackedSet second = open_data_set(folder_ / "b", options_);
    EXPECT_TRUE(std::ranges::equal(set.patch(3), second.patch(1)));
    EXPECT_EQ(set.name(3), second.name(1));
    EXPECT_THROW(open_data_set(both("wide"), options_), std::invalid_argument);
    EXPECT_THROW(open_data_set(both("none"), options_), std::runtime_error);
    // A folder whose name has a comma is itself.
    fs::rename(folder_ / "b", folder_ / "c,d");
    EXPECT_EQ(open_data_set(folder_ / "c,d", options_).count(), 2);
}

TEST_F(OpenDataSetTest, OtherOptionsAreAnotherSet) {
    EXPECT_TRUE(packs());
    options_.pack.channels = 1;
    EXPECT_TRUE(packs());
    EXPECT_EQ(open_data_set(in_, options_).channels(), 1);
    options_.pack.threads = 3; // changes no byte
    EXPECT_FALSE(packs());
    EXPECT_EQ(cached_sets(), 2);
}

TEST_F(OpenDataSetTest, ADamagedCacheIsMadeAgain) {
    EXPECT_TRUE(packs());
    for (const auto& file : fs::directory_iterator(options_.cache)) {
        fs::resize_file(file.path(), 5000);
    }
    EXPECT_TRUE(packs());
    EXPECT_EQ(open_data_set(in_, options_).count(), 4);
}

TEST_F(OpenDataSetTest, APackedFileIsOpenedAsItIs) {
    const fs::path file = folder_ / "set.pfs";
    pack_folder(in_, file);
    EXPECT_EQ(open_data_set(file, options_).count(), 4);
    EXPECT_FALSE(fs::exists(options_.cache));
    EXPECT_NE(error_of([&] { open_data_set(folder_ / "none", options_); }).find("does not exist"),
              std::string::npos);
    EXPECT_NE(
        error_of([&] { open_data_set(in_ / "1.png", options_); }).find("not a packed set (.pfs)"),
        std::string::npos);
}

TEST_F(OpenDataSetTest, PartsAreSetsOfTheirOwn) {
    write_pattern(in_ / "train/cat/1.png", 5, 4, 1);
    write_pattern(in_ / "train/dog/1.png", 5, 4, 2);
    write_pattern(in_ / "test/dog/1.png", 5, 4, 3);
    for (int i = 0; i < 4; ++i) {
        fs::remove(in_ / (std::to_string(i) + ".png"));
    }
    const auto count = [&](Part usual) {
        options_.pack.folder.usual_part = usual;
        return open_data_set(in_, options_).count();
    };
    EXPECT_EQ(count(Part::train), 2);
    EXPECT_EQ(count(Part::test), 1);
    EXPECT_EQ(count(Part::all), 3);
    EXPECT_EQ(cached_sets(), 3);
    EXPECT_EQ(open_data_set(in_, options_).path(), in_) << "not the file in the cache";
}

TEST_F(OpenDataSetTest, ACacheThatOthersMayWriteToIsMadePrivate) {
    EXPECT_TRUE(packs());
    EXPECT_EQ(fs::status(options_.cache).permissions(), fs::perms::owner_all);
    fs::permissions(options_.cache, fs::perms::all);
    EXPECT_FALSE(packs());
    EXPECT_EQ(fs::status(options_.cache).permissions(), fs::perms::owner_all);
    if (::geteuid() != 0) {
        GTEST_SKIP() << "only root can make a folder of another user";
    }
    ASSERT_EQ(::chown(options_.cache.c_str(), 12345, 12345), 0);
    EXPECT_NE(error_of([&] { packs(); }).find("belongs to another user"), std::string::npos);
}

// No space left: stood in for by the limit on a file's size, in a child so that it ends with it.
TEST_F(OpenDataSetTest, AFullCacheNamesWhatWasGiven) {
    const pid_t child = ::fork();
    if (child == 0) {
        std::signal(SIGXFSZ, SIG_IGN);
        const rlimit limit{16, 16};
        ::setrlimit(RLIMIT_FSIZE, &limit);
        const std::string error = error_of([&] { packs(); });
        ::_exit(error.starts_with(in_.string() + ": no room for it in the cache: ") &&
                        error.find("; set XDG_CACHE_HOME to") != std::string::npos
                    ? 0
                    : 1);
    }
    int status = -1;
    ::waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
}

TEST_F(OpenDataSetTest, TheCacheFolderFollowsTheEnvironment) {
    const char* before = std::getenv("XDG_CACHE_HOME");
    const std::string saved = before ? before : "";
    setenv("XDG_CACHE_HOME", "/some/where", 1);
    EXPECT_EQ(default_cache_folder(), fs::path("/some/where/patchforge"));
    setenv("XDG_CACHE_HOME", "relative", 1);
    EXPECT_NE(default_cache_folder(), fs::path("relative/patchforge"));
    unsetenv("XDG_CACHE_HOME");
    const char* home = std::getenv("HOME");
    const std::string own = home ? home : "";
    setenv("HOME", folder_.c_str(), 1);
    EXPECT_EQ(default_cache_folder(), folder_ / ".cache/patchforge");
    setenv("HOME", (folder_ / "none").c_str(), 1); // as of nobody
    EXPECT_NE(default_cache_folder().string().find("patchforge-cache-"), std::string::npos);
    home ? setenv("HOME", own.c_str(), 1) : unsetenv("HOME");
    before ? setenv("XDG_CACHE_HOME", saved.c_str(), 1) : unsetenv("XDG_CACHE_HOME");
}

TEST_F(OpenDataSetTest, DescribeKnowsEveryKind) {
    const auto fact = [](const fs::path& path, const std::string& name) {
        const Facts facts = describe_data(path);
        return std::map<std::string, std::string>(facts.begin(), facts.end())[name];
    };
    const fs::path file = folder_ / "set.pfs";
    pack_folder(in_, file);
    EXPECT_EQ(fact(file, "patches"), "4");
    EXPECT_EQ(fact(file, "size"), "3 x 4 x 5 (channels, height, width)");
    EXPECT_EQ(fact(in_, "layout"), "flat folder");
    EXPECT_EQ(fact(in_, "pictures"), "4");
    EXPECT_EQ(fact(in_ / "1.png", "size"), "5 x 4 (width, height)");
    write_text(folder_ / "t10k-labels-idx1-ubyte", std::string("\0\0\10\1\0\0\0\2ab", 10));
    EXPECT_EQ(fact(folder_ / "t10k-labels-idx1-ubyte", "sizes"), "2");
    write_text(folder_ / "x.txt", "x");
    EXPECT_THROW(describe_data(folder_ / "x.txt"), std::runtime_error);
    EXPECT_FALSE(is_data(folder_ / "x.txt"));
    EXPECT_TRUE(is_data(file));
    write_text(file, read_text(file).substr(0, 4200));
    EXPECT_THROW(describe_data(file), std::runtime_error);
}

} // namespace
} // namespace patchforge
