#include "host/session/session.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <stdexcept>
#include <unistd.h>
#include <utility>

#include "data/atomic_file.h"
#include "host/files/json.h"
#include "host/model/classifier_members.h"
#include "host/ranks/shared_rows.h"
#include "host/run/parameters_file.h"
#include "host/run/progress.h"

namespace patchforge {

namespace fs = std::filesystem;

namespace {

// Of the folder that is there, where `folder` is still to be made in it.
void require_writable(const fs::path& folder) {
    fs::path there = fs::absolute(folder);
    if (fs::exists(there) && !fs::is_directory(there)) {
        return; // refused as what it is
    }
    while (!fs::exists(there) && there.has_relative_path()) {
        there = there.parent_path();
    }
    if (::faccessat(AT_FDCWD, (there / ".").c_str(), W_OK | X_OK, AT_EACCESS) != 0) {
        throw std::runtime_error(
            fmt::format("--out {}: no file can be made there: {}; name another folder",
                        folder.string(), std::strerror(errno)));
    }
}

} // namespace

bool ResultsPlace::writes() const {
    return !out.empty() && SharedRows::writes();
}

bool ResultsPlace::within_run() const {
    return mark.empty() && earlier == Earlier::kept && is_run_folder(out);
}

void ResultsPlace::check() const {
    if (out.empty()) {
        return;
    }
    refuse_pipes(out);
    require_writable(out);
    if (within_run()) {
        return;
    }
    if (!mark.empty() && (is_run_folder(out) || fs::is_directory(member_folder(out, 0)))) {
        throw std::invalid_argument(fmt::format(
            "--out {}: is the folder of a training run; name another one", out.string()));
    }
    if (!mark.empty() && fs::exists(out / "report.html") && !fs::exists(out / mark)) {
        throw std::invalid_argument(fmt::format(
            "--out {}: holds the report of something else; name another folder", out.string()));
    }
    OutputFolder::check(out, verb, inputs, earlier);
}

Session::Session(ResultsPlace place) : place_(std::move(place)) {
    if (!writes()) {
        return;
    }
    place_.check();
    if (!place_.within_run()) {
        folder_.emplace(place_.out, place_.verb, place_.inputs, place_.earlier);
    }
}

void Session::empty(const fs::path& folder) {
    if (folder_) {
        folder_->empty(folder);
    }
}

void Session::write(const std::string& name, const std::string& text) const {
    if (writes()) {
        write_file_atomically(place_.out / name, text);
    }
}

void Session::complete(const Report& page, const std::string& name, const std::string& more) {
    if (writes()) {
        page.write(place_.out / name);
        complete();
        print_line(fmt::format("Look at {}{}", (place_.out / name).string(), more));
    }
}

void Session::complete(const Report& page, const Json& document, const JobListeners& listeners) {
    if (listeners.page) {
        listeners.page->append(page);
    }
    if (listeners.document) {
        *listeners.document = document;
    }
    write(place_.mark, document.dump(2) + "\n");
    complete(page);
}

void Session::complete() {
    if (folder_) {
        folder_->complete();
    }
}

} // namespace patchforge
