#include "data/atomic_file.h"

#include "tests/data/folder_fixture.h"

#include <csignal>
#include <sys/resource.h>

namespace patchforge {
namespace {

namespace fs = std::filesystem;

class AtomicFileTest : public FolderTest {
  protected:
    int files() const {
        int count = 0;
        for ([[maybe_unused]] const auto& file : fs::directory_iterator(folder_)) {
            ++count;
        }
        return count;
    }
};

TEST_F(AtomicFileTest, NothingAppearsBeforeCommit) {
    const fs::path path = folder_ / "a.bin";
    {
        AtomicFile file(path);
        file.write("half");
        EXPECT_FALSE(fs::exists(path));
    }
    EXPECT_EQ(files(), 0);
}

TEST_F(AtomicFileTest, AnOlderFileStaysUntilCommit) {
    const fs::path path = folder_ / "a.bin";
    write_file_atomically(path, "old");
    {
        AtomicFile file(path);
        file.write("new and not committed");
    }
    EXPECT_EQ(read_text(path), "old");
    write_file_atomically(path, "new");
    EXPECT_EQ(read_text(path), "new");
    EXPECT_EQ(files(), 1);
}

TEST_F(AtomicFileTest, SeekingBackFillsAHeader) {
    const fs::path path = folder_ / "a.bin";
    AtomicFile file(path);
    file.seek(4);
    file.write("body");
    EXPECT_EQ(file.position(), 8u);
    file.seek(0);
    file.write("head");
    file.commit();
    EXPECT_EQ(read_text(path), "headbody");
}

TEST_F(AtomicFileTest, ALinkIsFollowed) {
    write_file_atomically(folder_ / "target", "old");
    fs::create_symlink("target", folder_ / "link");
    write_file_atomically(folder_ / "link", "new");
    EXPECT_TRUE(fs::is_symlink(folder_ / "link"));
    EXPECT_EQ(read_text(folder_ / "target"), "new");
}

TEST_F(AtomicFileTest, LongAndUnusualNamesWork) {
    for (const std::string& name : {std::string(255, 'n'), std::string("ein Bild – größer.png")}) {
        write_file_atomically(folder_ / name, "x");
        EXPECT_EQ(read_text(folder_ / name), "x");
    }
}

TEST_F(AtomicFileTest, ErrorsNameTheFileAndSayWhatToDo) {
    const fs::path missing = folder_ / "no such folder" / "a.bin";
    const std::string error = error_of([&] { write_file_atomically(missing, "x"); });
    EXPECT_TRUE(error.starts_with(missing.string() + ": ")) << error;
    EXPECT_NE(error.find("; create the folder"), std::string::npos) << error;
    EXPECT_NE(error_of([&] { write_file_atomically(folder_, "x"); }), "");
}

TEST_F(AtomicFileTest, AFullDiskLeavesTheOldFile) {
    const fs::path path = folder_ / "a.bin";
    write_file_atomically(path, "old");
    // A limit on the file size fails the write as a full disk does.
    rlimit before{};
    getrlimit(RLIMIT_FSIZE, &before);
    const rlimit small{1000, before.rlim_max};
    const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &small);
    const std::string error =
        error_of([&] { write_file_atomically(path, std::string(5000, 'x')); });
    setrlimit(RLIMIT_FSIZE, &before);
    std::signal(SIGXFSZ, old_handler);
    EXPECT_TRUE(error.starts_with(path.string() + ": cannot write")) << error;
    EXPECT_EQ(read_text(path), "old");
    EXPECT_EQ(files(), 1);
}

} // namespace
} // namespace patchforge
