// Runs a sweep: each command by the program itself, in a process of its own.
#pragma once

#include <filesystem>

#include "host/sweep/sweep_file.h"

namespace patchforge {

// Runs what is not finished, `side_by_side` runs at a time; goes on after a run that failed, and
// with runs that were interrupted. Writes <out>/sweep.csv, a row a run, and <out>/sweep.md, a row a
// variant. Returns whether all runs finished. A preparation that fails ends the sweep:
// std::runtime_error. Throws std::invalid_argument for a folder that no sweep made and for a
// finished run whose commands are not those of the file any more.
bool run_sweep(const Sweep& sweep, const std::filesystem::path& out, int side_by_side);

// One part of it, for jobs that run side by side on machines of their own: 0 is the preparations, which come
// first, and n the n-th run. Writes no tables but at 0: run_sweep does, when the parts are finished.
// Throws what run_sweep throws, and std::runtime_error for a run that fails.
void run_sweep_part(const Sweep& sweep, const std::filesystem::path& out, std::int64_t part);

// A Slurm array of these parts, of the sweep that `command` runs.
std::string slurm_array(const Sweep& sweep, const std::string& command);

} // namespace patchforge
