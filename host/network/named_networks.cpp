#include "host/network/named_networks.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
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

// Codes become maps of an eighth of the side; three times twice as large (one line less where the
// next size is odd) and a 3x3 convolution: nearest neighbours leave no grid, which transposed
// convolutions do. The discriminator halves four times and has no normalisation, which would let it
// tell fakes by the statistics of a batch.
GanTexts light(Extent pictures, std::int64_t latent_dim, int width) {
    const int sides[] = {half_up(half_up(half_up(pictures.height))),
                         half_up(half_up(pictures.height)), half_up(pictures.height),
                         pictures.height};
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
        side = half_up(side);
    }
    texts.discriminator += fmt::format("; linear {}>1", out * side * side);
    return texts;
}

// `before`: layers of another head, which come first.
std::string tissue_discriminator(Extent pictures, const std::string& before) {
    const int last = half_up(half_up(half_up(pictures.height / 2)));
    return fmt::format(
        "{}{}; conv {}>16 k3 p1{} spectral leaky_relu; conv 16>32 k4 s2 p1 spectral leaky_relu; "
        "conv "
        "32>64 k3 s2 p1 spectral leaky_relu as=pieces; conv 64>1 k1 spectral head; conv 64>128 k3 "
        "s2 p1 from=pieces spectral leaky_relu; deviation 4; conv 129>128 k3 s2 p1 spectral "
        "leaky_relu; linear {}>1 spectral",
        pictures.text(), before, pictures.channels, before.empty() ? "" : " from=input",
        128 * last * last);
}

// A recipe for tissue. The code steers every block (FiLM), and every picture has noise of its own; each size
// adds its colours to those of the sizes before. Where the side is no multiple of eight the middle of
// larger maps is cut out, as less at each doubling would leave a frame. D's second head looks at pieces
// of about a third of a 50 x 50 patch.
GanTexts tissue(Extent pictures, std::int64_t latent_dim) {
    constexpr int channels[] = {64, 64, 32, 16, 16};
    const int base = half_up(half_up(half_up(pictures.height)));
    const int colours = pictures.channels;
    GanTexts texts;
    std::string& g = texts.generator;
    g = fmt::format("{}>{}; view 64x{}x{} norm=batch leaky_relu as=block0", latent_dim,
                    64 * base * base, base, base);
    for (int i = 1; i < 5; ++i) {
        const int out = channels[i];
        g += fmt::format("; {}>{} from=input init=0.05 as=style{}", latent_dim, 2 * out, i);
        g += fmt::format("; {} {}>{} {}from=block{} nobias init=0.02 norm=batch noaffine",
                         i < 4 ? "upsampled" : "conv", channels[i - 1], out, i < 4 ? "" : "p1 ",
                         i - 1);
        g += fmt::format("; film style{} noise 0.05 leaky_relu as=block{}", i, i);
    }
    g += fmt::format("; conv 64>{0} k1 from=block1 init=0.05; bilinear as=coarse; conv 32>{0} k1 "
                     "from=block2 init=0.05; add coarse; bilinear as=middle; conv 16>{0} k3 p1 "
                     "from=block4 init=0.05; add middle{1}{2} tanh",
                     colours, 8 * base > pictures.height ? "; crop " : "",
                     8 * base > pictures.height ? std::to_string(pictures.height) : "");
    texts.discriminator = tissue_discriminator(pictures, "");
    return texts;
}

// The same with a third head that judges means of 2 x 2 pixels: in pictures of half the size nothing but
// arrangement is left, which the other two pass over for texture. Several scales: Wang et al. 2018
// (arXiv:1711.11585).
GanTexts tissue_multiscale(Extent pictures, std::int64_t latent_dim) {
    GanTexts texts = tissue(pictures, latent_dim);
    texts.discriminator = tissue_discriminator(
        pictures,
        fmt::format("; pool average k2; conv {}>32 k3 p1 spectral leaky_relu; conv 32>64 k3 s2 p1 "
                    "spectral leaky_relu; conv 64>128 k3 s2 p1 spectral leaky_relu; conv 128>1 k1 "
                    "spectral head",
                    pictures.channels));
    return texts;
}

// Radford et al. 2016 with transposed convolutions, at any side: each doubling gives one line less where
// the next size is odd.
GanTexts dcgan(Extent pictures, std::int64_t latent_dim, int width) {
    int sides[5] = {0, 0, 0, 0, pictures.height};
    for (int i = 3; i >= 0; --i) {
        sides[i] = half_up(sides[i + 1]);
    }
    const int channels[] = {8 * width, 4 * width, 2 * width, width, pictures.channels};
    GanTexts texts;
    std::string &g = texts.generator, &d = texts.discriminator;
    g = fmt::format("{}x1x1; transposed {}>{} k{}", latent_dim, latent_dim, channels[0], sides[0]);
    for (int i = 1; i < 5; ++i) {
        const bool even = sides[i] == 2 * sides[i - 1];
        g += fmt::format(" nobias init=0.02 norm=batch relu; transposed {}>{} {} s2 p1",
                         channels[i - 1], channels[i], even ? "k4" : "k3");
    }
    g += " nobias init=0.02 tanh";
    d = fmt::format("{}; conv {}>{} k4 s2 p1 nobias init=0.02 leaky_relu", pictures.text(),
                    pictures.channels, width);
    int side = pictures.height / 2;
    for (int i = 2; i >= 0; --i) {
        d += fmt::format("; conv {}>{} k3 s2 p1 nobias init=0.02 norm=batch leaky_relu",
                         channels[i + 1], channels[i]);
        side = half_up(side);
    }
    d += fmt::format("; conv {}>1 k{} nobias init=0.02", channels[0], side);
    return texts;
}

// Residual blocks (He et al. 2016) as Miyato et al. 2018 have them for GANs: normalisation and ReLU before
// the convolutions, nearest neighbours on the way up, means of 2x2 on the way down, every weight of the
// discriminator divided by its largest singular value, the sum over the last maps judged.
GanTexts residual(Extent pictures, std::int64_t latent_dim) {
    const int sides[] = {half_up(half_up(half_up(pictures.height))),
                         half_up(half_up(pictures.height)), half_up(pictures.height),
                         pictures.height};
    constexpr int up[] = {64, 64, 32, 16};
    GanTexts texts;
    std::string &g = texts.generator, &d = texts.discriminator;
    g = fmt::format("{}>{}; view {}x{}x{} as=block0", latent_dim, up[0] * sides[0] * sides[0],
                    up[0], sides[0], sides[0]);
    for (int i = 1; i < 4; ++i) {
        const char* const crop = sides[i] < 2 * sides[i - 1] ? " crop" : "";
        const int in = up[i - 1], out = up[i];
        g += fmt::format("; view {0}x{1}x{1} norm=batch relu; upsampled {0}>{2}{3} nobias "
                         "norm=batch relu; conv {2}>{2} k3 p1 as=sum{4}",
                         in, sides[i - 1], out, crop, i);
        g += fmt::format("; nearest{} from=block{}; conv {}>{} k1; add sum{} as=block{}", crop,
                         i - 1, in, out, i, i);
    }
    g += fmt::format("; view {0}x{1}x{1} norm=batch relu; conv {0}>{2} k3 p1 tanh", up[3],
                     pictures.height, pictures.channels);
    constexpr int down[] = {16, 32, 64, 128};
    d = fmt::format("{0}; view {0} as=block0", pictures.text());
    int side = pictures.height, in = pictures.channels;
    for (int i = 0; i < 4; ++i) {
        const int out = down[i];
        d += i == 0 ? "" : fmt::format("; view {0}x{1}x{1} relu", in, side);
        d += fmt::format("; conv {0}>{1} k3 p1 spectral relu; conv {1}>{1} k3 p1 spectral as=sum{2}"
                         "; conv {0}>{1} k1 from=block{3} spectral; add sum{2}",
                         in, out, i + 1, i);
        d += i < 3 ? fmt::format("; pool average k2 ceil as=block{}", i + 1) : " relu";
        side = i < 3 ? half_up(side) : side;
        in = out;
    }
    d += fmt::format("; pool sum; linear {}>1 spectral", in);
    return texts;
}

// Of the text of a discriminator that ends in one Linear, for pictures with `classes` maps behind them.
std::string with_projection(const std::string& text, const std::string& name, Extent pictures,
                            std::int64_t classes) {
    const std::size_t head = text.rfind("; linear ");
    const std::size_t number = head + std::string("; linear ").size();
    if (head == std::string::npos || text.find(';', number) != std::string::npos) {
        throw std::invalid_argument(fmt::format(
            "--projection: the discriminator of --network {} has no features before its answer; "
            "use another network",
            name));
    }
    const int features = std::stoi(text.substr(number));
    const bool spectral = text.ends_with(" spectral");
    Extent seen = pictures;
    seen.channels += static_cast<int>(classes);
    const std::size_t behind_pictures = pictures.text().size();
    std::string judging = text.substr(behind_pictures, head - behind_pictures);
    const char* name_of_pixels = "";
    if (const std::size_t at = judging.find(" from=input"); at != std::string::npos) {
        judging.replace(at, std::string(" from=input").size(), " from=pixels");
        name_of_pixels = " as=pixels";
    }
    return fmt::format(
        "{}; channels 0 {}{}{} as=features{} as=judged; channels {} {} from=input; pool global; "
        "linear {}>{} nobias{} as=class; dot class from=features; add judged",
        seen.text(), pictures.channels, name_of_pixels, judging, text.substr(head),
        pictures.channels, classes, classes, features,
        spectral ? " spectral"
                 : fmt::format(" init={:.4f}", 1 / std::sqrt(static_cast<double>(features))));
}

struct NamedGan {
    const char* name;
    GanTexts (*texts)(Extent pictures, std::int64_t latent_dim);
};
constexpr NamedGan gans[] = {
    {"tissue", tissue},
    {"tissue-multiscale", tissue_multiscale},
    {"light", [](Extent pictures, std::int64_t codes) { return light(pictures, codes, 16); }},
    {"light-32", [](Extent pictures, std::int64_t codes) { return light(pictures, codes, 32); }},
    {"light-64", [](Extent pictures, std::int64_t codes) { return light(pictures, codes, 64); }},
    {"resnet", residual},
    {"dcgan", [](Extent pictures, std::int64_t codes) { return dcgan(pictures, codes, 16); }},
    {"dcgan-64", [](Extent pictures, std::int64_t codes) { return dcgan(pictures, codes, 64); }},
};

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
    std::vector<std::string> names;
    for (const NamedGan& named : gans) {
        names.emplace_back(named.name);
    }
    return names;
}

GanTexts gan_texts(const std::string& name, Extent pictures, std::int64_t latent_dim,
                   std::int64_t classes, bool projection) {
    const auto* const named = std::find_if(std::begin(gans), std::end(gans),
                                           [&](const NamedGan& gan) { return gan.name == name; });
    if (named == std::end(gans)) {
        throw std::invalid_argument(
            fmt::format("--network {}: no such networks; use one of {}, or give --network-g and "
                        "--network-d",
                        name, fmt::join(named_gans(), ", ")));
    }
    if (pictures.height != pictures.width || pictures.height < 16) {
        throw std::invalid_argument(
            fmt::format("--network {}: is for squares of at least 16 pixels a side, not {}", name,
                        pictures.text()));
    }
    GanTexts texts = named->texts(pictures, latent_dim + classes);
    if (projection) {
        texts.discriminator = with_projection(texts.discriminator, name, pictures, classes);
    } else if (classes > 0) {
        Extent seen = pictures;
        seen.channels += static_cast<int>(classes);
        texts.discriminator = named->texts(seen, latent_dim).discriminator;
    }
    return texts;
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

NetworkShape option_network(const std::string& option, const std::string& text) {
    try {
        return network_shape_from_description(text);
    } catch (const std::runtime_error& error) {
        throw std::invalid_argument(fmt::format("{}: {}", option, error.what()));
    }
}

} // namespace patchforge
