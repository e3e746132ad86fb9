#include "host/run/output_folder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <stdexcept>

#include "data/atomic_file.h"
#include "data/escape.h"
#include "host/files/json_file.h"
#include "host/run/progress.h"

namespace patchforge {

namespace {

namespace fs = std::filesystem;

constexpr const char* list_name = ".patchforge";

fs::path real_path(const fs::path& path) {
    fs::path real = fs::weakly_canonical(fs::absolute(path));
    return real.filename().empty() ? real.parent_path() : real;
}

bool is_within(const fs::path& path, const fs::path& folder) {
    const auto [at, end] = std::mismatch(folder.begin(), folder.end(), path.begin(), path.end());
    return at == folder.end();
}

std::string line_of(const fs::path& relative) {
    std::string line;
    for (const char letter : relative.string()) {
        line += letter == '\\' ? "\\\\" : letter == '\n' ? "\\n" : std::string(1, letter);
    }
    return line;
}

std::string name_in(std::string_view line) {
    std::string name;
    for (std::size_t i = 0; i < line.size(); ++i) {
        const bool escaped = line[i] == '\\' && i + 1 < line.size();
        name += !escaped ? line[i] : line[++i] == 'n' ? '\n' : line[i];
    }
    return name;
}

struct List {
    std::string verb;               // empty: no list, or none that says so
    std::vector<std::string> whole; // names of a complete result
    std::vector<std::string> begun; // of one that is not
    std::vector<std::string> all() const {
        std::vector<std::string> names = whole;
        names.insert(names.end(), begun.begin(), begun.end());
        return names;
    }
};

List read_list(const fs::path& folder) {
    List list;
    const fs::path file = folder / list_name;
    std::error_code ignored;
    if (!fs::exists(fs::symlink_status(file, ignored))) {
        return list;
    }
    constexpr std::string_view first = "patchforge ", made = "file ";
    for (const std::string& line :
         whole_lines(file)) { // a torn last one names a file that was not made
        if (line.starts_with(first) && list.verb.empty()) {
            list.verb = line.substr(first.size());
        } else if (line.starts_with(made)) {
            list.begun.push_back(name_in(line.substr(made.size())));
        } else if (line == "complete") {
            list.whole = list.all();
            list.begun.clear();
        }
    }
    return list;
}

// The path of a name in a list, or an empty one where it leads out of the folder or through a link.
fs::path listed_path(const fs::path& folder, const std::string& name) {
    fs::path path = folder;
    const fs::path relative(name);
    std::error_code ignored;
    for (const fs::path& part : relative) {
        if (relative.is_absolute() || part == ".." || part == "." || part.empty() ||
            fs::is_symlink(path, ignored)) {
            return {};
        }
        path /= part;
    }
    return fs::is_regular_file(fs::symlink_status(path, ignored)) ? path : fs::path();
}

// Calls `leave` with the path of each file that is still there; then folders that are empty go.
template <class F>
void take_back(const fs::path& folder, const std::vector<std::string>& names, F leave) {
    std::set<fs::path> parents;
    for (const std::string& name : names) {
        const fs::path path = listed_path(folder, name);
        for (fs::path up = fs::path(name).parent_path(); !up.empty() && up != up.parent_path();
             up = up.parent_path()) {
            parents.insert(folder / up);
        }
        if (!path.empty()) {
            leave(path);
        }
    }
    for (auto at = parents.rbegin(); at != parents.rend(); ++at) { // the inner ones first
        remove_abandoned_temporaries(*at);
        ::rmdir(at->c_str());
    }
    remove_abandoned_temporaries(folder);
}

void remove_file(const fs::path& path) {
    std::error_code error;
    if (!fs::remove(path, error) && error) {
        throw std::runtime_error(fmt::format("{}: cannot be taken back: {}; check its permissions",
                                             path.string(), error.message()));
    }
}

fs::path beside(const fs::path& folder) {
    fs::path aside = folder;
    aside += ".earlier";
    return aside;
}

} // namespace

void refuse_pipes(const fs::path& folder) {
    std::error_code ignored;
    for (const auto& entry : fs::directory_iterator(folder, ignored)) {
        if (fs::exists(entry.status(ignored)) && !entry.is_regular_file(ignored) &&
            !entry.is_directory(ignored)) {
            throw std::runtime_error(
                fmt::format("{}: holds {}, which is neither a file nor a folder; move it away, or "
                            "choose another folder",
                            folder.string(), terminal_text(entry.path().filename().string())));
        }
    }
}

FolderLock::FolderLock(const fs::path& folder) : descriptor_(-1) {
    std::error_code error;
    fs::create_directories(folder, error);
    if (error) {
        throw std::runtime_error(fmt::format("{}: cannot make the folder: {}; choose one that you "
                                             "may write to",
                                             folder.string(), error.message()));
    }
    refuse_pipes(folder);
    const fs::path file = folder / list_name;
    tell_new_file(file); // of a folder around this one
    descriptor_ = ::open(file.c_str(),
                         O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666);
    struct stat facts {};
    if (descriptor_ < 0 || ::fstat(descriptor_, &facts) != 0 || !S_ISREG(facts.st_mode)) {
        const std::string reason =
            descriptor_ < 0 ? std::strerror(errno) : "it is not a regular file";
        ::close(descriptor_);
        throw std::runtime_error(
            fmt::format("{}: cannot be written to ({}: {}); choose another folder", folder.string(),
                        list_name, reason));
    }
    if (::flock(descriptor_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
        ::close(descriptor_);
        throw std::runtime_error(
            fmt::format("{}: another process is writing into this folder; wait for it or stop it",
                        folder.string()));
    }
}

FolderLock::~FolderLock() {
    ::close(descriptor_);
}

bool holds_other_files(const fs::path& folder) {
    std::error_code ignored;
    const fs::directory_iterator entries(folder, ignored);
    return std::any_of(begin(entries), end(entries), [](const fs::directory_entry& entry) {
        return entry.path().filename() != list_name;
    });
}

void OutputFolder::check(const fs::path& path, const std::string& verb, const Inputs& inputs,
                         Earlier earlier) {
    std::error_code ignored;
    if (fs::exists(path, ignored) && !fs::is_directory(path, ignored)) {
        throw std::invalid_argument(
            fmt::format("--out {}: is a file; name a folder", path.string()));
    }
    const fs::path folder = real_path(path);
    for (const auto& [option, input] : inputs) {
        if (!input.empty() && fs::exists(input, ignored) && is_within(real_path(input), folder)) {
            throw std::invalid_argument(
                fmt::format("--out {}: holds what {} reads, {}; name another folder", path.string(),
                            option, input.string()));
        }
    }
    if (earlier == Earlier::kept) {
        return;
    }
    const List list = read_list(folder);
    if (!list.verb.empty() && list.verb != verb) {
        throw std::invalid_argument(
            fmt::format("--out {}: `patchforge {}` made this folder; name another one",
                        path.string(), list.verb));
    }
    for (const auto& entry : fs::directory_iterator(folder, ignored)) {
        if (list.verb.empty() && entry.path().filename() != list_name) {
            throw std::invalid_argument(
                fmt::format("--out {}: holds {}, which `patchforge {}` did not make; name a new or "
                            "an empty folder",
                            path.string(), terminal_text(entry.path().filename().string()), verb));
        }
    }
}

OutputFolder::OutputFolder(const fs::path& path, const std::string& verb, const Inputs& inputs,
                           Earlier earlier)
    : path_((check(path, verb, inputs, earlier), real_path(path))), lock_(path_),
      listener_([this](const fs::path& made) { hear(made); }) {
    check(path_, verb, inputs, earlier); // now that nobody else writes
    const List list = read_list(path_);
    const auto rewrite = [&](const std::string& text) {
        if (::ftruncate(lock_.descriptor(), 0) != 0) {
            throw std::runtime_error(fmt::format("{}: cannot be written: {}; check its permissions",
                                                 (path_ / list_name).string(),
                                                 std::strerror(errno)));
        }
        append(text);
    };
    const std::string first = fmt::format("patchforge {}\n", verb);
    take_back(path_, list.begun, remove_file);
    if (earlier == Earlier::aside) {
        aside_ = beside(path_);
        if (!list.whole.empty()) {
            FolderLock theirs(aside_); // its list first: what is moved is known there
            std::string text = first;
            for (const std::string& name : list.whole) {
                text += "file " + line_of(name) + "\n";
            }
            text += "complete\n";
            (void)!::write(theirs.descriptor(), text.data(), text.size());
            take_back(path_, list.whole, [&](const fs::path& file) {
                const fs::path to = aside_ / file.lexically_relative(path_);
                fs::create_directories(to.parent_path());
                fs::rename(file, to);
            });
        }
    }
    if (earlier == Earlier::removed) {
        take_back(path_, list.whole, remove_file);
    }
    if (earlier == Earlier::kept) {
        std::string text = first;
        for (const std::string& name : list.whole) {
            made_.insert(name);
            text += "file " + line_of(name) + "\n";
        }
        rewrite(list.whole.empty() ? text : text + "complete\n");
    } else {
        rewrite(first);
    }
}

OutputFolder::~OutputFolder() {
    if (!complete_ && !aside_.empty() && fs::exists(aside_)) {
        print_line(fmt::format("The earlier result is in {}", aside_.string()));
    }
}

void OutputFolder::append(const std::string& line) {
    if (::write(lock_.descriptor(), line.data(), line.size()) !=
        static_cast<ssize_t>(line.size())) {
        throw std::runtime_error(fmt::format("{}: cannot be written: {}; free some space",
                                             (path_ / list_name).string(), std::strerror(errno)));
    }
}

void OutputFolder::hear(const fs::path& made) {
    if (made.parent_path() != heard_in_.first || heard_in_.second.empty()) {
        heard_in_ = {made.parent_path(),
                     real_path(made.parent_path().empty() ? "." : made.parent_path())};
    }
    const fs::path path = heard_in_.second / made.filename();
    if (is_within(path, path_)) {
        const std::string name = path.lexically_relative(path_).string();
        std::error_code ignored; // what was there before and is in no list is somebody else's
        if (name != list_name && !made_.contains(name) &&
            !fs::exists(fs::symlink_status(path, ignored))) {
            made_.insert(name);
            append("file " + line_of(name) + "\n");
        }
    }
}

void OutputFolder::empty(const fs::path& folder) {
    const fs::path within = real_path(folder);
    std::vector<std::string> names;
    for (const std::string& name : made_) {
        if (is_within(path_ / name, within)) {
            names.push_back(name);
        }
    }
    take_back(path_, names, remove_file);
    std::error_code ignored;
    std::set<fs::path> folders{
        within}; // a call that was killed may have made one and nothing in it
    for (const auto& entry : fs::recursive_directory_iterator(within, ignored)) {
        if (entry.is_directory(ignored) && !entry.is_symlink(ignored)) {
            folders.insert(entry.path());
        }
    }
    for (auto at = folders.rbegin(); at != folders.rend(); ++at) {
        ::rmdir(at->c_str());
    }
    if (fs::exists(within, ignored) && !fs::is_empty(within, ignored)) {
        throw std::invalid_argument(fmt::format(
            "{}: holds files that no earlier call made; name another --out", folder.string()));
    }
}

void OutputFolder::complete() {
    append("complete\n");
    complete_ = true;
    if (!aside_.empty() && fs::exists(aside_)) {
        List list = read_list(aside_);
        take_back(aside_, list.all(), remove_file);
        remove_file(aside_ / list_name);
        ::rmdir(aside_.c_str());
    }
}

} // namespace patchforge
