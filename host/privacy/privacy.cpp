#include "host/privacy/privacy.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "host/files/json.h"
#include "host/numerics/evenly_spaced.h"

namespace patchforge {

namespace {

double least_chance_of(const PrivacyAttack& attack) {
    return std::min(attack.chance.auc, attack.chance.found);
}

} // namespace

void Privacy::judge(const std::string& key, const std::string& words, const std::string& holds,
                    bool heard, const Suspects& suspects, std::span<const std::int64_t> rows,
                    std::span<const float> scores) {
    ScoredPatches in, out;
    for (std::size_t i = 0; i < rows.size(); ++i) {
        ScoredPatches& side = rows[i] < suspects.members ? in : out;
        side.scores.push_back(scores[i]);
        side.patients.push_back(suspects.images.patients[rows[i]]);
    }
    attacks.push_back({key, words, holds, heard, membership_result(key, in, out, seed),
                       chance_of(in, out, seed)});
}

void Privacy::judge_distances(const std::string& key, const std::string& words,
                              const std::string& holds, const Suspects& suspects,
                              std::span<const std::int64_t> rows, const Nearness& nearness,
                              std::span<const double> distances) {
    std::vector<float> plain, relative;
    for (std::size_t i = 0; i < rows.size(); ++i) {
        plain.push_back(static_cast<float>(-distances[i]));
        relative.push_back(
            static_cast<float>(-nearness.over(static_cast<std::size_t>(rows[i]), distances[i])));
    }
    judge(key, words, holds, false, suspects, rows, plain);
    judge(key + "_relative", words + ", beside the nearest real patch", holds, true, suspects, rows,
          relative);
}

double Privacy::chance_of_one(double of_all) const {
    const auto heard = std::ranges::count(attacks, true, &PrivacyAttack::heard);
    return of_all / (2.0 * static_cast<double>(std::max<std::int64_t>(heard, 1)));
}

bool Privacy::speaks(const PrivacyAttack& attack, double of_all) const {
    return attack.heard && least_chance_of(attack) <= chance_of_one(of_all);
}

bool Privacy::copied() const {
    return member_copies > 0 && wilson_interval(member_copies, members).low >
                                    wilson_interval(stranger_copies, strangers).high;
}

bool Privacy::caught() const {
    return copied() || (strongest() && speaks(*strongest(), certain));
}

bool Privacy::suspected() const {
    return !caught() && strongest() && speaks(*strongest(), suspicious);
}

bool Privacy::enough_patients() const {
    return least_chance(member_patients, stranger_patients) <= chance_of_one(certain);
}

const PrivacyAttack* Privacy::strongest() const {
    const auto order = [](const PrivacyAttack& attack) {
        return std::tuple(!attack.heard, least_chance_of(attack),
                          -attack.result.auc - attack.result.found);
    };
    const auto found = std::ranges::min_element(attacks, {}, order);
    return found == attacks.end() || !found->heard ? nullptr : &*found;
}

std::string Privacy::verdict() const {
    const std::string copies = fmt::format(
        "{} of {} patches trained on have a fake nearer than half the way to any other real patch, "
        "and {} of {} of patients held out",
        member_copies, members, stranger_copies, strangers);
    const auto told_by = [](const PrivacyAttack& attack) {
        const MembershipResult& result = attack.result;
        return fmt::format("AUC {} by the {} ({})", score_text(result.auc, result.auc_interval),
                           attack.holds, attack.words);
    };
    if (copied()) {
        return fmt::format("A leak: this generator gives training patches back. {}.", copies);
    }
    if (caught() || suspected()) {
        const PrivacyAttack& attack = *strongest();
        return fmt::format("{}. {}, {:.1f} % found where 1 % of the others are taken for them; "
                           "{:.2g} of random divisions of the patients do as well. {}.",
                           caught() ? "A leak: who was trained on can be told"
                                    : "Perhaps a leak: hold out more patients, or train with "
                                      "another seed, to know",
                           told_by(attack), 100 * attack.result.found, least_chance_of(attack),
                           copies);
    }
    if (!enough_patients()) {
        return fmt::format("Nothing shown either way: {} patients trained on and {} held out are "
                           "too few to tell a leak from how patients differ; hold out more. {}.",
                           member_patients, stranger_patients, copies);
    }
    return fmt::format(
        "No leak shown: no attack tells the {} patients trained on from the {} held "
        "out beyond chance, at the strongest with {}. {}. Other attacks may see more.",
        member_patients, stranger_patients, told_by(*strongest()), copies);
}

Json Privacy::json() const {
    Json of_attacks = Json::object();
    for (const PrivacyAttack& attack : attacks) {
        const MembershipResult& result = attack.result;
        of_attacks[attack.key] = {{"holds", attack.holds},
                                  {"by", attack.words},
                                  {"auc", result.auc},
                                  {"auc_low", result.auc_interval.low},
                                  {"auc_high", result.auc_interval.high},
                                  {"auc_chance", attack.chance.auc},
                                  {"found_at_1_percent", result.found},
                                  {"found_at_1_percent_low", result.found_interval.low},
                                  {"found_at_1_percent_high", result.found_interval.high},
                                  {"found_at_1_percent_chance", attack.chance.found},
                                  {"members", result.members},
                                  {"strangers", result.strangers},
                                  {"heard", attack.heard},
                                  {"caught", speaks(attack, certain)}};
    }
    Json document = {{"verdict", verdict()},
                     {"caught", caught()},
                     {"suspected", suspected()},
                     {"enough_patients", enough_patients()},
                     {"generator", generator},
                     {"fakes", fakes},
                     {"fakes_given", given},
                     {"features", space},
                     {"seed", seed},
                     {"members", {{"patients", member_patients}, {"patches", members}}},
                     {"strangers", {{"patients", stranger_patients}, {"patches", strangers}}},
                     {"attacks", of_attacks},
                     {"least_chance", strongest() ? least_chance_of(*strongest()) : 1},
                     {"certain_chance", chance_of_one(certain)},
                     {"suspicious_chance", chance_of_one(suspicious)},
                     {"copies", {{"members", member_copies}, {"strangers", stranger_copies}}},
                     {"left_out", left_out}};
    if (taught) {
        Json scores = Json::object();
        for (const auto& [name, value] : synthetic_training_line(*taught).results) {
            scores[name] = value;
        }
        scores["verdict"] = synthetic_training_verdict(*taught);
        document["synthetic_training"] = scores;
    }
    return document;
}

void measure_nearness(Privacy& privacy, const Suspects& suspects, const ImageSet& fakes,
                      const FeatureExtractor& extractor, int threads) {
    const std::vector<std::int64_t> all =
        evenly_spaced(suspects.images.count(), suspects.images.count());
    const auto judge = [&](const std::string& key, const std::string& words,
                           const Nearness& nearness) {
        std::vector<double> distances;
        for (const Neighbour& fake : nearness.fake) {
            distances.push_back(fake.distance);
        }
        privacy.judge_distances(key, "nearest fake in " + words, "fakes", suspects, all, nearness,
                                distances);
    };
    privacy.pixels = nearness(pixels_of(suspects.images), pixels_of(fakes), threads);
    judge("pixels", "pixels", privacy.pixels);
    const auto members = static_cast<std::size_t>(suspects.members);
    privacy.member_copies = copies_among(privacy.pixels, 0, members);
    privacy.stranger_copies = copies_among(privacy.pixels, members, all.size());
    judge("features", "features",
          nearness(extractor.features(suspects.images), extractor.features(fakes), threads));
    privacy.space = extractor.name.name;
}

} // namespace patchforge
