#include "host/cli/json_output.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <utility>

namespace patchforge {

namespace {

[[noreturn]] void refuse() {
    throw std::runtime_error(fmt::format(
        "standard output: cannot be written to: {}; check where it goes", std::strerror(errno)));
}

// Whatever is printed from here on goes to standard error. What was standard output.
int part_standard_output() {
    std::fflush(stdout);
    const int output = ::dup(STDOUT_FILENO);
    if (output < 0 || ::dup2(STDERR_FILENO, STDOUT_FILENO) < 0) {
        refuse();
    }
    return output;
}

void write_all(int output, const std::string& text) {
    for (std::size_t done = 0; done < text.size();) {
        const ssize_t count = ::write(output, text.data() + done, text.size() - done);
        if (count < 0 && errno != EINTR) {
            refuse();
        }
        done += count > 0 ? static_cast<std::size_t>(count) : 0;
    }
}

} // namespace

void answer_in_json(Verb& verb, std::function<void(const Tell&)> work) {
    const auto wanted = std::make_shared<bool>(false);
    verb.options
        .toggle("json", *wanted,
                "one JSON document on standard output, everything else on standard error")
        .unrecorded();
    verb.run = [wanted, work = std::move(work)] {
        if (!*wanted) {
            work([](const Json&) {});
            return;
        }
        const int output = part_standard_output();
        work([output](const Json& document) { write_all(output, document.dump(2) + '\n'); });
    };
}

} // namespace patchforge
