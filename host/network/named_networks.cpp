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

// Three convolutions with a maximum behind each: 24,000 parameters, most of what a larger network
// reaches, in seconds.
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
