// Generated images against real ones, in several features, with what the numbers can at best and at
// worst be.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "host/evaluate/features.h"
#include "host/evaluate/memorisation.h"
#include "host/evaluate/metric_lines.h"
#include "host/evaluate/random_network.h"
#include "host/model/classifier_model.h"

namespace patchforge {

// uint8 planes, one image after the other.
struct ImageSet {
    ImageShape shape;
    std::vector<std::uint8_t> bytes;
    std::vector<std::int32_t> labels; // or empty

    std::int64_t count() const {
        return static_cast<std::int64_t>(bytes.size()) /
               (shape.channels * shape.height * shape.width);
    }
};

struct ImageEvaluationOptions {
    std::uint64_t seed = 2020;
    int threads = 0;
    bool floors = true; // real against real, against noise, one class against the other
};

struct ImageEvaluation {
    std::vector<MetricResult> generated; // reference against generated
    // The same against: the other half of the reference, noise, one class against the rest.
    std::vector<MetricResult> floor;
    std::vector<MetricResult> noise;
    std::vector<MetricResult> other_class;
    double inception_score = 0; // of the generated images by the classifier; NaN without one
    double inception_score_deviation = 0;
    double inception_score_ceiling = 0; // exp(entropy of the reference's classes)
    // In the classifier's features, or PCA-64 without one. Empty lists without held-out images.
    Memorisation memorisation;
    std::string memorisation_features;
};

// `classifier` may be null: then its features are left out. `training` and `held_out` may be empty:
// then memorisation is left out. `progress` is told what is being done.
ImageEvaluation evaluate_images(const ImageSet& reference, const ImageSet& generated,
                                const ImageSet& training, const ImageSet& held_out,
                                const ClassifierModel* classifier,
                                const ImageEvaluationOptions& options,
                                const std::function<void(const std::string&)>& progress = {});

// Pixels in [-1, 1].
Features pixels_of(const ImageSet& images);

} // namespace patchforge
