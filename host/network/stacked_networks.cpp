// The networks of a stacked GAN (named_networks.h).
#include <fmt/format.h>

#include <stdexcept>

#include "host/network/named_networks.h"

namespace patchforge {

namespace {

constexpr int width = 16; // channels of the largest maps inside

// What the numbers that a generator reads are.
struct Codes {
    std::int64_t latent, condition, classes;
    int stages; // that it goes through

    std::int64_t all() const { return latent + stages * condition + classes; }
    // A code around the mean of the class, from the noise of this stage.
    std::string drawn(int stage, const char* fixed) const {
        return fmt::format(
            "; channels {} {} from=input; linear {}>{}{} as=condition{}; channels {} "
            "{} from=input; augment condition{} as=code{}",
            all() - classes, classes, classes, 2 * condition, fixed, stage,
            latent + (stage - 1) * condition, condition, stage, stage);
    }
};

// Maps of an eighth of the side, three times twice as large.
std::string small_pictures(const Codes& codes, Extent pictures, const char* fixed) {
    const int sides[] = {half_up(half_up(half_up(pictures.height))),
                         half_up(half_up(pictures.height)), half_up(pictures.height),
                         pictures.height};
    const int channels[] = {4 * width, 2 * width, width, pictures.channels};
    std::string g = fmt::format("{}x1x1", codes.all()) + codes.drawn(1, fixed);
    g +=
        fmt::format("; channels 0 {} from=input; concat code1; linear {}>{}{}; view {}x{}x{} "
                    "norm=batch relu{}",
                    codes.latent, codes.latent + codes.condition, channels[0] * sides[0] * sides[0],
                    fixed, channels[0], sides[0], sides[0], fixed);
    for (int i = 1; i < 4; ++i) {
        g += fmt::format("; upsampled {}>{}{}{}{}", channels[i - 1], channels[i],
                         sides[i] < 2 * sides[i - 1] ? " crop" : "",
                         i < 3 ? " norm=batch relu" : " tanh as=small", fixed);
    }
    return g;
}

// The small pictures once more, at half of their side steered by a second code (FiLM: what repeating the code
// beside the maps and a convolution of both would add, and a factor), two residual blocks, and up.
std::string large_pictures(const Codes& codes, Extent small) {
    const int wide = 2 * width;
    std::string g = codes.drawn(2, "");
    g += fmt::format("; linear {}>{} init=0.05 as=style; conv {}>{} k3 p1 from=small leaky_relu; "
                     "conv {}>{} k3 s2 p1 nobias norm=batch noaffine; film style leaky_relu "
                     "as=block0",
                     codes.condition, 2 * wide, small.channels, width, width, wide);
    for (int i = 1; i < 3; ++i) {
        g += fmt::format("; conv {0}>{0} k3 p1 nobias norm=batch relu; conv {0}>{0} k3 p1 nobias "
                         "norm=batch; add block{1} relu as=block{2}",
                         wide, i - 1, i);
    }
    return g +
           fmt::format("; upsampled {0}>{0}{1} nobias norm=batch relu; upsampled {0}>{2} nobias "
                       "norm=batch relu; conv {2}>{3} k3 p1 tanh",
                       wide, small.height % 2 == 1 ? " crop" : "", width, small.channels);
}

// Pictures alone on the way down; then their maps beside those of the class. In stage 2 a head before that
// says whether a picture is real, whatever its class.
std::string judge(Extent pictures, std::int64_t classes, bool head) {
    Extent seen = pictures;
    seen.channels += static_cast<int>(classes);
    std::string d = fmt::format("{}; channels 0 {}", seen.text(), pictures.channels);
    int side = pictures.height, in = pictures.channels, out = width;
    for (const char* kernel = "k4"; side > 4; kernel = "k3", in = out, out *= 2) {
        d += fmt::format("; conv {}>{} {} s2 p1 spectral leaky_relu", in, out, kernel);
        side = kernel[1] == '4' ? side / 2 : half_up(side);
    }
    d += " as=features";
    d += head ? fmt::format("; conv {}>1 k{} spectral head", in, side) : "";
    d += fmt::format(
        "; channels {} {} from=input; pool adaptive n{}; concat features; conv {}>{} k1 "
        "spectral leaky_relu; linear {}>1 spectral",
        pictures.channels, classes, side, in + classes, in, in * side * side);
    return d;
}

} // namespace

GanTexts stack_texts(int stage, Extent pictures, std::int64_t latent_dim,
                     std::int64_t condition_dim, std::int64_t classes) {
    if (pictures.height != pictures.width || pictures.height % 2 != 0 || pictures.height < 16) {
        throw std::invalid_argument(
            fmt::format("--mode stack: is for squares of an even number of pixels a side, at least "
                        "16, not {}",
                        pictures.text()));
    }
    const Codes codes{latent_dim, condition_dim, classes, stage};
    const Extent small{pictures.channels, pictures.height / 2, pictures.width / 2};
    if (stage == 1) {
        return {small_pictures(codes, small, ""), judge(small, classes, false)};
    }
    return {small_pictures(codes, small, " fixed") + large_pictures(codes, small),
            judge(pictures, classes, true)};
}

} // namespace patchforge
