#include "host/translate/translator.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "data/resample.h"
#include "host/page/image_grid.h"
#include "host/translate/translate_networks.h"

namespace patchforge {

namespace {

constexpr std::int64_t batch = 16;

} // namespace

struct Translator::Sized {
    Sized(Backend& backend, NetworkShape shape, const TensorFile& weights)
        : network(backend, std::move(shape)),
          pass(network, batch, TraceUse{.training = false, .backward = false}),
          in(backend, batch * network.shape().inputs()) {
        network.load_weights(weights, weights.name);
    }
    Network network;
    Trace pass;
    DeviceArray<float> in;
};

Translator::Translator(Backend& backend, const TranslateOptions& options, TensorFile weights)
    : backend_(backend), options_(options), weights_(std::move(weights)) {
    const auto text = weights_.metadata.find("network");
    if (text == weights_.metadata.end()) {
        throw std::runtime_error(weights_.name +
                                 ": says of no network; give weights that `train translate` wrote");
    }
    const NetworkShape shape = network_shape_from_description(text->second);
    in_channels_ = shape.in.channels;
    out_channels_ = shape.layers.back().out().channels;
}

Translator::Translator(Translator&&) noexcept = default;
Translator::~Translator() = default;

Translator::Sized& Translator::of_size(Extent extent) {
    std::unique_ptr<Sized>& sized = sized_[{extent.height, extent.width}];
    if (!sized) {
        sized = std::make_unique<Sized>(
            backend_, translation_generator(options_, extent, out_channels_), weights_);
    }
    return *sized;
}

std::vector<float> Translator::translate(const std::vector<float>& pictures, Extent extent) {
    Sized& sized = of_size(extent);
    const std::int64_t inputs = sized.network.shape().inputs();
    const std::int64_t outputs = sized.network.shape().outputs();
    const std::int64_t count = std::ssize(pictures) / inputs;
    std::vector<float> made(static_cast<std::size_t>(count * outputs));
    for (std::int64_t first = 0; first < count; first += batch) {
        const std::int64_t rows = std::min(batch, count - first);
        sized.in.upload(pictures.data() + first * inputs, rows * inputs);
        DropoutSource evaluation; // every picture has noise of its own
        evaluation.picture_seed = options_.seed;
        evaluation.picture = {nullptr, 1, static_cast<std::uint32_t>(first)};
        const Matrix<float> out = sized.pass.forward(sized.in.matrix(rows, inputs), evaluation);
        backend_.download(made.data() + first * outputs, out.data,
                          static_cast<std::size_t>(out.size()) * sizeof(float));
    }
    return made;
}

std::vector<Image> Translator::translate(const std::vector<Image>& pictures) {
    std::vector<Image> made(pictures.size());
    std::map<std::pair<int, int>, std::vector<std::size_t>> by_size;
    for (std::size_t i = 0; i < pictures.size(); ++i) {
        if (pictures[i].channels != in_channels_) {
            throw std::invalid_argument(
                fmt::format("a picture has {} channels, the generator takes {}",
                            pictures[i].channels, in_channels_));
        }
        by_size[{pictures[i].height, pictures[i].width}].push_back(i);
    }
    const bool enlarges = options_.generator == GeneratorKind::edsr;
    for (const auto& [size, members] : by_size) {
        const auto [height, width] = size;
        const auto up = [&](int side) { // a multiple of 8 halves evenly, whatever the other side
            return enlarges || height == width ? side : (side + 7) / 8 * 8;
        };
        const Extent extent{in_channels_, up(height), up(width)};
        std::vector<Image> padded;
        for (const std::size_t i : members) {
            padded.push_back(pad_to(pictures[i], extent.width, extent.height));
        }
        const int factor = enlarges ? 2 : 1;
        const std::vector<float> values = translate(signed_unit(padded), extent);
        const std::vector<Image> images =
            images_from_signed_unit(values.data(), std::ssize(members), out_channels_,
                                    factor * extent.height, factor * extent.width);
        for (std::size_t k = 0; k < members.size(); ++k) {
            made[members[k]] = pad_to(images[k], factor * width, factor * height);
        }
    }
    return made;
}

std::vector<float> signed_unit(const std::vector<Image>& pictures) {
    std::vector<float> values;
    for (const Image& picture : pictures) {
        for (const std::uint8_t byte : picture.pixels) {
            values.push_back(2.0f * static_cast<float>(byte) / 255.0f - 1.0f);
        }
    }
    return values;
}

} // namespace patchforge
