// A trained generator in evaluation mode: latent codes in, patches out.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "data/png.h"
#include "host/network/trace.h"

namespace patchforge {

struct TensorFile;

// What a weights file must say beside the weights for its fakes to be pictures; kept in the file's
// metadata as "channels", "height", "width", "latent" and, for a conditional GAN, "classes" (their
// names, a line each).
struct GeneratorFormat {
    int channels = 3;
    int height = 50;
    int width = 50;
    std::string latent = "normal";      // or "uniform": what the codes were drawn from in training
    std::vector<std::string> classes{}; // each the name of a one-hot column at the end of a code

    Extent extent() const { return {channels, height, width}; }

    void write(TensorFile& file) const;
    // From the metadata; a file of another program has none: then 3 x 50 x 50, 3 x 32 x 32 or
    // 1 x 28 x 28 by the number of outputs. Throws std::runtime_error when neither helps.
    static GeneratorFormat read(const TensorFile& file, std::int64_t outputs,
                                const std::string& what);
};

class ImageGenerator {
  public:
    // network: outputs in [-1, 1]. Both must outlive the generator.
    ImageGenerator(Network& network, GeneratorFormat format);

    const GeneratorFormat& format() const { return format_; }
    std::int64_t latent_dim() const { return network_->shape().inputs(); }

    // `count` latent codes [count, latent_dim] of a seed, class columns included. Every code is of
    // class `label`; -1: of each class in turn.
    std::vector<float> latents(std::int64_t count, std::uint64_t seed,
                               Purpose purpose = Purpose::generate, std::int64_t label = -1);
    // One code for each entry of `classes`, of that class; a generator that knows no classes has
    // the same codes without. Code i is drawn as above. std::invalid_argument: no such class.
    std::vector<float> latents_of(std::span<const std::int32_t> classes, std::uint64_t seed,
                                  Purpose purpose = Purpose::generate);
    // The class of each code: its largest class column. Empty where there are no classes.
    std::vector<std::int32_t> classes_of(std::span<const float> latents) const;
    // G(z) in [-1, 1] [count, pixels]. A code's patch does not depend on its neighbours: batches
    // are always filled up to the same size; noise in its maps depends on its number alone, which
    // counts from first_picture on.
    std::vector<float> outputs(const std::vector<float>& latents, std::int64_t first_picture = 0);
    // (G(z) + 1) / 2 rounded to bytes, CHW, one after the other.
    std::vector<std::uint8_t> bytes(const std::vector<float>& latents,
                                    std::int64_t first_picture = 0);
    std::vector<Image> images(const std::vector<float>& latents, std::int64_t first_picture = 0);

  private:
    static constexpr std::int64_t batch_ = 64;

    Network* network_;
    GeneratorFormat format_;
    Trace pass_;
    DeviceArray<float> latent_;
};

// v in [-1, 1] as a byte: round(255 (v + 1) / 2), clamped.
std::uint8_t byte_of_signed_unit(float value);

} // namespace patchforge
