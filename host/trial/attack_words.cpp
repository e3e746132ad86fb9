#include "host/trial/attack_words.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "host/page/figure_text.h"

namespace patchforge {

namespace {

constexpr std::size_t most_budgets = 4;

// Of each budget above 0, what leaves the least.
std::map<double, const AttackSummary*> strongest(const std::vector<AttackSummary>& summaries) {
    std::map<double, const AttackSummary*> of_budget;
    for (const AttackSummary& summary : summaries) {
        if (!(summary.epsilon > 0) || !std::isfinite(summary.epsilon)) {
            continue;
        }
        const AttackSummary*& least = of_budget[summary.epsilon];
        if (!least || summary.robust_accuracy() < least->robust_accuracy()) {
            least = &summary;
        }
    }
    return of_budget;
}

} // namespace

std::string attack_sentence(const std::string& victim,
                            const std::vector<AttackSummary>& summaries) {
    if (summaries.empty()) {
        return "";
    }
    std::string text =
        fmt::format("{}: right on {} of {} patches", victim,
                    percent_text(summaries.front().clean_accuracy(), 1), summaries.front().count);
    const auto of_budget = strongest(summaries);
    if (!of_budget.empty()) {
        const AttackSummary& worst = *of_budget.rbegin()->second;
        text += fmt::format("; under {} at eps {} on {}", worst.attack, epsilon_text(worst.epsilon),
                            percent_text(worst.robust_accuracy(), 1));
    }
    const AttackSummary* nearest = nullptr;
    for (const AttackSummary& summary : summaries) {
        if (!std::isfinite(summary.epsilon) && (!nearest || summary.broken > nearest->broken)) {
            nearest = &summary;
        }
    }
    if (nearest) {
        text += fmt::format("; {} breaks {} of these", nearest->attack,
                            percent_text(nearest->success_rate(), 1));
        if (std::isfinite(nearest->l2.mean)) {
            text += fmt::format(" at a mean L2 distance of {:.3f}", nearest->l2.mean);
        }
    }
    return text + '.';
}

std::vector<std::pair<std::string, std::string>>
attack_figures(const std::vector<AttackSummary>& summaries) {
    std::vector<std::pair<std::string, std::string>> figures;
    if (summaries.empty()) {
        return figures;
    }
    figures.emplace_back(percent_text(summaries.front().clean_accuracy(), 1), "right before");
    const auto of_budget = strongest(summaries);
    const auto skipped =
        static_cast<std::ptrdiff_t>(of_budget.size() - std::min(of_budget.size(), most_budgets));
    for (auto at = std::next(of_budget.begin(), skipped); at != of_budget.end(); ++at) {
        figures.emplace_back(percent_text(at->second->robust_accuracy(), 1),
                             "right at eps " + epsilon_text(at->first));
    }
    if (!of_budget.empty()) {
        const AttackSummary& worst = *of_budget.rbegin()->second;
        for (const ClassCount& one : worst.classes) {
            if (one.total > 0 && worst.classes.size() <= 3) {
                figures.emplace_back(
                    percent_text(share_of(one.total - one.wrong(), one.total), 1),
                    fmt::format("of {} at eps {}", one.name, epsilon_text(worst.epsilon)));
            }
        }
    }
    return figures;
}

std::string cancer_sentence(const AttackSummary& s) {
    return fmt::format(
        "{} eps {}: missed cancers {} of {}, false alarms {} of {}, balanced accuracy "
        "{}, AUC {}",
        s.attack, epsilon_text(s.epsilon), s.classes[1].wrong(), s.classes[1].total,
        s.classes[0].wrong(), s.classes[0].total, figure_text(s.balanced_accuracy, 4),
        figure_text(s.auc, 4));
}

std::pair<bool, std::string> budgets_held(const std::vector<AttackSummary>& summaries) {
    std::int64_t ball = 0, box = 0, bad = 0;
    double ulps = 0;
    for (const AttackSummary& s : summaries) {
        ball += s.violations.ball;
        box += s.violations.box;
        bad += s.violations.not_finite;
        ulps = std::max(ulps, s.violations.largest_ulps);
    }
    return {ball + box + bad == 0,
            fmt::format("Pixels (samples in L2 and L1) outside the ball: {}, outside the box: {}, "
                        "not finite: {}; at most {:.1f} units in the last place",
                        ball, box, bad, ulps)};
}

std::string defence_sentence(const std::vector<Kept>& kept) {
    const auto less = [](const Kept& a, const Kept& b) {
        return a.robust < b.robust || (std::isnan(a.robust) && !std::isnan(b.robust));
    };
    const auto best = std::ranges::max_element(kept, less);
    if (best == kept.end() || std::isnan(best->robust)) {
        return "";
    }
    const auto worst = std::ranges::min_element(kept, less);
    return fmt::format("Of {} models {} keeps most: {} right under the strongest attack at the "
                       "largest budget; {} keeps {}.",
                       kept.size(), best->victim, percent_text(best->robust, 1), worst->victim,
                       percent_text(worst->robust, 1));
}

} // namespace patchforge
