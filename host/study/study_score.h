// Scores the answers that a study page saved.
#pragma once

#include "host/evaluate/binary_scores.h"

#include <string>
#include <string_view>

namespace patchforge {

struct ErrorRate {
    std::int64_t errors = 0;
    std::int64_t answers = 0;
    Interval interval;   // Wilson, 95 %
    double rate() const; // NaN without answers
};

// Chance is 50 %. An interval around 50 % says that this rater could not tell.
struct ArmScores {
    ErrorRate all;
    ErrorRate generated_called_real; // of the generated patches
    ErrorRate real_called_generated; // of the real patches
};

struct StudyScores {
    std::string title, rater;
    ArmScores timed, untimed;
};

// `results`: the text of the JSON file that the page offered. Throws std::runtime_error naming
// what is wrong when it is anything else.
StudyScores score_study(std::string_view results, const std::string& name = "results");

// A table for the console: a line for each arm and direction.
std::string study_table(const StudyScores& scores);

} // namespace patchforge
