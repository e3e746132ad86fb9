#include "host/privacy/latent_recovery.h"

#include <algorithm>
#include <cmath>
#include <span>

#include "host/attack/latent_search.h"
#include "host/privacy/nearness.h"
#include "host/project/picture_distance.h"
#include "host/ranks/shared_rows.h"

namespace patchforge {

std::vector<double> recovery_distances(LoadedGenerator& generator, const ImageSet& images,
                                       const LatentRecoveryOptions& options,
                                       const std::function<void(std::int64_t)>& progress) {
    ImageGenerator& pictures = generator.images();
    const GeneratorFormat& format = pictures.format();
    const auto width = static_cast<std::size_t>(pictures.latent_dim());
    const std::int64_t pixels = images.shape.size();
    const std::vector<float> drawn = pictures.latents(options.draws, options.seed);
    const ImageSet starts{images.shape, pictures.bytes(drawn), {}};
    const std::vector<Neighbour> nearest =
        nearest_of(pixels_of(images), pixels_of(starts), options.threads);

    std::vector<double> distances(static_cast<std::size_t>(images.count()));
    const auto recover = [&](std::int64_t first, std::int64_t count) {
        const auto targets = std::span(images.bytes)
                                 .subspan(static_cast<std::size_t>(first * pixels),
                                          static_cast<std::size_t>(count * pixels));
        std::vector<float> codes;
        for (std::int64_t i = first; i < first + count; ++i) {
            const auto start = static_cast<std::size_t>(nearest[i].index);
            const auto code = drawn.begin() + static_cast<std::ptrdiff_t>(start * width);
            codes.insert(codes.end(), code, code + static_cast<std::ptrdiff_t>(width));
        }
        PictureDistance objective(generator.network().backend(), targets, pixels, 1,
                                  LatentSearch::batch, {});
        LatentSearch search(generator.network(), objective,
                            {.steps = options.steps,
                             .numbers = pictures.latent_dim() - std::ssize(format.classes),
                             .in_unit_box = format.latent == "uniform"});
        const std::vector<std::uint8_t> found = pictures.bytes(search.run(codes));
        // Mean squares of pixels in [0, 1] are a quarter of those in [-1, 1]. A search may end
        // farther away than it began: the nearest is what the attacker keeps.
        const std::vector<double> squares = objective.distances(found, targets);
        for (std::int64_t i = 0; i < count; ++i) {
            const auto at = static_cast<std::size_t>(first + i);
            distances[at] = std::min(nearest[at].distance,
                                     2 * std::sqrt(static_cast<double>(pixels) * squares[i]));
        }
        if (progress) {
            progress(first + count);
        }
    };
    share_batches(std::span(distances), images.count(), 1, LatentSearch::batch, recover);
    return distances;
}

} // namespace patchforge
