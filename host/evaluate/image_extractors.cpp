#include "host/evaluate/image_extractors.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "host/numerics/pca.h"

namespace patchforge {

namespace {

constexpr std::int64_t pca_components = 64;
static_assert(images_for_components == 10 * pca_components);

} // namespace

Image image_at(const ImageSet& set, std::int64_t i) {
    return picture_at(set.bytes.data(), i, set.shape.channels, set.shape.height, set.shape.width);
}

PictureBytes bytes_of(const ImageSet& images) {
    return {images.bytes, images.shape};
}

Features pixels_of(const ImageSet& images) {
    Features features{images.count(), images.shape.size(), std::vector<float>(images.bytes.size())};
    std::transform(images.bytes.begin(), images.bytes.end(), features.values.begin(),
                   [](std::uint8_t v) { return static_cast<float>(v) * (2.0f / 255.0f) - 1.0f; });
    return features;
}

FeatureExtractor classifier_extractor(const ClassifierModel& classifier) {
    const std::int64_t width = classifier.feature_count();
    return {
        {fmt::format("own{}", width), classifier.hash()},
        [&classifier, width](const ImageSet& images) {
            return Features{images.count(), width, classifier.features(std::span(images.bytes))};
        }};
}

FeatureExtractor maps_extractor(const ClassifierModel& classifier) {
    const std::int64_t width = classifier.map_statistic_count();
    return {{fmt::format("maps{}", width), classifier.hash()},
            [&classifier, width](const ImageSet& images) {
                return Features{images.count(), width,
                                classifier.map_statistics(std::span(images.bytes))};
            }};
}

FeatureExtractor pixel_extractor(const ImageSet& images, std::uint64_t seed, int threads) {
    const Features pixels = pixels_of(images);
    const std::int64_t components = std::min({pca_components, pixels.count - 1, pixels.dimension});
    auto pca = std::make_shared<const PrincipalComponents>(
        fit_principal_components(pixels, components, seed, threads));
    return {{fmt::format("pixels-pca{}", components),
             content_hash(std::as_bytes(std::span(pca->basis)))},
            [pca, threads](const ImageSet& projected) {
                return project(*pca, pixels_of(projected), threads);
            }};
}

FeatureExtractor random_extractor(const Extent& shape, std::uint64_t seed, int threads) {
    return {{fmt::format("random{}", random_network_dimension), random_network_hash(shape, seed)},
            [shape, seed, threads](const ImageSet& images) {
                return random_network_features(pixels_of(images), shape, seed, threads);
            }};
}

} // namespace patchforge
