// The figures of a sweep: read from the runs' files, and what several runs say together.
#pragma once

#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "host/sweep/sweep_file.h"

namespace patchforge {

// Of the file in `folder`; nothing where there is no such file, row or finite number. Texts that
// are numbers are compared as numbers, to 9 digits. Throws std::runtime_error naming the file when
// it cannot be read as what its name says.
std::optional<double> read_figure(const Figure& figure, const std::filesystem::path& folder);

struct Spread {
    std::int64_t count = 0;
    double mean = 0;
    double deviation = 0; // of a sample (n - 1); 0 for fewer than two
};
Spread spread_of(std::span<const double> values);

// Whether the means lie further apart than twice the standard error of their difference; false
// unless both have two values.
bool differ(const Spread& a, const Spread& b);

// How many of `values` are far outside of `first`: above three times the largest or below a third of the
// smallest. A run that collapsed widens its own spread so far that no mean differs any more; it is a
// result all the same. 0 unless all of `first` are above 0 and at least two.
std::int64_t far_outside(std::span<const double> values, std::span<const double> first);

// What became of a run.
struct SweepOutcome {
    const SweepRun* run = nullptr;
    std::string failure;                        // empty: finished
    double seconds = 0;                         // of all its commands
    std::vector<std::optional<double>> figures; // in the order of Sweep::figures
};

// A row a run: variant, seed, state, seconds, figures.
std::string sweep_csv(const Sweep& sweep, std::span<const SweepOutcome> outcomes);

// A page with a row a variant: mean, spread and number of its runs, figure by figure. `made_with`:
// version and device.
std::string sweep_page(const Sweep& sweep, std::span<const SweepOutcome> outcomes,
                       const std::string& made_with);

} // namespace patchforge
