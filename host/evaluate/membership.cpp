#include "host/evaluate/membership.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <stdexcept>

#include "host/evaluate/memorisation.h"
#include "host/numerics/distances.h"
#include "host/numerics/philox_sequence.h"

namespace patchforge {
namespace {

double auc_of(const std::vector<float>& members, const std::vector<float>& strangers) {
    std::vector<float> scores = members;
    scores.insert(scores.end(), strangers.begin(), strangers.end());
    std::vector<std::uint8_t> labels(members.size(), 1);
    labels.resize(scores.size(), 0);
    return area_under_curve(scores, labels);
}

using Groups = std::vector<std::vector<float>>;

Groups groups_of(const ScoredPatches& patches) {
    std::map<std::int32_t, std::vector<float>> groups;
    for (std::size_t i = 0; i < patches.scores.size(); ++i) {
        groups[patches.patients[i]].push_back(patches.scores[i]);
    }
    Groups result;
    for (auto& [patient, scores] : groups) {
        result.push_back(std::move(scores));
    }
    return result;
}

std::vector<float> resampled(const Groups& groups, PhiloxSequence& random) {
    std::vector<float> scores;
    for (std::size_t draw = 0; draw < groups.size(); ++draw) {
        const std::vector<float>& group = groups[random.below(groups.size())];
        scores.insert(scores.end(), group.begin(), group.end());
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
    const Groups groups_in = groups_of(members), groups_out = groups_of(strangers);
    std::vector<double> auc, found;
    for (int resample = 0; resample < resamples; ++resample) {
        PhiloxSequence random(seed, static_cast<std::uint64_t>(resample));
        const std::vector<float> in = resampled(groups_in, random),
                                 out = resampled(groups_out, random);
        auc.push_back(auc_of(in, out));
        found.push_back(found_at(in, out, false_share));
    }
    return {attack,
            auc_of(members.scores, strangers.scores),
            {quantile(auc, 0.025), quantile(auc, 0.975)},
            found_at(members.scores, strangers.scores, false_share),
            {quantile(found, 0.025), quantile(found, 0.975)},
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
