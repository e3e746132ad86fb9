// Generated images against real ones, in several features, with what the numbers can at best and at
// worst be.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "host/distance/memorisation.h"
#include "host/evaluate/image_extractors.h"
#include "host/run/progress.h"

namespace patchforge {

struct ImageEvaluationOptions {
    std::uint64_t seed = 2020;
    int threads = 0;
    bool floors = true; // real against real, against noise, one class against the other
    // Of the labels; where both sets have labels, each class is compared by itself too.
    std::vector<std::string> class_names{};
    // Real images on no other side, which principal components of the pixels are found with; fewer
    // than images_for_components: there are none, and those features are left out.
    const ImageSet* others = nullptr;
};

// Each list holds the lines of evaluate_features in every extractor, in the extractors' order.
struct ImageEvaluation {
    // Reference against generated. Behind the distances: `texture` (host/evaluate/texture.h),
    // `inception_score` of the generated images
    // by the classifier, its ceiling being exp(entropy of the reference's classes) and NaN where these
    // are unknown or not the classifier's, and `memorisation`, in the first features that there are:
    // the classifier's, those of the pixels, the random network's; each where it could be measured; and
    // `membership` (host/evaluate/membership.h), where both sides know their patients.
    std::vector<MetricResult> generated;
    // The same against: the other half of the reference, noise, one class against the rest.
    std::vector<MetricResult> floor;
    std::vector<MetricResult> noise;
    std::vector<MetricResult> other_class;
    // Generated images of a class against the reference's, class by class.
    std::vector<MetricResult> by_class;
    // Whose numbers stand in `generated`; without neighbours where it was not measured.
    Memorisation memorisation;

    std::string left_out{}; // which features, and why; empty: none

    // All lines, in the order above.
    std::vector<MetricResult> lines() const;
};

// `classifier` may be null: then its features are left out. `training` and `held_out` may be empty:
// then memorisation is left out. `progress` is told what is being done. Throws
// std::invalid_argument when there are fewer than 20 images of either kind.
ImageEvaluation
evaluate_images(const ImageSet& reference, const ImageSet& generated, const ImageSet& training,
                const ImageSet& held_out, const ClassifierModel* classifier,
                const ImageEvaluationOptions& options,
                const std::function<void(const std::string&)>& progress = say_nothing);

} // namespace patchforge
