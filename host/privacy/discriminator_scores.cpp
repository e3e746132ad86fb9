#include "host/privacy/discriminator_scores.h"

#include <fmt/format.h>

#include <stdexcept>

#include "host/files/safetensors.h"
#include "host/model/brought_in.h"
#include "host/network/class_columns.h"
#include "host/network/trace.h"
#include "host/numerics/philox_sequence.h"
#include "host/ranks/shared_rows.h"

namespace patchforge {

namespace {

constexpr std::int64_t batch = 64; // always full: behind the last image the first ones follow

} // namespace

std::vector<float> discriminator_scores(Backend& backend, const std::filesystem::path& weights,
                                        const ImageSet& images, std::int64_t classes,
                                        std::span<const std::int32_t> labels, std::uint64_t seed) {
    const std::string name = weights.string();
    const BroughtIn model = bring_in(backend, read_safetensors(weights), {});
    Network network(backend, model.shape);
    network.load_weights(model.file, name);
    const std::int64_t plane = images.shape.plane(), pixels = images.shape.size();
    const std::int64_t behind = network.shape().inputs() - pixels;
    if (network.shape().outputs() != 1 || (behind != classes && behind != classes * plane)) {
        throw std::runtime_error(fmt::format(
            "{}: takes {} numbers and gives {}; a discriminator of these patches takes their {} "
            "pixels{} and gives 1",
            name, network.shape().inputs(), network.shape().outputs(), pixels,
            classes > 0 ? fmt::format(" with {} classes", classes) : ""));
    }
    const std::int64_t count = images.count();
    const std::vector<std::int64_t> order = PhiloxSequence(seed).sample(count, count);
    Trace pass(network, batch, {.training = false, .backward = false});
    DeviceArray<float> seen(backend, batch * pixels);
    DeviceArray<std::int32_t> seen_labels(backend, batch);
    ClassColumns columns;
    if (classes > 0) {
        columns = ClassColumns(backend, batch, pixels, classes, behind / classes);
    }
    const Features values = pixels_of(images);
    std::vector<float> mixed(static_cast<std::size_t>(count));
    const auto ask = [&](std::int64_t first, std::int64_t rows) {
        std::vector<float> inputs;
        std::vector<std::int32_t> of_class;
        for (std::int64_t i = 0; i < batch; ++i) {
            const std::int64_t image = order[(first + i) % count];
            const auto row = values.row(image);
            inputs.insert(inputs.end(), row.begin(), row.end());
            of_class.push_back(classes > 0 ? labels[image] : 0);
        }
        seen.upload(inputs.data(), std::ssize(inputs));
        seen_labels.upload(of_class.data(), batch);
        const Matrix<const float> patches = seen.matrix(batch, pixels);
        const Matrix<float> logits =
            pass.forward(classes > 0 ? columns.append(patches, seen_labels.view()) : patches);
        backend.download(mixed.data() + first, logits.data,
                         static_cast<std::size_t>(rows) * sizeof(float));
    };
    share_batches(std::span(mixed), count, 1, batch, ask);
    std::vector<float> scores(mixed.size());
    for (std::size_t i = 0; i < mixed.size(); ++i) {
        scores[order[i]] = mixed[i];
    }
    return scores;
}

} // namespace patchforge
