#include "host/evaluate/image_extractors.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <stdexcept>

#include "host/numerics/pca.h"

namespace patchforge {

namespace {

constexpr std::int64_t pca_components = 64;
static_assert(images_for_components == 10 * pca_components);

} // namespace

Image image_at(const ImageSet& set, std::int64_t i) {
    return picture_at(set.bytes.data(), i, static_cast<int>(set.shape.channels),
                      static_cast<int>(set.shape.height), static_cast<int>(set.shape.width));
}

PictureBytes bytes_of(const ImageSet& images) {
    return {images.bytes,
            {static_cast<int>(images.shape.channels), static_cast<int>(images.shape.height),
             static_cast<int>(images.shape.width)}};
}

Features pixels_of(const ImageSet& images) {
    const std::int64_t count = images.count();
    const std::int64_t width = images.shape.channels * images.shape.height * images.shape.width;
    Features features{count, width, std::vector<float>(images.bytes.size())};
    std::transform(images.bytes.begin(), images.bytes.end(), features.values.begin(),
                   [](std::uint8_t v) { return static_cast<float>(v) * (2.0f / 255.0f) - 1.0f; });
    return features;
}

std::unique_ptr<ClassifierModel> load_features(Backend& backend, const std::string& path,
                                               std::int64_t pixels, const std::string& who,
                                               const ModelReading& reading) {
    auto classifier = ClassifierModel::load(backend, path, reading);
    if (classifier->pixels() != pixels) {
        throw std::invalid_argument(
            fmt::format("--features {}: takes {} pixels, {} {}; give a classifier of such pictures",
                        path, classifier->pixels(), who, pixels));
    }
    return classifier;
}

FeatureExtractor classifier_extractor(const ClassifierModel& classifier) {
    const std::int64_t width = classifier.feature_count();
    return {
        {fmt::format("own{}", width), classifier.hash()},
        [&classifier, width](const ImageSet& images) {
            return Features{images.count(), width, classifier.features(std::span(images.bytes))};
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

FeatureExtractor random_extractor(const ImageShape& shape, std::uint64_t seed, int threads) {
    return {{fmt::format("random{}", random_network_dimension), random_network_hash(shape, seed)},
            [shape, seed, threads](const ImageSet& images) {
                return random_network_features(pixels_of(images), shape, seed, threads);
            }};
}

} // namespace patchforge
