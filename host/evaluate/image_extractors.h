// Sets of images, and what turns them into features.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "data/png.h"
#include "host/evaluate/metric_lines.h"
#include "host/evaluate/random_network.h"
#include "host/evaluate/texture.h"
#include "host/model/classifier_model.h"
#include "host/numerics/features.h"

namespace patchforge {

// uint8 planes, one image after the other.
struct ImageSet {
    Extent shape;
    std::vector<std::uint8_t> bytes;
    std::vector<std::int32_t> labels;     // or empty
    std::vector<std::int32_t> patients{}; // or empty

    std::int64_t count() const { return bytes.empty() ? 0 : std::ssize(bytes) / shape.size(); }
};

Image image_at(const ImageSet& set, std::int64_t i);
PictureBytes bytes_of(const ImageSet& images);
// Pixels in [-1, 1].
Features pixels_of(const ImageSet& images);

struct FeatureExtractor {
    Extractor name;
    std::function<Features(const ImageSet&)> features;
};

// The input of the classifier's last layer, "own256" where that has 256 numbers. The classifier
// must outlive the extractor.
FeatureExtractor classifier_extractor(const ClassifierModel& classifier);
// ClassifierModel::map_statistics(), "maps224" where there are 224 numbers; of a classifier with maps, which must
// outlive the extractor.
FeatureExtractor maps_extractor(const ClassifierModel& classifier);
// The 64 leading principal components of the pixels of `images`, or as many as there are images to find
// them with: "pixels-pca64". Distances between few images are those of images that components were
// found with only where these are others: of 200 real patches and 200 further ones, measured in
// components of the first, recall is 0.5 and precision 0.95, and 0.83 both in those of a third set.
FeatureExtractor pixel_extractor(const ImageSet& images, std::uint64_t seed, int threads);
// How many images it takes for components in which noise is told from tissue: 10 a component.
constexpr std::int64_t images_for_components = 640;
// The untrained network of random_network.h: "random256".
FeatureExtractor random_extractor(const Extent& shape, std::uint64_t seed, int threads);

} // namespace patchforge
