// Commands as a shell runs them.
#pragma once

#include <array>
#include <cstdio>
#include <string>
#include <sys/wait.h>

namespace patchforge {

struct Outcome {
    int status = -1;
    std::string text; // stdout and stderr
};

inline Outcome shell(const std::string& command) {
    Outcome outcome;
    std::FILE* pipe = ::popen(("{ " + command + "; } 2>&1 < /dev/null").c_str(), "r");
    std::array<char, 4096> buffer{};
    while (const std::size_t count = std::fread(buffer.data(), 1, buffer.size(), pipe)) {
        outcome.text.append(buffer.data(), count);
    }
    const int status = ::pclose(pipe);
    outcome.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    return outcome;
}

} // namespace patchforge
