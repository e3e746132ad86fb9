// What an attack did to a set, in counts. Rates hide two traps: whether samples that were wrong
// before the attack count (here: never as successes), and how many there were at all (here: always
// said). Behind a detector a patch is right when it is called right and not stopped: a detector
// that stops everything has a robust accuracy of 0.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "host/attack/attack_runner.h"
#include "host/page/figure_text.h"

namespace patchforge {

class Json; // host/files/json.h

struct Spread {
    double mean = 0, median = 0, high = 0; // NaN when there is nothing; high: the largest
};

struct ClassCount {
    std::string name;
    std::int64_t total = 0;
    std::int64_t correct = 0;       // before the attack
    std::int64_t broken = 0;        // of these, after it
    std::int64_t clean_stopped = 0; // by a detector, before the attack
    std::int64_t wrong() const {
        return total - correct + broken;
    } // under attack; or stopped clean
};

struct AttackSummary {
    std::string attack; // "pgd linf, 40 steps, random start"
    double epsilon = 0; // infinity: no budget
    double lambda = 0;
    std::int64_t count = 0;          // N
    std::int64_t correct = 0;        // C: right before the attack
    std::int64_t clean_stopped = -1; // patches stopped before the attack, right or wrong: false
                                     // alarms; -1: no detector
    std::int64_t broken = 0;         // B: of these, by the float32 pixels
    std::int64_t rounded_broken = 0; // of these, by the 8-bit images
    bool targeted = false;
    std::int64_t target_eligible = 0; // samples whose label is not the target
    std::int64_t target_hit = 0;      // of these, called the target after the attack
    Spread l2, linf;                  // over B
    Spread queries;                   // over B; high: the 95th percentile
    double query_mean_all = 0;        // over everything attacked
    Spread steps;                     // of searches: over the successes
    std::vector<ClassCount> classes;
    double balanced_accuracy = 0; // under attack; mean over the classes that have samples
    double auc = 0; // two classes: of class 1's probability on the 8-bit images; else NaN
    Violations violations;
    double seconds = 0;
    // After physical changes, means over them: accuracy on the unchanged samples, and the share of C that
    // is broken. NaN without changes.
    double changed_accuracy = std::numeric_limits<double>::quiet_NaN();
    double changed_success_rate = std::numeric_limits<double>::quiet_NaN();
    bool changed() const { return changed_accuracy == changed_accuracy; }

    // NaN where they are shares of none.
    double clean_accuracy() const { return share_of(correct, count); }
    double robust_accuracy() const { return share_of(correct - broken, count); }
    double success_rate() const { return share_of(broken, correct); }
    double rounded_success_rate() const { return share_of(rounded_broken, correct); }
};

AttackSummary summarise(const AttackResult& result, const AttackSet& set,
                        const AttackOptions& options, const std::vector<std::string>& class_names,
                        std::int64_t pixels);

// Of a model that was not attacked itself: how many of what it gets right (`clean`: its answers before)
// forgeries break, and how many it gets right. One that has a target breaks by that answer alone.
struct BrokenOfRight {
    std::int64_t broken = 0, correct = 0;
};
BrokenOfRight broken_of_right(const AttackResult& forged, const AttackSet& set,
                              const std::vector<std::int32_t>& clean,
                              const std::vector<std::int32_t>& answers);

// "0", "8/255", "0.05", "–" for no budget.
std::string epsilon_text(double epsilon);

// The table for people (columns and rows of text), and everything for machines.
// Columns about changes are there if one of the summaries has any.
std::vector<std::string> table_columns(const std::vector<AttackSummary>& summaries = {});
std::vector<std::vector<std::string>> table_rows(const std::vector<AttackSummary>& summaries);
// Per class: wrong answers before and under attack ("missed cancers" and "false alarms" of a set
// with the classes "no cancer" and "cancer").
std::vector<std::vector<std::string>> class_rows(const std::vector<AttackSummary>& summaries);
std::string summaries_csv(const std::vector<AttackSummary>& summaries);
Json summaries_json(const std::vector<AttackSummary>& summaries);

} // namespace patchforge
