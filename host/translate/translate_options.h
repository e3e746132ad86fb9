// Everything that decides the numbers of a `train translate` run. The defaults are those of --mode
// super-resolution; choosing a mode sets what belongs to it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "host/options/options.h"
#include "host/train/rate_options.h"

namespace patchforge {

enum class TranslationMode { super_resolution, paired, cycle, refine };

// What a pair's source is made of its picture:
//   stain           the picture without its eosin (HED, kernels/stain_change.h)
//   edges           lines drawn along its edges, dark on white, one channel (Sobel)
//   low_resolution  the picture shrunk to half its size and enlarged again, bicubic
enum class PairSource { stain, edges, low_resolution };

// docs/translate.md draws them.
enum class GeneratorKind { edsr, unet, resnet, resnet_small, refiner, refiner_scales };

// What a refiner plays against: a PatchGAN, or one that also sees the whole picture at half its size.
enum class Judging { patches, two_scales };

struct TranslateOptions {
    TranslationMode mode = TranslationMode::super_resolution;
    PairSource pairs = PairSource::stain;
    std::string
        target{}; // a second folder or set: of pairs, equal names; of cycles, the other kind; of
                  // refinement, the real pictures
    std::string class_a{}; // of cycles without `target`: by name; empty: the first two
    std::string class_b{};
    std::string test_list{};    // a file that lists the patients held out, instead of:
    double test_patients = 0.2; // below 1: a share; otherwise a number of patients
    std::uint64_t split_seed = 1;

    // The networks.
    GeneratorKind generator = GeneratorKind::edsr;
    int width = 16; // channels of a generator's first layer
    int blocks = 3; // residual blocks of edsr, the resnets and the refiner
    double dropout = 0;
    int width_d = 16;
    int layers_d = 2; // of a PatchGAN: its answers see 16, 34 or 70 pixels a side
    Judging discriminator = Judging::patches;

    // The losses.
    bool least_squares = false; // instead of cross-entropy
    double lambda_l1 = 1;
    double lambda_adversarial = 0;
    double lambda_cycle = 10;
    double lambda_identity = 0.5; // times lambda_cycle
    std::int64_t pool = 50;       // fakes kept for the discriminators of a cycle and of refinement
    std::vector<std::string> classifier{}; // of the drawings' classes, which refinement then keeps
    double lambda_label = 1;               // of the cross-entropy of their class by it
    std::int64_t refiner_steps = 1;        // of the refiner to each of its discriminator

    // The optimiser.
    std::int64_t steps = 2000;
    std::int64_t epochs = 0; // instead of steps, where above 0
    std::int64_t batch_size = 16;
    double learning_rate = 1e-3;
    double learning_rate_d = 0; // of refinement's discriminator; 0: that of all
    double beta1 = 0.9;
    double beta2 = 0.999;
    double adam_epsilon = 1e-8;
    RateOptions rates{.shape = RateOptions::Shape::cosine};
    bool flips = true; // pictures mirrored and turned anew each time; both sides of a pair alike
    std::uint64_t seed = 0;
    std::int64_t judges = 2; // classifiers that judge a cycle's translations

    bool adversarial() const { return mode == TranslationMode::cycle || lambda_adversarial > 0; }
    // Throws std::invalid_argument naming the options that are out of range or do not go together.
    void validate() const;
};

void describe(Options& options, TranslateOptions& translate);
const std::vector<Preset>& translate_presets();
TranslateOptions translate_preset(const std::string& name);

// Sets the mode with its networks, losses, rates and length.
void choose_mode(TranslateOptions& options, TranslationMode mode);
std::string mode_name(TranslationMode mode);

} // namespace patchforge
