// What `patchforge sweep` reads: commands for every variant and seed, and the figures to take from
// what they wrote. docs/sweep.md describes the file.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace patchforge {

// A number in a file that a run leaves in its folder. Files are rows of named texts: a CSV file has
// its columns, a .json file is one row and each line of a .jsonl file another, whose names are
// paths such as "results/frechet_distance".
struct Figure {
    std::string name;
    std::string file;
    std::string value;
    std::string of_largest; // of the row where this is largest; empty: of the last row
    std::vector<std::pair<std::string, std::optional<std::string>>> where; // nothing: not there
};

struct SweepRun {
    std::string variant;
    std::string seed; // empty: runs once, without one
    std::filesystem::path folder;
    std::vector<std::vector<std::string>> commands; // words behind the program's name
    std::string options;                            // what the variant adds, for people
};

struct Sweep {
    std::string title, about;
    std::vector<SweepRun> preparations; // one after the other, before all runs
    std::vector<SweepRun> runs;         // those of a variant stand together
    std::vector<Figure> figures;
};

struct SweepRequest {
    std::filesystem::path file, out;
    std::map<std::string, std::string> settings; // by --set: lie over the file's
    std::vector<std::string> seeds;              // instead of the file's, unless empty
};

// Throws std::invalid_argument naming the file and the entry.
Sweep read_sweep(const SweepRequest& call);

} // namespace patchforge
