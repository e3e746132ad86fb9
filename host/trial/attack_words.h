// What attacks did, in a sentence and in a few large numbers.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "host/trial/attack_table.h"

namespace patchforge {

// "c1: right on 84.9 % of 480 patches; under pgd at eps 8/255 on 3.1 %." of the attack that leaves
// the least at the largest budget; of attacks without a budget the one that breaks most, and its
// distance. Empty without a summary.
std::string attack_sentence(const std::string& victim, const std::vector<AttackSummary>& summaries);

// Number and meaning: accuracy before; what the strongest attack leaves at each budget, four of them
// at most; the recall that it leaves of each class at the largest one.
std::vector<std::pair<std::string, std::string>>
attack_figures(const std::vector<AttackSummary>& summaries);

// Of the classes "no cancer" and "cancer": what is missed and what is a false alarm.
std::string cancer_sentence(const AttackSummary& summary);

// Whether every example stayed within its budget and the box, and what was found.
std::pair<bool, std::string> budgets_held(const std::vector<AttackSummary>& summaries);

struct Kept {
    std::string victim;
    double robust; // accuracy under the strongest attack at the largest budget; NaN: no budget
};
// "Of 3 models c2 keeps most: …"
std::string defence_sentence(const std::vector<Kept>& kept);

} // namespace patchforge
