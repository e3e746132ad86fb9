#include "host/sweep/sweep_session.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstring>
#include <exception>
#include <fstream>
#include <mutex>
#include <set>
#include <stdexcept>
#include <thread>

#include "data/atomic_file.h"
#include "host/files/json_file.h"
#include "host/run/interrupt.h"
#include "host/run/output_folder.h"
#include "host/run/progress.h"
#include "host/run/version.h"
#include "host/sweep/sweep_figures.h"

namespace patchforge {

namespace {

namespace fs = std::filesystem;
using Words = std::vector<std::string>;

// Written before anything else: what stands in a folder with it may be replaced.
constexpr const char* mark = "sweep.csv";

fs::path beside(const fs::path& folder, const char* ending) {
    fs::path file = folder;
    file += ending;
    return file;
}

std::string text_of(const Words& words) {
    return fmt::format("{}", fmt::join(words, " "));
}

std::string last_line(const fs::path& log) {
    std::ifstream file(log);
    std::string last;
    for (std::string line; std::getline(file, line);) {
        last = line.empty() ? last : line.substr(line.rfind('\r') + 1);
    }
    const std::string prefix = "patchforge: error: ";
    return last.starts_with(prefix) ? last.substr(prefix.size()) : last;
}

// <folder>.done: a line "seconds<tab>command" for each that is finished.
class Finished {
  public:
    explicit Finished(const SweepRun& run) : run_(run), file_(beside(run.folder, ".done")) {
        refuse_pipes(run.folder.parent_path());
        for (const std::string& line : whole_lines(file_)) {
            const std::size_t tab = std::min(line.find('\t'), line.size());
            const char* end = line.data() + tab;
            double seconds = 0;
            if (count_ >= run_.commands.size() || tab == line.size() ||
                std::from_chars(line.data(), end, seconds).ptr != end ||
                line.substr(tab + 1) != text_of(run_.commands[count_])) {
                throw std::invalid_argument(
                    fmt::format("{}: was made by other commands than the file has now; remove the "
                                "folder {} and this file, or give "
                                "another --out",
                                file_.string(), run.folder.string()));
            }
            seconds_ += seconds;
            text_ += line + '\n';
            ++count_;
        }
    }
    std::size_t count() const { return count_; }
    bool all() const { return count_ == run_.commands.size(); }
    double seconds() const { return seconds_; }

    void add(double seconds) {
        text_ += fmt::format("{:.3f}\t{}\n", seconds, text_of(run_.commands[count_++]));
        seconds_ += seconds;
        write_file_atomically(file_, text_);
    }

  private:
    const SweepRun& run_;
    fs::path file_;
    std::string text_;
    std::size_t count_ = 0;
    double seconds_ = 0;
};

bool is_inside(const fs::path& path, const fs::path& folder) {
    const auto [at, end] = std::mismatch(folder.begin(), folder.end(), path.begin(), path.end());
    return at == folder.end();
}

// A training goes on with what an interrupted command left; other verbs take it back themselves.
void prepare_to_run(Words& words, const fs::path& folder) {
    const auto option = std::find(words.begin(), words.end(), "--out");
    if (option == words.end() || option + 1 == words.end()) {
        return;
    }
    const fs::path out = *(option + 1);
    const bool begun = fs::exists(out / "params.json") || fs::exists(out / "member_0");
    if (words[0] == "train" && is_inside(out, folder) && begun) {
        words.emplace_back("--resume");
    }
}

// The exit status, or -signal; output goes behind what `log` holds. Passes an interruption on.
int run_command(const Words& words, const fs::path& log) {
    Words arguments = {"patchforge"};
    arguments.insert(arguments.end(), words.begin(), words.end());
    std::vector<char*> argv;
    for (std::string& argument : arguments) {
        argv.push_back(argument.data());
    }
    argv.push_back(nullptr);
    const int output = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    const pid_t parent = getpid();
    const pid_t child = output < 0 ? -1 : fork();
    if (child == 0) { // nothing here may allocate: other threads may have held the heap's lock
        prctl(PR_SET_PDEATHSIG, SIGKILL); // a sweep that is killed leaves no training behind
        const int input = open("/dev/null", O_RDONLY | O_CLOEXEC);
        if (getppid() == parent && dup2(input, 0) >= 0 && dup2(output, 1) >= 0 &&
            dup2(output, 2) >= 0) {
            execv("/proc/self/exe", argv.data());
        }
        _exit(127);
    }
    if (child < 0) {
        throw std::runtime_error(
            fmt::format("{}: cannot start the program: {}", log.string(), std::strerror(errno)));
    }
    close(output);
    bool told = false;
    int status = 0;
    while (waitpid(child, &status, WNOHANG) == 0) {
        if (interrupted() && !told) {
            kill(child, SIGTERM);
            told = true;
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

// Empty when all its commands are finished, else what went wrong.
std::string finish(const SweepRun& run, Finished& finished) {
    const fs::path log = beside(run.folder, ".log");
    while (!finished.all() && !interrupted()) {
        Words words = run.commands[finished.count()];
        prepare_to_run(words, run.folder);
        std::ofstream(log, std::ios::app) << "$ patchforge " << text_of(words) << std::endl;
        const auto start = std::chrono::steady_clock::now();
        const int status = run_command(words, log);
        const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - start;
        if (interrupted() || status > 128) { // 128 + the signal after which a training saved
            return "interrupted";
        }
        if (status != 0) {
            return status < 0 ? fmt::format("signal {}", -status) : last_line(log);
        }
        finished.add(passed.count());
    }
    return finished.all() ? "" : "interrupted";
}

// Version, and the devices that runs said they used.
std::string made_with(const std::vector<SweepOutcome>& outcomes) {
    const std::string said = "Device: ";
    std::set<std::string> devices;
    for (const SweepOutcome& one : outcomes) {
        std::ifstream log(beside(one.run->folder, ".log"));
        for (std::string line; std::getline(log, line);) {
            if (line.starts_with(said)) {
                devices.insert(line.substr(said.size()));
            }
        }
    }
    return version_text() +
           (devices.empty() ? "" : fmt::format(" on {}", fmt::join(devices, "; ")));
}

void write_tables(const Sweep& sweep, const fs::path& out, std::vector<SweepOutcome>& outcomes) {
    for (SweepOutcome& one : outcomes) {
        one.figures.clear();
        for (const Figure& figure : sweep.figures) {
            one.figures.push_back(one.failure.empty() ? read_figure(figure, one.run->folder)
                                                      : std::nullopt);
        }
    }
    write_file_atomically(out / mark, sweep_csv(sweep, outcomes));
    write_file_atomically(out / "sweep.md", sweep_page(sweep, outcomes, made_with(outcomes)));
}

std::string told(const SweepRun& run) {
    return run.variant + (run.seed.empty() ? "" : ", seed " + run.seed);
}

} // namespace

namespace {

void require_own_folder(const fs::path& out) {
    if (holds_other_files(out) && !fs::exists(out / mark)) {
        throw std::invalid_argument(
            fmt::format("--out {}: no sweep made this folder; name another one", out.string()));
    }
}

void finish_or_throw(const SweepRun& run, Finished& finished) {
    const std::string failure = finish(run, finished);
    if (!failure.empty() && !interrupted()) {
        throw std::runtime_error(
            fmt::format("{}: {}; see {}", told(run), failure, beside(run.folder, ".log").string()));
    }
}

// What is finished of every run, before anything is run.
std::vector<SweepOutcome> outcomes_so_far(const Sweep& sweep, std::vector<Finished>& finished) {
    std::vector<SweepOutcome> outcomes;
    for (const SweepRun& run : sweep.runs) {
        finished.emplace_back(run);
        outcomes.push_back(
            {&run, finished.back().all() ? "" : "not run yet", finished.back().seconds(), {}});
        fs::create_directories(run.folder.parent_path());
    }
    return outcomes;
}

void prepare(const Sweep& sweep) {
    for (const SweepRun& run : sweep.preparations) {
        Finished finished(run);
        if (finished.all() || interrupted()) {
            continue;
        }
        print_line(fmt::format("preparing {}", run.variant));
        finish_or_throw(run, finished);
    }
}

} // namespace

void run_sweep_part(const Sweep& sweep, const fs::path& out, std::int64_t part) {
    require_own_folder(out);
    const InterruptScope scope;
    if (part == 0) {
        std::vector<Finished> finished;
        std::vector<SweepOutcome> outcomes = outcomes_so_far(sweep, finished);
        write_tables(sweep, out, outcomes);
        prepare(sweep);
        return;
    }
    if (part > std::ssize(sweep.runs)) {
        throw std::invalid_argument(
            fmt::format("--only {}: there are {} runs", part, sweep.runs.size()));
    }
    for (const SweepRun& run : sweep.preparations) {
        if (!Finished(run).all()) {
            throw std::invalid_argument(fmt::format(
                "--only {}: {} is not prepared; run --only 0 first", part, run.variant));
        }
    }
    const SweepRun& run = sweep.runs[part - 1];
    Finished finished(run);
    fs::create_directories(run.folder.parent_path());
    finish_or_throw(run, finished);
    print_line(fmt::format("{}: {}", told(run),
                           finished.all() ? duration_text(finished.seconds()) : "interrupted"));
}

std::string slurm_array(const Sweep& sweep, const std::string& command) {
    return fmt::format(R"(#!/bin/bash
# Task 0 prepares; tasks 1 to {0} are a run each:
#   first=$(sbatch --parsable --array=0 THIS) && sbatch --array=1-{0} --dependency=afterok:$first THIS
# and when they are finished, this writes the tables:
#   {1}
#SBATCH --job-name=patchforge
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=4
#SBATCH --time=04:00:00
#SBATCH --signal=B:TERM@60
exec {1} --only "$SLURM_ARRAY_TASK_ID"
)",
                       sweep.runs.size(), command);
}

bool run_sweep(const Sweep& sweep, const fs::path& out, int side_by_side) {
    require_own_folder(out);
    const FolderLock folder_lock(out);
    std::vector<Finished> finished;
    std::vector<SweepOutcome> outcomes = outcomes_so_far(sweep, finished);
    for (const SweepRun& run : sweep.preparations) {
        const Finished made_by_these_commands(run);
    }
    write_tables(sweep, out, outcomes);

    const InterruptScope scope;
    prepare(sweep);

    const auto begun = static_cast<std::int64_t>(std::count_if(
        finished.begin(), finished.end(), [](const Finished& one) { return one.all(); }));
    const auto total = static_cast<std::int64_t>(finished.size());
    std::atomic<std::size_t> next = 0;
    std::mutex lock;
    std::int64_t done = begun;
    std::exception_ptr error;
    {
        ProgressBar bar("sweep", total, "runs", begun);
        const auto work = [&] {
            for (std::size_t i; (i = next++) < finished.size() && !interrupted();) {
                if (finished[i].all()) {
                    continue;
                }
                try {
                    outcomes[i].failure = finish(*outcomes[i].run, finished[i]);
                } catch (...) {
                    const std::lock_guard held(lock);
                    error = std::current_exception();
                    next = finished.size();
                    return;
                }
                outcomes[i].seconds = finished[i].seconds();
                const std::lock_guard held(lock);
                done += outcomes[i].failure != "interrupted";
                print_line(fmt::format("[{}/{}] {}: {}", done, total, told(*outcomes[i].run),
                                       outcomes[i].failure.empty()
                                           ? duration_text(outcomes[i].seconds)
                                           : outcomes[i].failure));
                write_tables(sweep, out, outcomes);
                bar.update(done);
            }
        };
        std::vector<std::jthread> workers(static_cast<std::size_t>(std::max(side_by_side, 1)));
        for (std::jthread& worker : workers) {
            worker = std::jthread(work);
        }
    }
    if (error) {
        std::rethrow_exception(error);
    }
    std::int64_t failed = 0;
    for (const SweepOutcome& one : outcomes) {
        failed += !one.failure.empty();
        for (std::size_t i = 0; i < sweep.figures.size() && one.failure.empty(); ++i) {
            if (!one.figures[i]) {
                print_line(fmt::format("{}: no {} in {}", told(*one.run), sweep.figures[i].name,
                                       (one.run->folder / sweep.figures[i].file).string()));
            }
        }
    }
    print_line(fmt::format("{} of {} runs finished; look at {}", total - failed, total,
                           (out / "sweep.md").string()));
    if (failed > 0) {
        print_line("The same command goes on with the others");
    }
    return failed == 0;
}

} // namespace patchforge
