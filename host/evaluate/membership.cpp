#include "host/evaluate/membership.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "host/evaluate/patient_bootstrap.h"
#include "host/numerics/distances.h"

namespace patchforge {
namespace {

std::vector<float> scores_of(const ScoredPatches& patches, const std::vector<std::int64_t>& rows) {
    std::vector<float> scores;
    for (const std::int64_t row : rows) {
        scores.push_back(patches.scores[static_cast<std::size_t>(row)]);
    }
    return scores;
}

} // namespace

double found_at(std::span<const float> members, std::span<const float> strangers,
                double false_share) {
    std::vector<float> sorted(strangers.begin(), strangers.end());
    std::ranges::sort(sorted, std::greater());
    // As many strangers as the share allows may lie above the threshold, and those alone.
    const auto allowed =
        static_cast<std::size_t>(std::floor(false_share * static_cast<double>(sorted.size())));
    if (allowed >= sorted.size()) {
        return 1;
    }
    const float threshold = sorted[allowed];
    const auto found =
        std::ranges::count_if(members, [&](float score) { return score > threshold; });
    return static_cast<double>(found) / static_cast<double>(members.size());
}

MembershipResult membership_result(const std::string& attack, const ScoredPatches& members,
                                   const ScoredPatches& strangers, std::uint64_t seed,
                                   int resamples) {
    if (members.scores.empty() || strangers.scores.empty() ||
        members.scores.size() != members.patients.size() ||
        strangers.scores.size() != strangers.patients.size()) {
        throw std::invalid_argument(
            "membership: give patches that were trained on and patches that were not, and a "
            "patient for each");
    }
    constexpr double false_share = 0.01;
    const RowGroups groups_in = rows_of_patients(members.patients, members.scores.size());
    const RowGroups groups_out = rows_of_patients(strangers.patients, strangers.scores.size());
    std::vector<double> auc, found;
    for (int resample = 0; resample < resamples; ++resample) {
        PhiloxSequence random(seed, static_cast<std::uint64_t>(resample));
        const std::vector<float> in = scores_of(members, resampled_rows(groups_in, random));
        const std::vector<float> out = scores_of(strangers, resampled_rows(groups_out, random));
        auc.push_back(area_under_curve_of_sets(in, out));
        found.push_back(found_at(in, out, false_share));
    }
    return {attack,
            area_under_curve_of_sets(members.scores, strangers.scores),
            percentile_interval(auc),
            found_at(members.scores, strangers.scores, false_share),
            percentile_interval(found),
            std::ssize(members.scores),
            std::ssize(strangers.scores)};
}

std::vector<float> nearest_fake_scores(const Features& patches, const Features& fakes,
                                       int threads) {
    std::vector<float> scores;
    for (const Neighbour& neighbour : nearest_neighbours(patches, fakes, threads)) {
        scores.push_back(static_cast<float>(-neighbour.distance));
    }
    return scores;
}

} // namespace patchforge
