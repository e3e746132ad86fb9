#include "host/trial/attack_charts.h"

#include <algorithm>
#include <cmath>

namespace patchforge {

namespace {

constexpr std::size_t most_series = 8;

using Point = std::optional<std::pair<double, double>>;

// One series for each attack in order of its summaries: the points that `point` gives, if any.
void add_series(Chart& chart, const std::vector<AttackSummary>& summaries,
                Point (*point)(const AttackSummary&)) {
    for (const AttackSummary& summary : summaries) {
        const Point at = point(summary);
        if (!at) {
            continue;
        }
        if (chart.series.empty() || chart.series.back().name != summary.attack) {
            if (chart.series.size() == most_series) {
                return;
            }
            chart.series.push_back({summary.attack, {}, {}});
        }
        chart.series.back().x.push_back(at->first);
        chart.series.back().y.push_back(at->second);
    }
}

// The points from left to right, whatever the order in which they were asked for.
void sort_by_x(Series& series) {
    std::vector<std::pair<double, double>> points;
    for (std::size_t i = 0; i < series.x.size(); ++i) {
        points.emplace_back(series.x[i], series.y[i]);
    }
    std::sort(points.begin(), points.end());
    for (std::size_t i = 0; i < points.size(); ++i) {
        std::tie(series.x[i], series.y[i]) = points[i];
    }
}

} // namespace

std::optional<Chart> robustness_curve(const std::vector<AttackSummary>& summaries,
                                      std::int64_t classes) {
    Chart chart{.title = "Robust accuracy",
                .x_label = "eps (grey levels of 255)",
                .y_label = "robust accuracy",
                .kind = ChartKind::points,
                .series = {},
                .references = {{1.0 / static_cast<double>(classes), "chance"}}};
    add_series(chart, summaries, [](const AttackSummary& s) {
        return std::isfinite(s.epsilon) ? Point({255 * s.epsilon, s.robust_accuracy()}) : Point();
    });
    return chart.series.empty() ? std::nullopt : std::optional(chart);
}

std::optional<Chart> distance_curve(const std::vector<AttackSummary>& summaries) {
    Chart chart{.title = "Success against distance",
                .x_label = "mean L2 distance of the successes ([0, 1] units)",
                .y_label = "success rate",
                .kind = ChartKind::points,
                .series = {}};
    add_series(chart, summaries, [](const AttackSummary& s) {
        return std::isfinite(s.epsilon) || s.broken == 0 ? Point()
                                                         : Point({s.l2.mean, s.success_rate()});
    });
    for (Series& series : chart.series) {
        sort_by_x(series);
    }
    return chart.series.empty() ? std::nullopt : std::optional(chart);
}

} // namespace patchforge
