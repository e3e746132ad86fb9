// patchforge sweep: a grid of options and seeds, from a file.
#include <fmt/format.h>

#include <memory>
#include <stdexcept>

#include "host/cli/verbs.h"
#include "host/run/interrupt.h"
#include "host/sweep/sweep_file.h"
#include "host/sweep/sweep_session.h"

namespace patchforge {

namespace {

struct SweepCall {
    std::string file, out;
    std::vector<std::string> settings, seeds;
    int side_by_side = 1;
    bool list = false;
    std::int64_t only = -1; // below 0: all
    bool slurm = false;
};

// A word as a shell reads it.
std::string quoted(const std::string& word) {
    const bool plain =
        word.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                               "_-+=:,./@%") == std::string::npos;
    std::string inside = word;
    for (std::size_t at = 0; (at = inside.find('\'', at)) != std::string::npos; at += 4) {
        inside.replace(at, 1, "'\\''");
    }
    return plain && !word.empty() ? word : "'" + inside + "'";
}

// The call itself, but for --slurm.
std::string command_of(const SweepCall& call) {
    std::string command =
        fmt::format("patchforge sweep {} --out {}", quoted(call.file), quoted(call.out));
    for (const auto& [option, values] :
         {std::pair("set", &call.settings), {"seeds", &call.seeds}}) {
        if (!values->empty()) {
            command +=
                fmt::format(" --{} {}", option, quoted(fmt::format("{}", fmt::join(*values, ","))));
        }
    }
    return command;
}

void run(const SweepCall& call) {
    SweepRequest request{call.file, call.out, {}, call.seeds};
    for (const std::string& setting : call.settings) {
        const std::size_t equals = setting.find('=');
        if (equals == std::string::npos || equals == 0) {
            throw std::invalid_argument(fmt::format("--set {}: is not NAME=VALUE", setting));
        }
        request.settings[setting.substr(0, equals)] = setting.substr(equals + 1);
    }
    const Sweep sweep = read_sweep(request);
    if (call.slurm) {
        fmt::print("{}", slurm_array(sweep, command_of(call)));
        return;
    }
    if (call.only >= 0) {
        run_sweep_part(sweep, call.out, call.only);
        return;
    }
    if (!call.list) {
        if (!run_sweep(sweep, call.out, call.side_by_side) && interrupting_signal() == 0) {
            throw std::runtime_error(fmt::format("{}: not all runs finished", call.out));
        }
        return;
    }
    for (const auto* runs : {&sweep.preparations, &sweep.runs}) {
        for (const SweepRun& one : *runs) {
            for (const auto& words : one.commands) {
                fmt::print("patchforge {}\n", fmt::join(words, " "));
            }
        }
    }
}

} // namespace

Verb sweep_verb() {
    auto call = std::make_shared<SweepCall>();
    Verb verb{.name = "sweep",
              .summary = "run a grid of options and seeds from a file; write means and spreads"};
    Options& options = verb.options;
    options.argument("file", call->file, "what to run: JSON, described in docs/sweep.md");
    options.text("out", call->out, "FOLDER", "folder for runs and tables; a sweep there goes on")
        .must_be_given();
    options.list("set", call->settings, "NAME=VALUE,...", "values of {NAMES} in the file");
    options.list("seeds", call->seeds, "LIST", "instead of those in the file");
    options.number("side_by_side", call->side_by_side, {1, 64}, "runs at a time");
    options.toggle("list", call->list, "print the commands and run none");
    options.number("only", call->only, {-1, 1000000},
                   "0: the preparations alone; N: the N-th run alone, and no tables (-1: all)");
    options.toggle("slurm", call->slurm,
                   "print a script for Slurm's sbatch whose tasks are the runs, and run none");
    options.only_one_of({"list", "only", "slurm"});
    verb.examples = {"sweep bench/sweeps/gan_tricks.json --set data=dealt --out runs/tricks",
                     "sweep losses.json --out runs/losses --seeds 0,1 --side-by-side 2"};
    verb.run = [call] { run(*call); };
    return verb;
}

} // namespace patchforge
