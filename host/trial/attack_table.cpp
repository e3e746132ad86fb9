#include "host/trial/attack_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "data/escape.h"
#include "host/evaluate/binary_scores.h"
#include "host/files/json.h"

namespace patchforge {

namespace {

// `top`: which part of the sorted values counts as the highest, 1 the largest.
Spread spread_of(std::vector<double> values, double top) {
    if (values.empty()) {
        const double none = std::numeric_limits<double>::quiet_NaN();
        return {none, none, none};
    }
    std::sort(values.begin(), values.end());
    Spread spread;
    for (const double value : values) {
        spread.mean += value / static_cast<double>(values.size());
    }
    const std::size_t middle = values.size() / 2;
    spread.median = values.size() % 2 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
    const auto rank = static_cast<std::size_t>(std::ceil(top * static_cast<double>(values.size())));
    spread.high = values[std::clamp<std::size_t>(rank, 1, values.size()) - 1];
    return spread;
}

std::string spread_text(const Spread& spread, int digits) {
    return std::isfinite(spread.mean)
               ? fmt::format("{:.{}f} / {:.{}f} / {:.{}f}", spread.mean, digits, spread.median,
                             digits, spread.high, digits)
               : undefined;
}

std::string budget_text(const AttackSummary& summary) {
    return std::isfinite(summary.epsilon) ? epsilon_text(summary.epsilon)
           : summary.lambda > 0           ? fmt::format("lambda {:g}", summary.lambda)
                                          : undefined;
}

bool any_changed(const std::vector<AttackSummary>& summaries) {
    return std::ranges::any_of(summaries, &AttackSummary::changed);
}

Json spread_json(const Spread& spread) {
    return {{"max", spread.high}, {"mean", spread.mean}, {"median", spread.median}};
}

} // namespace

AttackSummary summarise(const AttackResult& result, const AttackSet& set,
                        const AttackOptions& options, const std::vector<std::string>& class_names,
                        std::int64_t pixels) {
    AttackSummary summary;
    summary.attack = options.text(pixels);
    summary.epsilon = result.epsilon;
    summary.lambda = result.lambda;
    summary.count = set.count();
    summary.clean_stopped = result.guarded ? 0 : -1;
    summary.targeted = options.targeted();
    summary.violations = result.violations;
    summary.seconds = result.seconds;
    for (const std::string& name : class_names) {
        summary.classes.push_back({name});
    }
    std::vector<double> l2, linf, queries, steps;
    std::vector<float> last_class;
    std::vector<std::uint8_t> positive;
    double asked = 0, changed_right = 0, changed_broken = 0;
    std::int64_t attacked = 0;
    for (std::size_t i = 0; i < result.samples.size(); ++i) {
        const SampleOutcome& sample = result.samples[i];
        const std::int32_t label = set.labels[i];
        ClassCount& of_class = summary.classes[label];
        ++of_class.total;
        changed_right += sample.changed_right;
        last_class.push_back(sample.rounded_last_class);
        positive.push_back(label == 1);
        if (sample.target >= 0 && sample.target != label) {
            ++summary.target_eligible;
            summary.target_hit += sample.broken(label);
        }
        if (sample.queries > 0) {
            asked += static_cast<double>(sample.queries);
            ++attacked;
        }
        if (sample.steps >= 0) {
            steps.push_back(static_cast<double>(sample.steps));
        }
        summary.clean_stopped += sample.clean_detected;
        of_class.clean_stopped += sample.clean_detected;
        // A sample whose label is the target cannot be broken by being called that.
        if (!sample.right(label)) {
            continue;
        }
        ++summary.correct;
        ++of_class.correct;
        if (sample.target == label) {
            continue;
        }
        summary.rounded_broken += sample.rounded_broken(label);
        changed_broken += sample.changed_broken;
        if (sample.broken(label)) {
            ++summary.broken;
            ++of_class.broken;
            l2.push_back(sample.l2);
            linf.push_back(sample.linf);
            queries.push_back(static_cast<double>(sample.queries));
        }
    }
    if (result.changed) {
        summary.changed_accuracy = changed_right / static_cast<double>(set.count());
        summary.changed_success_rate =
            changed_broken / static_cast<double>(std::max<std::int64_t>(summary.correct, 1));
    }
    summary.l2 = spread_of(l2, 1);
    summary.linf = spread_of(linf, 1);
    summary.queries = spread_of(attacked ? queries : std::vector<double>(), 0.95);
    summary.query_mean_all = attacked ? asked / static_cast<double>(attacked) : 0;
    summary.steps = spread_of(steps, 1);
    std::int64_t present = 0;
    for (const ClassCount& one : summary.classes) {
        if (one.total > 0) {
            summary.balanced_accuracy += share_of(one.total - one.wrong(), one.total);
            ++present;
        }
    }
    summary.balanced_accuracy /= static_cast<double>(present); // NaN where there is no sample
    summary.auc = summary.classes.size() == 2 ? area_under_curve(last_class, positive)
                                              : std::numeric_limits<double>::quiet_NaN();
    return summary;
}

BrokenOfRight broken_of_right(const AttackResult& forged, const AttackSet& set,
                              const std::vector<std::int32_t>& clean,
                              const std::vector<std::int32_t>& answers) {
    BrokenOfRight result;
    for (std::size_t i = 0; i < answers.size(); ++i) {
        const std::int32_t label = set.labels[i], target = forged.samples[i].target;
        const bool right = clean[i] == label;
        result.correct += right;
        result.broken += right && (target >= 0 ? answers[i] == target : answers[i] != label);
    }
    return result;
}

std::string epsilon_text(double epsilon) {
    if (!std::isfinite(epsilon)) {
        return undefined;
    }
    const double levels = epsilon * 255;
    if (epsilon > 0 && epsilon < 1 && std::fabs(levels - std::round(levels)) < 1e-6) {
        return fmt::format("{:.0f}/255", levels);
    }
    return fmt::format("{:g}", epsilon);
}

std::vector<std::string> table_columns(const std::vector<AttackSummary>& summaries) {
    std::vector<std::string> columns = {"attack",
                                        "eps",
                                        "N",
                                        "clean stopped",
                                        "correct C",
                                        "broken B",
                                        "clean acc",
                                        "robust acc",
                                        "ASR B/C",
                                        "8-bit B",
                                        "8-bit ASR",
                                        "target hit/of",
                                        "L2 mean/median/max",
                                        "Linf mean/median/max",
                                        "queries mean/median/95%",
                                        "s"};
    if (any_changed(summaries)) {
        columns.insert(columns.end(), {"clean acc, changed", "8-bit ASR, changed"});
    }
    return columns;
}

std::vector<std::vector<std::string>> table_rows(const std::vector<AttackSummary>& summaries) {
    std::vector<std::vector<std::string>> rows;
    for (const AttackSummary& s : summaries) {
        rows.push_back(
            {s.attack, budget_text(s), std::to_string(s.count),
             s.clean_stopped < 0 ? undefined : std::to_string(s.clean_stopped),
             std::to_string(s.correct), std::to_string(s.broken),
             figure_text(s.clean_accuracy(), 4), figure_text(s.robust_accuracy(), 4),
             figure_text(s.success_rate(), 4), std::to_string(s.rounded_broken),
             figure_text(s.rounded_success_rate(), 4),
             s.targeted ? fmt::format("{} / {}", s.target_hit, s.target_eligible) : undefined,
             spread_text(s.l2, 3), spread_text(s.linf, 4), spread_text(s.queries, 0),
             figure_text(s.seconds, 1)});
        if (any_changed(summaries)) {
            rows.back().push_back(figure_text(s.changed_accuracy, 4));
            rows.back().push_back(figure_text(s.changed_success_rate, 4));
        }
    }
    return rows;
}

std::vector<std::vector<std::string>> class_rows(const std::vector<AttackSummary>& summaries) {
    std::vector<std::vector<std::string>> rows;
    for (const AttackSummary& s : summaries) {
        for (const ClassCount& one : s.classes) {
            rows.push_back({s.attack, budget_text(s), one.name, std::to_string(one.total),
                            std::to_string(one.total - one.correct), std::to_string(one.broken),
                            std::to_string(one.wrong()),
                            share_text(one.total - one.wrong(), one.total)});
        }
    }
    return rows;
}

std::string summaries_csv(const std::vector<AttackSummary>& summaries) {
    std::string csv =
        "attack,eps,lambda,n,clean_stopped,correct,broken,clean_accuracy,robust_accuracy,asr,"
        "rounded_broken,"
        "rounded_asr,target_hit,target_eligible,l2_mean,l2_median,l2_max,linf_mean,linf_median,"
        "linf_max,queries_mean,queries_median,queries_p95,steps_mean,steps_median,steps_max,"
        "balanced_accuracy,auc,ball_violations,box_violations,largest_ulps,seconds";
    csv += any_changed(summaries) ? ",changed_accuracy,changed_asr\n" : "\n";
    for (const AttackSummary& s : summaries) {
        csv += fmt::format(
            "\"{}\",{},{},{},{},{},{},{:.6f},{:.6f},{:.6f},{},{:.6f},{},{},{:.6g},{:.6g},{:.6g},{:."
            "6g}"
            ","
            "{:.6g},{:.6g},{:.6g},{:.6g},{:.6g},{:.6g},{:.6g},{:.6g},{:.6f},{:.6f},{},{},{:.3g},{:."
            "3f}",
            s.attack, s.epsilon, s.lambda, s.count,
            s.clean_stopped < 0 ? "" : std::to_string(s.clean_stopped), s.correct, s.broken,
            s.clean_accuracy(), s.robust_accuracy(), s.success_rate(), s.rounded_broken,
            s.rounded_success_rate(), s.target_hit, s.target_eligible, s.l2.mean, s.l2.median,
            s.l2.high, s.linf.mean, s.linf.median, s.linf.high, s.queries.mean, s.queries.median,
            s.queries.high, s.steps.mean, s.steps.median, s.steps.high, s.balanced_accuracy, s.auc,
            s.violations.ball, s.violations.box, s.violations.largest_ulps, s.seconds);
        csv += any_changed(summaries)
                   ? fmt::format(",{:.6f},{:.6f}\n", s.changed_accuracy, s.changed_success_rate)
                   : "\n";
    }
    return csv;
}

Json summaries_json(const std::vector<AttackSummary>& summaries) {
    Json list = Json::array();
    for (const AttackSummary& s : summaries) {
        Json one = {
            {"attack", s.attack},
            {"eps", s.epsilon},
            {"lambda", s.lambda},
            {"n", s.count},
            {"correct", s.correct},
            {"broken", s.broken},
            {"clean_accuracy", s.clean_accuracy()},
            {"robust_accuracy", s.robust_accuracy()},
            {"asr", s.success_rate()},
            {"rounded_broken", s.rounded_broken},
            {"rounded_asr", s.rounded_success_rate()},
            {"l2", spread_json(s.l2)},
            {"linf", spread_json(s.linf)},
            {"queries",
             {{"mean", s.queries.mean}, {"median", s.queries.median}, {"p95", s.queries.high}}},
            {"steps_to_success", spread_json(s.steps)},
            {"balanced_accuracy", s.balanced_accuracy},
            {"auc", s.auc},
            {"ball_violations", s.violations.ball},
            {"box_violations", s.violations.box},
            {"largest_violation_ulps", s.violations.largest_ulps},
            {"not_finite", s.violations.not_finite},
            {"seconds", s.seconds}};
        if (s.clean_stopped >= 0) {
            one["clean_stopped"] = s.clean_stopped;
        }
        if (s.changed()) {
            one["changed_accuracy"] = s.changed_accuracy;
            one["changed_asr"] = s.changed_success_rate;
        }
        if (s.targeted) {
            one["target_hit"] = s.target_hit;
            one["target_eligible"] = s.target_eligible;
        }
        for (const ClassCount& c : s.classes) {
            one["classes"].push_back({{"name", c.name},
                                      {"total", c.total},
                                      {"wrong_clean", c.total - c.correct},
                                      {"broken", c.broken},
                                      {"wrong_under_attack", c.wrong()}});
            if (s.clean_stopped >= 0) {
                one["classes"].back()["clean_stopped"] = c.clean_stopped;
            }
        }
        list.push_back(one);
    }
    return list;
}

} // namespace patchforge
