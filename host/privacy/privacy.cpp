#include "host/privacy/privacy.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <tuple>

#include "data/mapped_file.h"
namespace patchforge {

namespace {

std::vector<float> minus(const std::vector<double>& distances) {
    std::vector<float> scores;
    for (const double distance : distances) {
        scores.push_back(static_cast<float>(-distance));
    }
    return scores;
}

double least_chance_of(const PrivacyAttack& attack) {
    return std::min(attack.chance.auc, attack.chance.found);
}

} // namespace

void Privacy::judge(const std::string& key, const std::string& words, const std::string& holds,
                    const Suspects& suspects, std::span<const std::int64_t> rows,
                    std::span<const float> scores) {
    ScoredPatches in, out;
    for (std::size_t i = 0; i < rows.size(); ++i) {
        ScoredPatches& side = rows[i] < suspects.members ? in : out;
        side.scores.push_back(scores[i]);
        side.patients.push_back(suspects.images.patients[static_cast<std::size_t>(rows[i])]);
    }
    attacks.push_back(
        {key, words, holds, membership_result(key, in, out, seed), chance_of(in, out, seed)});
}

double Privacy::significant() const {
    return 0.05 / (2.0 * static_cast<double>(std::max<std::size_t>(attacks.size(), 1)));
}

bool Privacy::caught(const PrivacyAttack& attack) const {
    return least_chance_of(attack) <= significant();
}

bool Privacy::copied() const {
    return member_copies > 0 && wilson_interval(member_copies, members).low >
                                    wilson_interval(stranger_copies, strangers).high;
}

bool Privacy::caught() const {
    return copied() || std::ranges::any_of(
                           attacks, [&](const PrivacyAttack& attack) { return caught(attack); });
}

bool Privacy::enough_patients() const {
    return least_chance(member_patients, stranger_patients) <= significant();
}

const PrivacyAttack* Privacy::strongest() const {
    const auto order = [](const PrivacyAttack& attack) {
        return std::tuple(least_chance_of(attack), -attack.result.auc - attack.result.found);
    };
    const auto found = std::ranges::min_element(attacks, {}, order);
    return found == attacks.end() ? nullptr : &*found;
}

std::string Privacy::verdict() const {
    const std::string copies = fmt::format(
        "{} of {} patches trained on have a fake nearer than half the way to any other real patch, "
        "and {} of {} of patients held out",
        member_copies, members, stranger_copies, strangers);
    const auto told_by = [](const PrivacyAttack& attack) {
        const MembershipResult& result = attack.result;
        return fmt::format("AUC {:.3f} [{:.3f}, {:.3f}] by the {} ({})", result.auc,
                           result.auc_interval.low, result.auc_interval.high, attack.holds,
                           attack.words);
    };
    if (copied()) {
        return fmt::format("A leak: this generator gives training patches back. {}.", copies);
    }
    if (caught()) {
        const PrivacyAttack& attack = *strongest();
        return fmt::format(
            "A leak: who was trained on can be told. {}, {:.1f} % found where 1 % of "
            "the others are taken for them; {:.2g} of random divisions of the "
            "patients do as well. {}.",
            told_by(attack), 100 * attack.result.found, least_chance_of(attack), copies);
    }
    if (!enough_patients()) {
        return fmt::format("Nothing shown either way: {} patients trained on and {} held out are "
                           "too few to tell a leak from how patients differ; hold out more. {}.",
                           member_patients, stranger_patients, copies);
    }
    const auto highest = std::ranges::max_element(
        attacks, {}, [](const PrivacyAttack& attack) { return attack.result.auc; });
    return fmt::format(
        "No leak shown: none of {} attacks tells the {} patients trained on from the "
        "{} held out beyond chance, at most with {}. {}. Other attacks may see more.",
        attacks.size(), member_patients, stranger_patients, told_by(*highest), copies);
}

nlohmann::ordered_json Privacy::json() const {
    nlohmann::ordered_json of_attacks = nlohmann::ordered_json::object();
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
                                  {"caught", caught(attack)}};
    }
    nlohmann::ordered_json document = {
        {"verdict", verdict()},
        {"caught", caught()},
        {"enough_patients", enough_patients()},
        {"generator", generator},
        {"fakes", fakes},
        {"fakes_given", given},
        {"features", space},
        {"seed", seed},
        {"members", {{"patients", member_patients}, {"patches", members}}},
        {"strangers", {{"patients", stranger_patients}, {"patches", strangers}}},
        {"attacks", of_attacks},
        {"least_chance", attacks.empty() ? 1 : least_chance_of(*strongest())},
        {"significant_chance", significant()},
        {"copies", {{"members", member_copies}, {"strangers", stranger_copies}}},
        {"left_out", left_out}};
    if (taught) {
        nlohmann::ordered_json scores = nlohmann::ordered_json::object();
        for (const auto& [name, value] : synthetic_training_line(*taught).results) {
            scores[name] = value;
        }
        scores["verdict"] = synthetic_training_verdict(*taught);
        document["synthetic_training"] = scores;
    }
    return document;
}

std::string file_fingerprint(const std::filesystem::path& file) {
    const MappedFile mapped(file);
    return content_hash(std::as_bytes(mapped.bytes()));
}

void measure_nearness(Privacy& privacy, const Suspects& suspects, const ImageSet& fakes,
                      const FeatureExtractor& extractor, int threads) {
    const std::vector<std::int64_t> all =
        spread_rows(0, suspects.images.count(), suspects.images.count());
    const auto judge = [&](const std::string& key, const std::string& words,
                           const Nearness& nearness) {
        std::vector<double> raw, relative;
        for (std::size_t i = 0; i < all.size(); ++i) {
            raw.push_back(nearness.fake[i].distance);
            relative.push_back(nearness.relative(i));
        }
        privacy.judge(key, "nearest fake in " + words, "fakes", suspects, all, minus(raw));
        privacy.judge(key + "_relative",
                      "nearest fake in " + words + ", beside the nearest real patch", "fakes",
                      suspects, all, minus(relative));
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

std::vector<std::int64_t> spread_rows(std::int64_t first, std::int64_t of, std::int64_t count) {
    const std::int64_t taken = std::min(of, count);
    std::vector<std::int64_t> rows;
    for (std::int64_t i = 0; i < taken; ++i) {
        rows.push_back(first + i * of / taken);
    }
    return rows;
}

} // namespace patchforge
