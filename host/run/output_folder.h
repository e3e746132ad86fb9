// A folder that one call of a verb fills. The list of the files that it makes (.patchforge, whose lock keeps other calls
// out) tells the next call what may be taken back: these files, and nothing that anybody else put beside them.
//
//   patchforge generate      whose folder it is
//   file fake_000000.png     before the file is made; \n and \\ for a line break and a backslash
//   complete                 what stands before is a whole result
#pragma once

#include <filesystem>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "data/new_files.h"

namespace patchforge {

// The lock of a folder, which is made with its parents. Throws std::runtime_error when another process has it.
class FolderLock {
  public:
    explicit FolderLock(const std::filesystem::path& folder);
    ~FolderLock();
    FolderLock(const FolderLock&) = delete;
    FolderLock& operator=(const FolderLock&) = delete;
    int descriptor() const { return descriptor_; }

  private:
    int descriptor_;
};

// Throws where a folder that is written into holds a named pipe, a socket or a device: whoever opens one of them
// under a file's name waits for its other end, or worse.
void refuse_pipes(const std::filesystem::path& folder);

// Whether a folder holds anything but a list.
bool holds_other_files(const std::filesystem::path& folder);

// What becomes of the whole result of an earlier call. What was left half done is taken back in any case.
enum class Earlier {
    removed,
    kept,  // a further call adds to it
    aside, // in <folder>.earlier until the new one is complete
};

class OutputFolder {
  public:
    // Options and what they name: nothing that is read may lie in a folder that is written.
    using Inputs = std::vector<std::pair<std::string, std::filesystem::path>>;

    // Throws std::invalid_argument for a path that is no folder, an input within it and, but for Earlier::kept, a folder
    // that holds anything and was not made by `verb`; std::runtime_error when another process writes there.
    OutputFolder(const std::filesystem::path& path, const std::string& verb, const Inputs& inputs,
                 Earlier earlier);
    ~OutputFolder();
    OutputFolder(const OutputFolder&) = delete;
    OutputFolder& operator=(const OutputFolder&) = delete;

    // Absolute, without links and a slash at its end.
    const std::filesystem::path& path() const { return path_; }

    // Takes back what earlier calls made in a folder within this one. Throws std::invalid_argument when anything is left.
    void empty(const std::filesystem::path& folder);

    // The result is whole.
    void complete();

    // What the constructor refuses, before there is anything to write.
    static void check(const std::filesystem::path& path, const std::string& verb,
                      const Inputs& inputs, Earlier earlier);

  private:
    void hear(const std::filesystem::path& path);
    void append(const std::string& line);

    std::filesystem::path path_;
    std::filesystem::path aside_; // empty: none
    FolderLock lock_;
    std::set<std::string> made_; // relative to path_
    // The folder of the file heard of last, as it was named and without links: thousands of files follow each other in one.
    std::pair<std::filesystem::path, std::filesystem::path> heard_in_;
    bool complete_ = false;
    NewFileListener listener_; // the last to be made, the first to go
};

} // namespace patchforge
