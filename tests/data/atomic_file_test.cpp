#include "data/atomic_file.h"

#include "tests/data/folder_fixture.h"

#include <csignal>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <thread>

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

TEST_F(AtomicFileTest, FilesThatGoToTheDiskLaterAppearWholeToo) {
    const fs::path path = folder_ / "a.bin";
    const std::vector<std::uint8_t> bytes{1, 2, 3};
    write_file_atomically(path, "old");
    {
        AtomicFile file(path);
        file.write(bytes);
        EXPECT_EQ(read_text(path), "old");
        file.commit(OnDisk::later);
    }
    EXPECT_EQ(read_text(path), "\1\2\3");
    write_file_atomically(folder_ / "b.bin", bytes, OnDisk::later);
    bring_to_disk(folder_);
    EXPECT_EQ(files(), 2);
    EXPECT_EQ(read_text(folder_ / "b.bin"), "\1\2\3");
    const std::string error = error_of([&] { bring_to_disk(folder_ / "missing"); });
    EXPECT_TRUE(error.starts_with((folder_ / "missing").string() + ": cannot bring")) << error;
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

TEST_F(AtomicFileTest, PipesAndStreamsAreWrittenToAndStay) {
    const fs::path pipe = folder_ / "pipe";
    ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
    std::string read;
    std::thread reader([&] { read = read_text(pipe); });
    write_file_atomically(pipe, "through the pipe");
    reader.join();
    EXPECT_EQ(read, "through the pipe");
    EXPECT_TRUE(fs::is_fifo(pipe));
    write_file_atomically("/dev/null", "gone");
    EXPECT_TRUE(fs::is_character_file("/dev/null"));
    EXPECT_NE(error_of([] { write_file_atomically("/dev/full", "x"); }).find("/dev/full: cannot"),
              std::string::npos);
    EXPECT_EQ(files(), 1);
}

TEST_F(AtomicFileTest, OurOwnDescriptorsGoOnWhereTheyStand) {
    const fs::path path = folder_ / "redirected";
    const int file = ::open(path.c_str(), O_CREAT | O_WRONLY, 0600);
    ASSERT_EQ(::write(file, "before ", 7), 7);
    write_file_atomically("/dev/fd/" + std::to_string(file), "after");
    AtomicFile stream("/proc/self/fd/" + std::to_string(file));
    EXPECT_NE(error_of([&] { stream.seek(0); }).find("is a stream"), std::string::npos);
    ::close(file);
    EXPECT_EQ(read_text(path), "before after");
    EXPECT_NE(error_of([&] { write_file_atomically("/dev/fd/" + std::to_string(file), "x"); }), "");
    testing::internal::CaptureStdout();
    write_file_atomically("-", "to standard output");
    EXPECT_EQ(testing::internal::GetCapturedStdout(), "to standard output");
    EXPECT_FALSE(fs::exists("-"));
}

TEST_F(AtomicFileTest, SocketsAndFoldersAreLeftAlone) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string path = (folder_ / "s").string();
    ASSERT_LT(path.size(), sizeof address.sun_path);
    std::copy(path.begin(), path.end(), address.sun_path);
    const int socket = ::socket(AF_UNIX, SOCK_STREAM, 0);
    ASSERT_EQ(::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    EXPECT_NE(error_of([&] { write_file_atomically(path, "x"); }).find("is left alone"),
              std::string::npos);
    ::close(socket);
    EXPECT_TRUE(fs::is_socket(path));
    EXPECT_NE(error_of([&] { write_file_atomically(folder_, "x"); }).find("name a file"),
              std::string::npos);
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
