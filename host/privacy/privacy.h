// What a released GAN gives away of the patients that it was trained on: membership inference by what an
// attacker may hold (fakes, the generator, the discriminator), copies of patches, and whether the fakes
// teach a classifier, which is what they are released for. docs/privacy.md has the protocol.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "host/classifier/synthetic_training.h"
#include "host/evaluate/image_extractors.h"
#include "host/evaluate/membership.h"
#include "host/privacy/nearness.h"

namespace patchforge {

class Json; // host/files/json.h

// Patches that were trained on, then patches of patients that were not.
struct Suspects {
    ImageSet images; // with patients
    std::int64_t members = 0;
    std::int64_t strangers() const { return images.count() - members; }
};

struct PrivacyAttack {
    std::string key;   // "pixels_relative"
    std::string words; // "nearest fake in pixels, beside the nearest real patch"
    std::string holds; // what the attacker has: "fakes", "generator", "discriminator"
    // Whether it is heard for the verdict. Plain distances are not: they order patients by how smooth
    // their patches are, too.
    bool heard = true;
    MembershipResult result;
    MembershipChance chance;
};

struct Privacy {
    std::string generator; // file_fingerprint of its weights
    std::int64_t fakes = 0;
    bool given = false; // in files, instead of drawn for this
    std::string space;  // features that "features" are
    std::uint64_t seed = 0;

    std::int64_t members = 0, member_patients = 0; // patches and patients trained on
    std::int64_t strangers = 0, stranger_patients = 0;
    std::vector<PrivacyAttack> attacks{};
    std::vector<std::string> left_out{}; // attacks and why, a sentence each
    std::int64_t member_copies = 0, stranger_copies = 0;
    Nearness pixels{}; // of the suspects, for the page

    std::optional<SyntheticTraining> taught{}; // without: `left_out` says why

    // Adds what the scores of some suspects, higher for "was in", give away. Rows are ascending.
    void judge(const std::string& key, const std::string& words, const std::string& holds,
               bool heard, const Suspects& suspects, std::span<const std::int64_t> rows,
               std::span<const float> scores);
    // The same of distances to what the attacker found: plain, and over the distance to the nearest real
    // patch, which `nearness` of all suspects knows.
    void judge_distances(const std::string& key, const std::string& words, const std::string& holds,
                         const Suspects& suspects, std::span<const std::int64_t> rows,
                         const Nearness& nearness, std::span<const double> distances);

    // The chance of one question to one attack at which all of them together speak falsely with a
    // probability of at most `of_all`: two questions to each that is heard.
    double chance_of_one(double of_all) const;
    bool speaks(const PrivacyAttack& attack, double of_all) const;
    static constexpr double certain = 0.01;    // a leak is called
    static constexpr double suspicious = 0.05; // it may be one
    // More of the patches trained on have copies than of the others: 95 % intervals without overlap.
    bool copied() const;
    bool caught() const;
    bool suspected() const; // and not caught
    // Whether so few patients could show anything.
    bool enough_patients() const;
    // Of those that are heard by chance, then by AUC; null without any.
    const PrivacyAttack* strongest() const;
    std::string verdict() const; // the outcome first

    // Names no patient and no file.
    Json json() const;
};

// Attacks by the distance of the nearest fake, in pixels and in the features of `extractor`.
void measure_nearness(Privacy& privacy, const Suspects& suspects, const ImageSet& fakes,
                      const FeatureExtractor& extractor, int threads);

} // namespace patchforge
