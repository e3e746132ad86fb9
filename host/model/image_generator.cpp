#include "host/model/image_generator.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <stdexcept>

#include "host/files/tensor_facts.h"
#include "host/ranks/shared_rows.h"

namespace patchforge {

void GeneratorFormat::write(TensorFile& file) const {
    file.metadata["channels"] = std::to_string(channels);
    file.metadata["height"] = std::to_string(height);
    file.metadata["width"] = std::to_string(width);
    file.metadata["latent"] = latent;
    if (!classes.empty()) {
        file.metadata["classes"] = names_entry(classes);
    }
}

GeneratorFormat GeneratorFormat::read(const TensorFile& file, std::int64_t outputs,
                                      const std::string& what) {
    const auto extent = [&](const char* key) { return metadata_extent(file, key).value_or(0); };
    GeneratorFormat format{extent("channels"), extent("height"), extent("width"), "normal",
                           names_of(file, "classes").value_or(std::vector<std::string>())};
    if (const auto found = file.metadata.find("latent"); found != file.metadata.end()) {
        format.latent = found->second;
    }
    if (!file.metadata.contains("channels")) {
        constexpr std::array<std::array<int, 3>, 3> usual = {
            {{3, 50, 50}, {3, 32, 32}, {1, 28, 28}}};
        for (const auto& [c, h, w] : usual) {
            if (std::int64_t{c} * h * w == outputs) {
                return {c, h, w, format.latent, format.classes};
            }
        }
    }
    if (std::int64_t{format.channels} * format.height * format.width != outputs || outputs < 1) {
        throw std::runtime_error(fmt::format("{}: its {} outputs are not the pixels of a {} x {} x "
                                             "{} patch; add channels, height and "
                                             "width to the file's metadata",
                                             what, outputs, format.channels, format.height,
                                             format.width));
    }
    return format;
}

ImageGenerator::ImageGenerator(Network& network, GeneratorFormat format)
    : network_(&network), format_(std::move(format)),
      pass_(network, batch_, TraceUse{.training = false, .backward = false}),
      latent_(network.backend(), batch_ * network.shape().inputs()) {}

std::vector<float> ImageGenerator::latents(std::int64_t count, std::uint64_t seed, Purpose purpose,
                                           std::int64_t label) {
    const auto classes = std::max<std::int64_t>(1, std::ssize(format_.classes));
    std::vector<std::int32_t> of_class(static_cast<std::size_t>(count));
    for (std::int64_t i = 0; i < count; ++i) {
        of_class[i] = static_cast<std::int32_t>(label < 0 ? i % classes : label);
    }
    return latents_of(of_class, seed, purpose);
}

std::vector<float> ImageGenerator::latents_of(std::span<const std::int32_t> classes,
                                              std::uint64_t seed, Purpose purpose) {
    Backend& backend = network_->backend();
    const std::int64_t count = std::ssize(classes);
    const std::int64_t drawn_dim = latent_dim() - std::ssize(format_.classes);
    const std::int64_t size = count * drawn_dim;
    DeviceArray<float> drawn(backend, size);
    const RandomStream random{seed, static_cast<std::uint32_t>(purpose), {}};
    if (format_.latent == "uniform") {
        backend.fill_uniform(drawn.view(), -1, 1, random);
    } else {
        backend.fill_normal(drawn.view(), 0, 1, random);
    }
    std::vector<float> host(static_cast<std::size_t>(size));
    drawn.download(host.data(), size);
    if (format_.classes.empty()) {
        return host;
    }
    std::vector<float> codes(static_cast<std::size_t>(count * latent_dim()));
    for (std::int64_t i = 0; i < count; ++i) {
        const std::int32_t of_class = classes[i];
        if (of_class < 0 || of_class >= std::ssize(format_.classes)) {
            throw std::invalid_argument(
                fmt::format("generator: there is no class {} among its {}; ask for one of them",
                            of_class, format_.classes.size()));
        }
        const auto code = codes.begin() + i * latent_dim();
        std::copy_n(host.begin() + i * drawn_dim, drawn_dim, code);
        code[drawn_dim + of_class] = 1;
    }
    return codes;
}

std::vector<std::int32_t> ImageGenerator::classes_of(std::span<const float> latents) const {
    std::vector<std::int32_t> classes;
    const auto width = static_cast<std::size_t>(latent_dim());
    for (std::size_t end = width; !format_.classes.empty() && end <= latents.size(); end += width) {
        const auto columns = latents.subspan(end - format_.classes.size(), format_.classes.size());
        classes.push_back(
            static_cast<std::int32_t>(std::ranges::max_element(columns) - columns.begin()));
    }
    return classes;
}

std::vector<float> ImageGenerator::outputs(const std::vector<float>& latents,
                                           std::int64_t first_picture) {
    const std::int64_t width = latent_dim();
    const std::int64_t pixels = network_->shape().outputs();
    const std::int64_t count = static_cast<std::int64_t>(latents.size()) / width;
    std::vector<float> result(static_cast<std::size_t>(count * pixels));
    const auto make = [&](std::int64_t first, std::int64_t rows) {
        latent_.upload(latents.data() + first * width, rows * width);
        DropoutSource evaluation;
        evaluation.picture.offset = static_cast<std::uint32_t>(first_picture + first);
        const Matrix<float> images = pass_.forward(latent_.matrix(batch_, width), evaluation);
        network_->backend().download(result.data() + first * pixels, images.data,
                                     static_cast<std::size_t>(rows * pixels) * sizeof(float));
    };
    share_batches(std::span(result), count, pixels, batch_, make);
    return result;
}

std::vector<std::uint8_t> ImageGenerator::bytes(const std::vector<float>& latents,
                                                std::int64_t first_picture) {
    const std::vector<float> values = outputs(latents, first_picture);
    std::vector<std::uint8_t> result(values.size());
    std::transform(values.begin(), values.end(), result.begin(), byte_of_signed_unit);
    return result;
}

std::vector<Image> ImageGenerator::images(const std::vector<float>& latents,
                                          std::int64_t first_picture) {
    const std::vector<std::uint8_t> all = bytes(latents, first_picture);
    const std::int64_t count = std::ssize(all) / network_->shape().outputs();
    std::vector<Image> result;
    for (std::int64_t i = 0; i < count; ++i) {
        result.push_back(
            picture_at(all.data(), i, format_.channels, format_.height, format_.width));
    }
    return result;
}

std::uint8_t byte_of_signed_unit(float value) {
    const float scaled = std::round((value + 1.0f) * 127.5f);
    return static_cast<std::uint8_t>(std::clamp(scaled, 0.0f, 255.0f));
}

} // namespace patchforge
