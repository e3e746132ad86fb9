#include "host/translate/translate_networks.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "data/cubic.h"

namespace patchforge {

namespace {

// Behind instance normalisation a bias has no effect and no gradient but rounding, which Adam would
// turn into steps of the full rate: there is none.
constexpr const char* normalised = "nobias norm=instance";

int half(int side) {
    return (side + 1) / 2; // of a 3x3 convolution with stride 2 and padding 1
}

[[noreturn]] void refuse(const TranslateOptions& options, Extent in, const std::string& what) {
    throw std::invalid_argument(
        fmt::format("--mode {}: pictures of {}: {}", mode_name(options.mode), in.text(), what));
}

// Sides halved `times` times, each extent beginning with that of the pictures. Both sides must be odd
// or even together at every step, as what doubles them drops a line of both or of none.
std::vector<Extent> halved(const TranslateOptions& options, Extent in, int times) {
    std::vector<Extent> extents{in};
    for (int i = 0; i < times; ++i) {
        const Extent& last = extents.back();
        if (last.height % 2 != last.width % 2) {
            refuse(options, in,
                   "halved, one side is odd and the other even; use sides that are multiples of " +
                       std::to_string(1 << times));
        }
        extents.push_back({0, half(last.height), half(last.width)});
    }
    if (std::min(extents.back().height, extents.back().width) < 2) {
        refuse(options, in, "are too small for this network; use larger ones");
    }
    return extents;
}

// Lim et al. 2017: residual blocks at the small size, then a shuffle. What it adds to is the bicubic
// enlargement, which the last layers compute: a fixed 5x5 convolution for each of the four phases.
std::string edsr(const TranslateOptions& options, Extent in, int out_channels) {
    const int c = options.width;
    if (std::min(in.height, in.width) < 3) {
        refuse(options, in, "are too small to be enlarged; use at least 3 pixels a side");
    }
    std::string text = fmt::format("{}; conv {}>{} k3 p1 as=block0", in.text(), in.channels, c);
    for (int i = 0; i < options.blocks; ++i) {
        text += fmt::format(
            "; conv {0}>{0} k3 p1 relu; conv {0}>{0} k3 p1; add block{1} as=block{2}", c, i, i + 1);
    }
    text += fmt::format("; conv {0}>{0} k3 p1; add block0; conv {0}>{1} k3 p1; shuffle 2; "
                        "conv {0}>{2} k3 p1 as=detail",
                        c, 4 * c, out_channels);
    return text + fmt::format("; reflect 2 from=input; conv {}>{} k5 nobias fixed; shuffle 2; "
                              "add detail",
                              in.channels, 4 * out_channels);
}

// Ronneberger et al. 2015 as in Isola et al. 2017, for pictures that have few factors of two: 50-25-13-7
// and back by nearest neighbours and convolutions, which leave no grid. The first and the last layer are
// not normalised: they carry the patch's overall stain.
std::string unet(const TranslateOptions& options, Extent in, int out_channels) {
    const int c = options.width;
    const std::vector<Extent> sizes = halved(options, in, 3);
    const int widths[] = {c, 2 * c, 4 * c, 4 * c};
    std::string text =
        fmt::format("{}; conv {}>{} k3 p1 leaky_relu as=down0", in.text(), in.channels, c);
    for (int i = 0; i < 3; ++i) {
        text += fmt::format("; conv {}>{} k3 s2 p1 {} leaky_relu as=down{}", widths[i],
                            widths[i + 1], normalised, i + 1);
    }
    int channels = widths[3];
    for (int i = 2; i >= 0; --i) {
        text += fmt::format(
            "; upsampled {}>{}{} {} relu{}; concat down{}", channels, widths[i],
            sizes[i].height % 2 == 1 ? " crop" : "", normalised,
            options.dropout > 0 && i > 0 ? fmt::format(" dropout={}", options.dropout) : "", i);
        channels = 2 * widths[i];
    }
    return text + fmt::format("; conv {}>{} k3 p1 tanh", channels, out_channels);
}

// Zhu et al. 2017: residual blocks between one or two halvings and as many doublings, padded by
// reflection. Transposed convolutions: k3 where two halvings are undone, k4 (which covers evenly) where
// it is one; output padding by the encoder's own size.
std::string resnet(const TranslateOptions& options, Extent in, int out_channels) {
    const bool small = options.generator == GeneratorKind::resnet_small;
    const int c = options.width, times = small ? 1 : 2, around = small ? 1 : 3;
    const std::vector<Extent> sizes = halved(options, in, times);
    if (std::min(in.height, in.width) <= around) {
        refuse(options, in, "are too small for this network; use larger ones");
    }
    std::string text = fmt::format("{}; reflect {}; conv {}>{} k{} {} relu", in.text(), around,
                                   in.channels, c, 2 * around + 1, normalised);
    int channels = c;
    for (int i = 0; i < times; ++i, channels *= 2) {
        text += fmt::format("; conv {}>{} k3 s2 p1 {} relu{}", channels, 2 * channels, normalised,
                            i + 1 == times ? " as=block0" : "");
    }
    for (int i = 0; i < options.blocks; ++i) {
        text +=
            fmt::format("; reflect 1; conv {0}>{0} k3 {1} relu; reflect 1; conv {0}>{0} k3 {1}; "
                        "add block{2} as=block{3}",
                        channels, normalised, i, i + 1);
    }
    for (int i = times; i > 0; --i, channels /= 2) {
        const int from = sizes[i].height;
        const int to = sizes[i - 1].height;
        const int kernel = small && to % 2 == 0 ? 4 : 3;
        text += fmt::format("; transposed {}>{} k{} s2 p1 o{} {} relu", channels, channels / 2,
                            kernel, to - (2 * (from - 1) - 2 + kernel), normalised);
    }
    return text + fmt::format("; reflect {}; conv {}>{} k{} tanh", around, c, out_channels,
                              2 * around + 1);
}

// Shrivastava et al. 2017: residual blocks at full size, without normalisation. It adds to the picture, and
// as its last layer begins with zeros, it begins as the identity: the paper trains it to be that first.
std::string refiner(const TranslateOptions& options, Extent in, int out_channels) {
    const int c = options.width;
    std::string text =
        fmt::format("{}; conv {}>{} k3 p1 relu as=block0", in.text(), in.channels, c);
    for (int i = 0; i < options.blocks; ++i) {
        text += fmt::format(
            "; conv {0}>{0} k3 p1 relu; conv {0}>{0} k3 p1; add block{1} relu as=block{2}", c, i,
            i + 1);
    }
    return text + fmt::format("; conv {}>{} k1; add input", c, out_channels);
}

// The same task at four sizes: what is coarse is changed where it is coarse. Every size adds its colours to those
// of the coarser ones, and all of them to the drawing, so that it begins as the identity, too. Noise at every size
// stands for what a drawing does not say. Instead of normalisation, which would hide the stain, weights begin so
// that values keep their size; mirrored lines around the picture keep a frame away that D would find.
std::string refiner_scales(const TranslateOptions& options, Extent in, int out_channels) {
    constexpr int around = 3, halvings = 3; // 50 is 56 then
    if (std::min(in.height, in.width) <= around) {
        refuse(options, in, "are too small for this network; use larger ones");
    }
    const std::vector<Extent> sizes =
        halved(options, {in.channels, in.height + 2 * around, in.width + 2 * around}, halvings);
    const auto doubles = [&](const std::string& layer, int to) { // less a line if that is odd
        return layer + (sizes[to].height % 2 == 1 ? " crop" : "");
    };
    const auto begins = [](int channels) { // He et al. 2015 for 3x3 kernels and a slope of 0.2
        return fmt::format("init={:.4f}", std::sqrt(2 / (1.04 * 9 * channels)));
    };
    const int c = options.width, widths[] = {c, 2 * c, 4 * c, 4 * c};
    std::string text = fmt::format("{}; reflect {}; conv {}>{} k3 p1 {} leaky_relu as=down0",
                                   in.text(), around, in.channels, c, begins(in.channels));
    for (int i = 0; i < halvings; ++i) {
        text += fmt::format("; conv {}>{} k3 s2 p1 {} leaky_relu as=down{}", widths[i],
                            widths[i + 1], begins(widths[i]), i + 1);
    }
    text += fmt::format("; conv {0}>{0} k3 p1 {1}; noise 0.1 leaky_relu as=up3", widths[3],
                        begins(widths[3]));
    for (int i = halvings - 1; i >= 0; --i) {
        text += fmt::format("; {} from=up{} {}; add down{}; noise 0.1 leaky_relu as=up{}",
                            doubles(fmt::format("upsampled {}>{}", widths[i + 1], widths[i]), i),
                            i + 1, begins(widths[i + 1]), i, i);
        text += i > 0 ? fmt::format("; conv {}>{} k1", widths[i], out_channels)
                      : fmt::format("; conv {0}>{0} k3 p1 {1}; noise 0.1 leaky_relu; conv {0}>{2} "
                                    "k3 p1",
                                    c, begins(c), out_channels);
        text += i + 1 < halvings ? fmt::format("; add colours{}", i + 1) : "";
        text += i > 0 ? fmt::format("; {} as=colours{}", doubles("bilinear", i - 1), i) : "";
    }
    return text + fmt::format("; crop {}x{}; add input", in.height, in.width);
}

// Texture is judged place by place at full size, all else of means of 2x2 pixels: place by place, and as a whole
// beside others of the batch. Without the second half, which single pixels cannot distract, a refiner learns
// texture and little else.
std::string two_scales(const TranslateOptions& options, Extent in) {
    const int w = options.width_d;
    Extent whole{8 * w, in.height / 2, in.width / 2};
    for (int i = 0; i < 3; ++i) {
        whole = {whole.channels, half(whole.height), half(whole.width)};
    }
    if (std::min(in.height, in.width) < 4) {
        refuse(options, in, "are too small for --discriminator two-scales; use patches");
    }
    return fmt::format(
        "{0}; conv {1}>{2} k3 p1 leaky_relu; conv {2}>{3} k4 s2 p1 leaky_relu; conv {3}>{4} k3 s2 "
        "p1 leaky_relu; conv {4}>1 k1 head; pool average k2 from=input; conv {1}>{3} k3 p1 "
        "leaky_relu; conv {3}>{4} k3 s2 p1 leaky_relu as=pieces; conv {4}>1 k1 head; conv {4}>{5} "
        "k3 s2 p1 from=pieces leaky_relu; deviation 4; conv {6}>{5} k3 s2 p1 leaky_relu; linear "
        "{7}>1",
        in.text(), in.channels, w, 2 * w, 4 * w, 8 * w, 8 * w + 1, whole.size());
}

// The four 5x5 kernels that enlarge by two with Keys' kernel, a = -0.75, at the phases of a shuffle.
std::vector<float> bicubic_kernels(int channels) {
    const auto taps = cubic_taps(9, 18, torch_cubic);
    const auto line = [&](int phase) { // weights of inputs 2 to 6 for an output beside input 4
        std::vector<double> weights(5);
        for (const CubicTap& tap : taps[8 + phase]) {
            weights[tap.input - 2] += tap.weight;
        }
        return weights;
    };
    std::vector<float> kernels(static_cast<std::size_t>(4 * channels * channels) * 25, 0.0f);
    for (int c = 0; c < channels; ++c) {
        for (int phase = 0; phase < 4; ++phase) {
            const std::vector<double> down = line(phase / 2), across = line(phase % 2);
            float* kernel = kernels.data() + ((4 * c + phase) * channels + c) * 25;
            for (std::size_t k = 0; k < 25; ++k) {
                kernel[k] = static_cast<float>(down[k / 5] * across[k % 5]);
            }
        }
    }
    return kernels;
}

} // namespace

NetworkShape translation_generator(const TranslateOptions& options, Extent in, int out_channels) {
    switch (options.generator) {
    case GeneratorKind::edsr:
        return network_shape_from_description(edsr(options, in, out_channels));
    case GeneratorKind::unet:
        return network_shape_from_description(unet(options, in, out_channels));
    case GeneratorKind::refiner:
        return network_shape_from_description(refiner(options, in, out_channels));
    case GeneratorKind::refiner_scales:
        return network_shape_from_description(refiner_scales(options, in, out_channels));
    default:
        return network_shape_from_description(resnet(options, in, out_channels));
    }
}

NetworkShape patch_discriminator(const TranslateOptions& options, Extent in) {
    if (options.discriminator == Judging::two_scales) {
        return network_shape_from_description(two_scales(options, in));
    }
    // Instance normalisation would hide a picture's stain, which is half of what drawings lack.
    const char* const within = options.mode == TranslationMode::refine ? "" : normalised;
    std::string text =
        fmt::format("{}; conv {}>{} k4 s2 p1 leaky_relu", in.text(), in.channels, options.width_d);
    int channels = options.width_d, side = std::min(in.height, in.width) / 2;
    for (int i = 1; i <= options.layers_d; ++i) {
        const bool last = i == options.layers_d;
        const int next = std::min(2 * channels, 8 * options.width_d);
        text += fmt::format("; conv {}>{} k4{} p1 {} leaky_relu", channels, next, last ? "" : " s2",
                            within);
        side = last ? side - 1 : side / 2;
        channels = next;
    }
    if (side < 2) {
        refuse(options, in,
               fmt::format("are too small for --layers-d {}; use fewer", options.layers_d));
    }
    return network_shape_from_description(text + fmt::format("; conv {}>1 k4 p1", channels));
}

namespace {

// Of a refiner: the convolutions whose results are added to the drawing, the only ones without init= where there are
// several.
bool gives_colours(const TranslateOptions& options, const NetworkShape& shape, std::int64_t l) {
    const LayerShape& layer = shape.layers[l];
    return options.generator == GeneratorKind::refiner_scales
               ? layer.deviation == 0 && layer.layer->weight_shape().size() == 4
               : l + 2 == std::ssize(shape.layers); // before `add input`
}

} // namespace

void initialise_translation(Network& network, const TranslateOptions& options,
                            std::uint32_t number) {
    network.initialise(options.seed, number);
    Backend& backend = network.backend();
    const bool refines = options.mode == TranslationMode::refine;
    const bool standard = refines || (options.generator == GeneratorKind::edsr && number == 0);
    for (std::int64_t l = 0; l < network.layer_count(); ++l) {
        const LayerShape& layer = network.shape().layers[l];
        if (!layer.has_weights()) {
            continue;
        }
        const Vector<float> weight = network.weight(l).flat();
        if (!layer.trained) {
            const std::vector<float> kernels = bicubic_kernels(network.shape().in.channels);
            backend.upload(weight.data, kernels.data(), kernels.size() * sizeof(float));
        } else if (!standard) {
            backend.fill_normal(
                weight, 0, 0.02f,
                {options.seed, purpose_of_weights(number, WeightUse::weight, l), {}});
            if (layer.bias) {
                backend.fill(network.bias(l), 0);
            }
        } else if (refines && number == 0 && gives_colours(options, network.shape(), l)) {
            backend.fill(weight, 0);
            backend.fill(network.bias(l), 0);
        }
    }
}

} // namespace patchforge
