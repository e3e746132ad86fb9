#include "host/cli/json_output.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>
#include <stdexcept>

namespace patchforge {

namespace {

[[noreturn]] void refuse() {
    throw std::runtime_error(fmt::format(
        "standard output: cannot be written to: {}; check where it goes", std::strerror(errno)));
}

} // namespace

JsonOutput::~JsonOutput() {
    if (output_ >= 0) {
        ::close(output_);
    }
}

void JsonOutput::describe(Options& options) {
    options
        .toggle("json", wanted_,
                "one JSON document on standard output, everything else on standard error")
        .unrecorded();
}

void JsonOutput::begin() {
    if (!wanted_) {
        return;
    }
    std::fflush(stdout);
    output_ = ::dup(STDOUT_FILENO);
    if (output_ < 0 || ::dup2(STDERR_FILENO, STDOUT_FILENO) < 0) {
        refuse();
    }
}

void JsonOutput::write(const std::string& document) {
    const std::string text = document + '\n';
    for (std::size_t done = 0; output_ >= 0 && done < text.size();) {
        const ssize_t count = ::write(output_, text.data() + done, text.size() - done);
        if (count < 0 && errno != EINTR) {
            refuse();
        }
        done += count > 0 ? static_cast<std::size_t>(count) : 0;
    }
}

std::string json_text(const nlohmann::ordered_json& document) {
    return document.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

} // namespace patchforge
