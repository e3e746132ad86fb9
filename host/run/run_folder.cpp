#include "host/run/run_folder.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstring>
#include <fcntl.h>
#include <stdexcept>
#include <sys/file.h>
#include <unistd.h>

#include "data/atomic_file.h"
#include "data/escape.h"
#include "data/new_files.h"
#include "data/read_bytes.h"
#include "host/run/output_folder.h"
#include "host/run/parameters_file.h"
#include "host/run/progress.h"

namespace patchforge {

namespace {

namespace fs = std::filesystem;

constexpr const char* step_prefix = "step_";
constexpr std::uint64_t max_csv_bytes = std::uint64_t{1} << 32;

[[noreturn]] void fail(const fs::path& path, const char* action, int error) {
    throw std::runtime_error(fmt::format(
        "{}: cannot {}: {}; {}", path.string(), action, std::strerror(error),
        error == ENOSPC || error == EDQUOT ? "free some space and go on with --resume"
                                           : "check that the folder exists and may be written to"));
}

int open_or_fail(const fs::path& path, int flags) {
    tell_new_file(path);
    const int descriptor = ::open(path.c_str(), flags | O_CLOEXEC, 0666);
    if (descriptor < 0) {
        fail(path, "open the file", errno);
    }
    return descriptor;
}

void write_all(int descriptor, const fs::path& path, const void* bytes, std::size_t count) {
    const char* next = static_cast<const char*>(bytes);
    while (count > 0) {
        const ssize_t written = ::write(descriptor, next, count);
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written < 0) {
            fail(path, "write the file", errno);
        }
        next += written;
        count -= static_cast<std::size_t>(written);
    }
}

void sync_or_fail(int descriptor, const fs::path& path) {
    if (::fsync(descriptor) != 0) {
        fail(path, "bring the file to the disk", errno);
    }
}

void make_folder(const fs::path& folder) {
    std::error_code error;
    fs::create_directories(folder, error);
    if (error) {
        fail(folder, "make the folder", error.value());
    }
}

void write_new_file(const fs::path& path, std::span<const std::byte> bytes) {
    const int descriptor = open_or_fail(path, O_CREAT | O_TRUNC | O_WRONLY);
    try {
        write_all(descriptor, path, bytes.data(), bytes.size());
        sync_or_fail(descriptor, path);
    } catch (...) {
        ::close(descriptor);
        throw;
    }
    ::close(descriptor);
}

// Renamed before it is removed: a checkpoint that is half gone must not look complete.
void remove_checkpoint(const fs::path& folder) {
    const fs::path leaving =
        folder.parent_path() / fmt::format(".{}.leaving", folder.filename().string());
    std::error_code ignored;
    fs::remove_all(leaving, ignored);
    for (const auto& entry : fs::directory_iterator(folder, ignored)) {
        tell_new_file(leaving / entry.path().filename());
    }
    fs::rename(folder, leaving, ignored);
    fs::remove_all(leaving, ignored);
}

std::optional<std::int64_t> whole_number(std::string_view text) {
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || value < 0) {
        return std::nullopt;
    }
    return value;
}

std::string value_text(double value) {
    if (std::abs(value) < 9e15 && value == std::floor(value)) {
        return fmt::format("{}", static_cast<std::int64_t>(value));
    }
    return fmt::format("{:.7g}", value);
}

std::string header_of(const std::vector<std::string>& columns) {
    return fmt::format("step,{}\n", fmt::join(columns, ","));
}

// How many bytes of a CSV hold the header and the whole rows up to `last_step`.
std::size_t bytes_to_keep(std::string_view text, std::size_t header, std::int64_t last_step) {
    std::size_t kept = header;
    while (kept < text.size()) {
        const std::size_t end = text.find('\n', kept);
        const std::size_t comma = text.find(',', kept);
        if (end == std::string_view::npos || comma > end) {
            break;
        }
        const auto step = whole_number(text.substr(kept, comma - kept));
        if (!step || *step > last_step) {
            break;
        }
        kept = end + 1;
    }
    return kept;
}

// A process that was killed before params.json stood leaves an empty log, temporaries and empty folders: nobody's work.
void refuse_foreign_files(const fs::path& path) {
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(path, error)) {
        const std::string name = entry.path().filename().string();
        const bool empty =
            (name == "log.txt" || entry.is_directory(error)) && fs::is_empty(entry.path(), error);
        if (name == earlier_stage) {
            if (!is_run_folder(entry.path())) {
                refuse_foreign_files(entry.path());
            }
        } else if (!empty && !(name.starts_with("params.json.") && name.ends_with(".partial"))) {
            throw std::invalid_argument(fmt::format(
                "{}: the folder is not empty ({}) and holds no run; choose another name",
                path.string(), terminal_text(name)));
        }
    }
}

} // namespace

std::vector<Checkpoint> list_checkpoints(const fs::path& run) {
    std::vector<Checkpoint> found;
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(run / "checkpoints", error)) {
        const std::string name = entry.path().filename().string();
        std::error_code ignored;
        if (name.starts_with(step_prefix) && entry.is_directory(ignored)) {
            if (const auto step =
                    whole_number(std::string_view(name).substr(std::strlen(step_prefix)))) {
                found.push_back({*step, entry.path()});
            }
        }
    }
    if (error == std::errc::permission_denied) { // not the same as none
        throw fs::filesystem_error("list", run / "checkpoints", error);
    }
    std::sort(found.begin(), found.end(),
              [](const Checkpoint& a, const Checkpoint& b) { return a.step < b.step; });
    return found;
}

std::optional<Checkpoint> latest_checkpoint(const fs::path& run) {
    const std::vector<Checkpoint> all = list_checkpoints(run);
    return all.empty() ? std::nullopt : std::optional(all.back());
}

fs::path best_checkpoint(const fs::path& run) {
    return run / "checkpoints" / "best";
}

RunFolder::RunFolder(fs::path path) : path_(std::move(path)) {}

RunFolder::RunFolder(RunFolder&& other) noexcept
    : path_(std::move(other.path_)), log_(std::exchange(other.log_, -1)),
      metrics_(std::exchange(other.metrics_, -1)), metric_count_(other.metric_count_) {}

RunFolder::~RunFolder() {
    for (const int descriptor : {log_, metrics_}) {
        if (descriptor >= 0) {
            ::close(descriptor);
        }
    }
}

void RunFolder::open_log() {
    refuse_pipes(path_);
    const fs::path file = path_ / "log.txt";
    log_ = open_or_fail(file, O_CREAT | O_APPEND | O_WRONLY);
    if (::flock(log_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
        throw std::runtime_error(fmt::format(
            "{}: another process is writing to this run; wait for it or stop it", path_.string()));
    }
}

void RunFolder::check(const fs::path& path) {
    std::error_code error;
    if (fs::exists(path, error) && !fs::is_directory(path, error)) {
        throw std::invalid_argument(fmt::format(
            "{}: this is not a folder; choose another name for the run", path.string()));
    }
    if (is_run_folder(path)) {
        throw std::invalid_argument(fmt::format(
            "{}: this folder holds a run already; go on with it by --resume or choose another name",
            path.string()));
    }
    refuse_foreign_files(path);
}

RunFolder RunFolder::create(const fs::path& path, const std::string& kind,
                            const Parameters& parameters) {
    check(path);
    const std::string text = encode_parameters(kind, parameters);
    make_folder(path);
    RunFolder run(path);
    run.open_log(); // the lock: of two that begin at once one goes on
    check(path);
    remove_abandoned_temporaries(path);
    write_parameters(path, text); // from here on the folder can be resumed
    make_folder(run.images());
    make_folder(path / "checkpoints");
    return run;
}

RunFolder RunFolder::resume(const fs::path& path, const std::string& kind,
                            const Parameters& parameters, const ResumeRules& rules) {
    const std::string before = read_run_kind(path);
    if (before != kind) {
        throw std::invalid_argument(fmt::format("{}: this is a run of '{}', not of '{}'; choose "
                                                "another folder",
                                                path.string(), before, kind));
    }
    const std::string text = encode_parameters(kind, parameters);
    const std::string difference = parameter_difference(read_parameters(path), parameters, rules);
    if (!difference.empty()) {
        throw std::invalid_argument(
            fmt::format("{0}: the run began with other parameters:\n{1}ask for the same (--config "
                        "{0}/params.json does, whatever presets are today), or start a run in "
                        "another folder",
                        path.string(), difference));
    }
    RunFolder run(path);
    make_folder(run.images());
    make_folder(path / "checkpoints");
    run.open_log();
    // What a killed process left half-written.
    std::error_code ignored;
    for (const auto& entry : fs::directory_iterator(path / "checkpoints")) {
        if (entry.path().filename().string().starts_with(".")) {
            fs::remove_all(entry.path(), ignored);
        }
    }
    for (const fs::path& folder : {path, run.images(), best_checkpoint(path)}) {
        remove_abandoned_temporaries(folder);
    }
    write_parameters(path, text);
    return run;
}

void RunFolder::log(std::string_view line) {
    print_line(line);
    const std::string text = std::string(line) + '\n';
    write_all(log_, path_ / "log.txt", text.data(), text.size());
}

void RunFolder::open_metrics(const std::vector<std::string>& columns, std::int64_t keep_up_to) {
    const fs::path file = path_ / "metrics.csv";
    const std::string header = header_of(columns);
    std::size_t kept = 0;
    if (fs::exists(file)) {
        const std::vector<std::uint8_t> bytes = read_bytes(file, max_csv_bytes);
        const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
        if (text.starts_with(header)) {
            kept = bytes_to_keep(text, header.size(), keep_up_to);
        } else if (text.find('\n') != std::string_view::npos) {
            throw std::runtime_error(
                fmt::format("{}: its columns are not those of this program; resume with the "
                            "version that began the run",
                            file.string()));
        }
    }
    metrics_ = open_or_fail(file, O_CREAT | O_APPEND | O_WRONLY);
    metric_count_ = columns.size();
    if (::ftruncate(metrics_, static_cast<off_t>(kept)) != 0) {
        fail(file, "shorten the file", errno);
    }
    if (kept == 0) {
        write_all(metrics_, file, header.data(), header.size());
    }
}

void RunFolder::append_metrics(std::int64_t step, std::span<const double> values) {
    if (values.size() != metric_count_) {
        throw std::invalid_argument(fmt::format("metrics.csv: {} values for {} columns; give one "
                                                "each",
                                                values.size(), metric_count_));
    }
    std::string row = std::to_string(step);
    for (const double value : values) {
        row += ',' + value_text(value);
    }
    row += '\n';
    write_all(metrics_, path_ / "metrics.csv", row.data(), row.size());
}

void RunFolder::write_checkpoint(std::int64_t step,
                                 const std::map<std::string, std::vector<std::byte>>& files,
                                 int keep) {
    if (step < 0 || keep < 1) {
        throw std::invalid_argument(fmt::format(
            "checkpoint: step {} and keep {} are not possible; give a step >= 0 and keep >= 1",
            step, keep));
    }
    const fs::path all = path_ / "checkpoints";
    const std::string name = fmt::format("{}{}", step_prefix, step);
    const fs::path target = all / name;
    const fs::path aside = all / fmt::format(".{}.partial", name);
    std::error_code ignored;
    fs::remove_all(aside, ignored);
    try {
        make_folder(aside);
        for (const auto& [file, bytes] : files) {
            tell_new_file(target / file);
            write_new_file(aside / file, bytes);
        }
        sync_folder(aside);
        sync_or_fail(log_, path_ / "log.txt");
        if (metrics_ >= 0) {
            sync_or_fail(metrics_, path_ / "metrics.csv");
        }
        // A run resumed from an earlier checkpoint comes by later ones again.
        remove_checkpoint(target);
        if (::rename(aside.c_str(), target.c_str()) != 0) {
            fail(target, "put the finished checkpoint in place", errno);
        }
    } catch (...) {
        fs::remove_all(aside, ignored);
        throw;
    }
    sync_folder(all);
    remove_older_checkpoints(step, keep);
}

void RunFolder::remove_older_checkpoints(std::int64_t step, int keep) const {
    const std::vector<Checkpoint> present = list_checkpoints(path_);
    for (std::size_t i = 0; i + static_cast<std::size_t>(keep) < present.size(); ++i) {
        if (present[i].step != step) {
            remove_checkpoint(present[i].folder);
        }
    }
}

void RunFolder::write_best(const std::string& file, std::span<const std::byte> bytes) {
    const fs::path folder = best_checkpoint(path_);
    make_folder(folder);
    write_file_atomically(
        folder / file,
        std::span(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()));
    sync_folder(folder.parent_path());
}

std::optional<Checkpoint> RunFolder::latest_checkpoint() const {
    return patchforge::latest_checkpoint(path_);
}

fs::path RunFolder::set_aside(const Checkpoint& damaged) const {
    fs::path aside = damaged.folder;
    aside += ".damaged";
    std::error_code ignored;
    fs::remove_all(aside, ignored); // of the same step
    fs::rename(damaged.folder, aside, ignored);
    return aside;
}

} // namespace patchforge
