#include "host/trial/output_folder.h"

#include <fmt/format.h>

#include <stdexcept>

#include "host/model/classifier_members.h"
#include "host/run/parameters_file.h"

namespace patchforge {

namespace fs = std::filesystem;

void check_output_folder(const fs::path& out, const std::string& mark) {
    if (out.empty() || !fs::exists(out)) {
        return;
    }
    if (!fs::is_directory(out)) {
        throw std::invalid_argument(
            fmt::format("--out {}: is a file; name a folder", out.string()));
    }
    if (is_run_folder(out) || fs::is_directory(member_folder(out, 0))) {
        throw std::invalid_argument(fmt::format(
            "--out {}: is the folder of a training run; name another one", out.string()));
    }
    if (fs::exists(out / "report.html") && !fs::exists(out / mark)) {
        throw std::invalid_argument(fmt::format(
            "--out {}: holds the report of something else; name another folder", out.string()));
    }
}

} // namespace patchforge
