#include "host/network/named_networks.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

namespace patchforge {

namespace {

// A convolution without bias, as batch normalisation takes means away, normalised, with ReLU.
std::string normalised(int in, int out, const std::string& rest = "k3 p1") {
    return fmt::format("; conv {}>{} {} nobias norm=batch relu", in, out, rest);
}

// Three convolutions with a maximum behind each: 24,000 parameters.
std::string cnn(Extent in, std::int64_t outputs) {
    std::string text = in.text();
    int channels = in.channels;
    for (const int next : {16, 32, 64}) {
        text += normalised(channels, next) + "; pool max k2";
        channels = next;
    }
    return text + fmt::format("; pool global; linear {}>{}", channels, outputs);
}

// Pairs of convolutions, as in Simonyan & Zisserman 2015, with batch normalisation.
std::string vgg(Extent in, std::int64_t outputs) {
    std::string text = in.text();
    int channels = in.channels;
    for (const int next : {32, 64, 128}) {
        text += normalised(channels, next) + normalised(next, next) + "; pool max k2";
        channels = next;
    }
    return text + fmt::format("; pool global; linear {}>128 relu dropout=0.5; linear 128>{}",
                              channels, outputs);
}

// Three stages of two residual blocks (He et al. 2016), halving the maps and doubling the channels.
std::string resnet(Extent in, std::int64_t outputs) {
    std::string text = in.text() + normalised(in.channels, 16) + " as=block0";
    int channels = 16, block = 0;
    for (const int next : {16, 32, 64}) {
        for (int i = 0; i < 2; ++i, ++block) {
            const bool halves = i == 0 && next != channels;
            std::string skip = fmt::format("block{}", block);
            text += normalised(channels, next, halves ? "k3 s2 p1" : "k3 p1");
            text += fmt::format("; conv {}>{} k3 p1 nobias norm=batch as=sum{}", next, next, block);
            if (halves) {
                text += fmt::format("; conv {}>{} k1 s2 from={} nobias norm=batch; add sum{}",
                                    channels, next, skip, block);
            } else {
                text += "; add " + skip;
            }
            text += fmt::format(" relu as=block{}", block + 1);
            channels = next;
        }
    }
    return text + fmt::format("; pool global; linear {}>{}", channels, outputs);
}

int half(int size) {
    return (size + 1) / 2;
}

// Codes become maps of an eighth of the side; three times twice as large (one line less where the
// next size is odd) and a 3x3 convolution: nearest neighbours leave no grid, which transposed
// convolutions do. The discriminator halves four times and has no normalisation, which would let it
// tell fakes by the statistics of a batch.
GanTexts light(Extent pictures, std::int64_t latent_dim, int width) {
    const int sides[] = {half(half(half(pictures.height))), half(half(pictures.height)),
                         half(pictures.height), pictures.height};
    const int channels[] = {4 * width, 2 * width, width, pictures.channels};
    GanTexts texts;
    texts.generator =
        fmt::format("{}>{}; view {}x{}x{} norm=batch relu", latent_dim,
                    channels[0] * sides[0] * sides[0], channels[0], sides[0], sides[0]);
    for (int i = 1; i < 4; ++i) {
        texts.generator += fmt::format("; upsampled {}>{}{}{}", channels[i - 1], channels[i],
                                       sides[i] < 2 * sides[i - 1] ? " crop" : "",
                                       i < 3 ? " norm=batch relu" : " tanh");
    }
    int side = (pictures.height - 2) / 2 + 1; // kernel 4, stride 2, padding 1
    texts.discriminator = fmt::format("{}; conv {}>{} k4 s2 p1 leaky_relu", pictures.text(),
                                      pictures.channels, width);
    int out = width;
    for (int i = 0; i < 3; ++i, out *= 2) {
        texts.discriminator += fmt::format("; conv {}>{} k3 s2 p1 leaky_relu", out, 2 * out);
        side = half(side);
    }
    texts.discriminator += fmt::format("; linear {}>1", out * side * side);
    return texts;
}

struct Named {
    const char* name;
    std::string (*text)(Extent in, std::int64_t outputs);
};
constexpr Named table[] = {{"cnn", cnn}, {"resnet", resnet}, {"vgg", vgg}};

} // namespace

std::vector<std::string> named_classifiers() {
    std::vector<std::string> names;
    for (const Named& named : table) {
        names.emplace_back(named.name);
    }
    return names;
}

std::vector<std::string> named_gans() {
    return {"light", "light-32"};
}

GanTexts gan_texts(const std::string& name, Extent pictures, std::int64_t latent_dim) {
    const std::vector<std::string> names = named_gans();
    if (std::find(names.begin(), names.end(), name) == names.end()) {
        throw std::invalid_argument(
            fmt::format("--network {}: no such networks; use one of {}, or give --network-g and "
                        "--network-d",
                        name, fmt::join(names, ", ")));
    }
    if (pictures.height != pictures.width || pictures.height < 16) {
        throw std::invalid_argument(
            fmt::format("--network {}: is for squares of at least 16 pixels a side, not {}", name,
                        pictures.text()));
    }
    return light(pictures, latent_dim, name == "light" ? 16 : 32);
}

std::string classifier_text(const std::string& name_or_text, Extent in, std::int64_t outputs) {
    for (const Named& named : table) {
        if (name_or_text == named.name) {
            if (std::min(in.height, in.width) < 8) {
                throw std::invalid_argument(
                    fmt::format("--network {}: pictures of {} are too small to be halved three "
                                "times; use --hidden-dims",
                                named.name, in.text()));
            }
            return named.text(in, outputs);
        }
    }
    if (name_or_text.find('>') == std::string::npos) {
        throw std::invalid_argument(
            fmt::format("--network {}: no such network; use one of {} or a text (docs/formats.md)",
                        name_or_text, fmt::join(named_classifiers(), ", ")));
    }
    return name_or_text;
}

} // namespace patchforge
