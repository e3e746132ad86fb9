// Runs the built programs as a user does.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace patchforge::testing {

struct Outcome {
    int status = 0;     // exit status, or -signal
    std::string output; // stdout and stderr together
};

// `arguments`, then `options`; an option that stands in both keeps its place and takes the new value.
std::vector<std::string> with_options(std::vector<std::string> arguments,
                                      const std::vector<std::string>& options);

// "patchforge-cpu", or "patchforge-simt": with the CUDA path on the executor. Not through a shell.
std::string program_path(const std::string& program);
Outcome run_program(const std::string& program, const std::vector<std::string>& arguments);
inline Outcome patchforge(const std::vector<std::string>& arguments) {
    return run_program("patchforge-cpu", arguments);
}

// The same; sends `signal` when the output holds `text` for the first time.
Outcome run_and_signal(const std::string& program, const std::vector<std::string>& arguments,
                       const std::string& text, int signal);

// A training into the folder `run`, killed with SIGKILL and gone on with by --resume, `kills` times
// at most: after `milliseconds`, twice as many, and so on. Then it may end.
struct InterruptedRun {
    Outcome last;  // status 0: it came to its end
    int kills = 0; // that it took before
};
InterruptedRun run_through_kills(const std::string& program, std::vector<std::string> arguments,
                                 const std::filesystem::path& run, int kills, int milliseconds);

// Until no process holds the lock of a run's folder: one that was killed keeps it while the disk does not answer.
void await_release(const std::filesystem::path& run);

// A folder of its own for one test, removed at the end.
class ScratchFolder {
  public:
    explicit ScratchFolder(const std::string& name);
    ~ScratchFolder();
    std::string operator/(const std::string& name) const { return (path_ / name).string(); }
    const std::filesystem::path& path() const { return path_; }

  private:
    std::filesystem::path path_;
};

std::string bytes_of_file(const std::filesystem::path& path);
// ../shared/data/<name> or $PATCHFORGE_REAL_DATA/<name>; empty when it is not there.
std::filesystem::path real_data(const std::string& name);

} // namespace patchforge::testing
