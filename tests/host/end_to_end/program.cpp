#include "tests/host/end_to_end/program.h"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <fstream>
#include <poll.h>
#include <sstream>
#include <stdexcept>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

namespace patchforge::testing {

namespace {

struct SignalAt {
    std::string text;
    int signal = 0;
};

Outcome run(const std::string& program, const std::vector<std::string>& arguments, int milliseconds,
            SignalAt at = {}) {
    const std::string path = program_path(program);
    std::vector<char*> argv = {const_cast<char*>(path.c_str())};
    for (const std::string& argument : arguments) {
        argv.push_back(const_cast<char*>(argument.c_str()));
    }
    argv.push_back(nullptr);
    int ends[2];
    if (pipe(ends) != 0) {
        throw std::runtime_error("pipe failed");
    }
    const pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], 1);
        dup2(ends[1], 2);
        close(ends[0]);
        close(ends[1]);
        execv(path.c_str(), argv.data());
        _exit(127);
    }
    close(ends[1]);
    Outcome outcome;
    char buffer[4096];
    bool killed = false;
    const auto start = std::chrono::steady_clock::now();
    for (;;) {
        pollfd readable = {ends[0], POLLIN, 0};
        int wait = -1;
        if (milliseconds >= 0 && !killed) {
            const auto passed = std::chrono::duration_cast<std::chrono::milliseconds>(
                std::chrono::steady_clock::now() - start);
            wait = std::max(0, milliseconds - static_cast<int>(passed.count()));
        }
        if (poll(&readable, 1, wait) == 0 || wait == 0) {
            kill(child, SIGKILL);
            killed = true;
            continue;
        }
        const ssize_t count = read(ends[0], buffer, sizeof buffer);
        if (count <= 0) {
            break;
        }
        outcome.output.append(buffer, static_cast<std::size_t>(count));
        if (at.signal != 0 && outcome.output.find(at.text) != std::string::npos) {
            kill(child, at.signal);
            at.signal = 0;
        }
    }
    close(ends[0]);
    int status = 0;
    waitpid(child, &status, 0);
    outcome.status = WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
    return outcome;
}

} // namespace

std::vector<std::string> with_options(std::vector<std::string> arguments,
                                      const std::vector<std::string>& options) {
    for (std::size_t i = 0; i < options.size(); ++i) {
        const auto found = std::find(arguments.begin(), arguments.end(), options[i]);
        if (found != arguments.end() && i + 1 < options.size() && options[i].starts_with("--")) {
            *(found + 1) = options[++i];
        } else {
            arguments.push_back(options[i]);
        }
    }
    return arguments;
}

std::string program_path(const std::string& program) {
    return "build/" + program;
}

Outcome run_program(const std::string& program, const std::vector<std::string>& arguments) {
    return run(program, arguments, -1);
}

Outcome run_and_signal(const std::string& program, const std::vector<std::string>& arguments,
                       const std::string& text, int signal) {
    return run(program, arguments, -1, {text, signal});
}

InterruptedRun run_through_kills(const std::string& program, std::vector<std::string> arguments,
                                 const std::filesystem::path& run_folder, int kills,
                                 int milliseconds) {
    InterruptedRun interrupted;
    for (int attempt = 1; attempt <= kills + 1; ++attempt) {
        const int limit = attempt <= kills ? attempt * milliseconds : -1;
        interrupted.last = run(program, arguments, limit);
        if (interrupted.last.status != -SIGKILL) {
            break;
        }
        ++interrupted.kills;
        // Killed before this file was there, the run has not begun.
        if (std::filesystem::exists(run_folder / "params.json") && arguments.back() != "--resume") {
            arguments.push_back("--resume");
        }
    }
    return interrupted;
}

void await_release(const std::filesystem::path& run) {
    const int log = open((run / "log.txt").c_str(), O_RDONLY | O_CLOEXEC);
    flock(log, LOCK_EX);
    close(log);
}

ScratchFolder::ScratchFolder(const std::string& name)
    : path_(std::filesystem::temp_directory_path() /
            ("patchforge-" + name + "-" + std::to_string(getpid()))) {
    std::filesystem::remove_all(path_);
    std::filesystem::create_directories(path_);
    // Packed folders of the tests stay out of the user's cache.
    setenv("XDG_CACHE_HOME", (path_ / "cache").c_str(), 1);
}

ScratchFolder::~ScratchFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
}

std::string bytes_of_file(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) {
        throw std::runtime_error(path.string() + ": cannot be read");
    }
    std::ostringstream bytes;
    bytes << file.rdbuf();
    return bytes.str();
}

std::filesystem::path real_data(const std::string& name) {
    const char* root = std::getenv("PATCHFORGE_REAL_DATA");
    const std::filesystem::path path = std::filesystem::path(root ? root : "../shared/data") / name;
    return std::filesystem::exists(path) ? path : std::filesystem::path();
}

} // namespace patchforge::testing
