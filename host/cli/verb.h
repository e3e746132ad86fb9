// What the program can do: a verb is a name, described options and a job. command_line.cpp makes
// the command line of all of them; verbs.cpp lists them.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "host/options/options.h"

namespace patchforge {

struct Verb {
    std::string name;    // "attack", "train gan"
    std::string summary; // one line, for the list of verbs
    Options options{};
    std::vector<std::string> examples{}; // whole calls, without the program's name
    std::vector<Preset> presets{};       // what --preset takes; empty: no such option
    std::string standard_preset{};       // without --preset
    bool in_ranks = false;               // may be the work of several processes
    bool shares_rows = false;            // so, and rows that all need are shared among them
    std::function<void()> run{};         // after the options were set
};

// Finds the verb of a call, sets its options (preset, --config, command line, in this order) and
// runs it. Returns the exit status: 2 for a wrong call, 1 for a failed job.
int run_command_line(std::vector<Verb> verbs, int argc, char** argv);

} // namespace patchforge
