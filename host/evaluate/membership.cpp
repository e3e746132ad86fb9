#include "host/evaluate/membership.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <stdexcept>
#include <utility>

#include "host/evaluate/patient_bootstrap.h"
#include "host/numerics/distances.h"

namespace patchforge {
namespace {

std::vector<float> scores_of(const ScoredPatches& patches, const std::vector<std::int64_t>& rows) {
    std::vector<float> scores;
    for (const std::int64_t row : rows) {
        scores.push_back(patches.scores[row]);
    }
    return scores;
}

// At most 1 % of the strangers are taken for members.
constexpr double false_share = 0.01;

void check_sides(const ScoredPatches& members, const ScoredPatches& strangers) {
    if (members.scores.empty() || strangers.scores.empty() ||
        members.scores.size() != members.patients.size() ||
        strangers.scores.size() != strangers.patients.size()) {
        throw std::invalid_argument(
            "membership: give patches that were trained on and patches that were not, and a "
            "patient for each");
    }
}

// The patches of all patients from the highest score to the lowest, for sides that change.
class RankedPatches {
  public:
    RankedPatches(const ScoredPatches& members, const ScoredPatches& strangers) {
        std::size_t patients = 0;
        for (const ScoredPatches* side : {&members, &strangers}) {
            const RowGroups groups = rows_of_patients(side->patients, side->scores.size());
            for (const auto& rows : groups) {
                for (const std::int64_t row : rows) {
                    ranked_.push_back({side->scores[row], patients});
                }
                ++patients;
            }
            members_ = side == &members ? patients : members_;
        }
        std::ranges::stable_sort(ranked_, std::greater(), &Ranked::score);
        patients_ = patients;
    }
    std::size_t patients() const { return patients_; }
    std::size_t members() const { return members_; } // the first of the patients

    // AUC and the share found where the patients with `is_member` are the members.
    std::pair<double, double> told_apart(const std::vector<bool>& is_member) const {
        double in = 0, out = 0, pairs = 0, found = -1, strangers = 0;
        for (const Ranked& one : ranked_) {
            strangers += !is_member[one.patient];
        }
        const double allowed = std::floor(false_share * strangers);
        for (std::size_t begin = 0; begin < ranked_.size();) {
            std::size_t end = begin;
            double in_here = 0, out_here = 0;
            for (; end < ranked_.size() && ranked_[end].score == ranked_[begin].score; ++end) {
                (is_member[ranked_[end].patient] ? in_here : out_here) += 1;
            }
            if (found < 0 && out + out_here > allowed) {
                found = in; // those above the first stranger too many
            }
            pairs += out_here * (in + in_here / 2);
            in += in_here;
            out += out_here;
            begin = end;
        }
        return {pairs / (in * out), (found < 0 ? in : found) / in};
    }

  private:
    struct Ranked {
        float score;
        std::size_t patient;
    };
    std::vector<Ranked> ranked_;
    std::size_t members_ = 0, patients_ = 0;
};

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
    check_sides(members, strangers);
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

MembershipChance chance_of(const ScoredPatches& members, const ScoredPatches& strangers,
                           std::uint64_t seed, int divisions) {
    check_sides(members, strangers);
    const RankedPatches patches(members, strangers);
    const auto told_apart_with = [&](const std::vector<std::int64_t>& chosen) {
        std::vector<bool> is_member(patches.patients());
        for (const std::int64_t patient : chosen) {
            is_member[patient] = true;
        }
        return patches.told_apart(is_member);
    };
    const auto in = static_cast<std::int64_t>(patches.members());
    std::vector<std::int64_t> first(patches.members());
    std::iota(first.begin(), first.end(), 0);
    const auto [auc, found] = told_apart_with(first);
    std::int64_t auc_as_good = 1, found_as_good = 1;
    for (int division = 0; division < divisions; ++division) {
        PhiloxSequence random(seed, static_cast<std::uint64_t>(division));
        const auto [other_auc, other_found] =
            told_apart_with(random.sample(static_cast<std::int64_t>(patches.patients()), in));
        auc_as_good += other_auc >= auc;
        found_as_good += other_found >= found;
    }
    const double all = divisions + 1.0;
    return {static_cast<double>(auc_as_good) / all, static_cast<double>(found_as_good) / all};
}

double least_chance(std::int64_t members, std::int64_t strangers) {
    double divisions = 1;
    for (std::int64_t i = 1; i <= std::min(members, strangers); ++i) {
        divisions *= static_cast<double>(members + strangers + 1 - i) / static_cast<double>(i);
    }
    return 1 / divisions;
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
