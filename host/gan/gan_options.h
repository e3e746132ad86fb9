// Everything that decides a GAN run's numbers. The defaults are what `train gan` uses.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "host/gan/gan_losses.h"
#include "host/network/network_shape.h"
#include "host/options/options.h"
#include "host/train/rate_options.h"

namespace patchforge {

struct OptimiserOptions; // host/train/optimiser.h

enum class LatentDistribution { normal, uniform }; // N(0, 1), or U(-1, 1)

// One pair of networks, or two stages one after the other (Zhang et al. 2017, "StackGAN"): small pictures
// of a class, then large ones of the small ones.
enum class GanMode { plain, stack };

struct GanOptions {
    GanMode mode = GanMode::plain;
    std::int64_t epochs = 5;
    std::int64_t steps = 0; // iterations; 0: as many as `epochs` takes
    std::int64_t batch_size = 64;
    std::uint64_t seed = 0;
    bool drop_last = false;

    // The networks. docs/gan.md draws them. A name, or texts of both (docs/formats.md), instead of
    // multilayer perceptrons by the settings below.
    std::string network{}; // host/network/named_networks.h; empty: none
    std::string network_g{};
    std::string network_d{};
    bool layered() const { return !network.empty() || !network_g.empty(); }
    std::int64_t latent_dim = 64;
    LatentDistribution latent = LatentDistribution::normal;
    std::vector<std::int64_t> hidden_dims = {256, 256}; // of both networks,
    std::vector<std::int64_t> hidden_dims_d;            // or of one, where not empty
    std::vector<std::int64_t> hidden_dims_g;
    Activation activation_d = Activation::leaky_relu;
    Activation activation_g = Activation::relu;
    double leaky_slope = 0.2;
    double dropout = 0.5;                                // of the discriminator
    Normalisation normalisation_d = Normalisation::none; // of every hidden layer
    Normalisation normalisation_g = Normalisation::none;
    std::int64_t closeness_columns =
        0; // minibatch discrimination on D's last hidden layer; 0: none
    std::int64_t closeness_size = 5;
    bool conditional = false; // the class as one-hot columns into both networks
    bool projection = false;  // D judges the class by a product with its features, not by columns
    std::int64_t condition_dim = 32; // of the codes that a stage draws around the mean of a class
    std::int64_t stage_1_steps = 0;  // of GanMode::stack; 0: as many as the second stage
    // Both networks see patches through this many principal components of the training patches, as
    // a fixed first layer of D and a fixed last layer of G. 0: they see pixels.
    std::int64_t components = 0;

    // The losses.
    GanLoss loss = GanLoss::non_saturating;
    bool wrong_pairs = false; // D sees patches with a class that they do not have, as fakes
    double lambda_kl = 0;    // divergence of the codes around the means of the classes from N(0, 1)
    double real_label = 1.0; // one-sided smoothing: the target of real rows
    double lambda_gp = 0;    // gradient penalty, WGAN-GP's is 10
    double r1 = 0;           // gamma of R1: gamma / 2 times D's squared slope at patches
    bool penalises_slope() const { return lambda_gp > 0 || r1 > 0; }
    double clip_value = 0; // D's weights stay in [-clip, clip]; 0: anywhere
    bool feature_matching =
        false;                 // G matches the mean of D's last hidden layer instead of fooling D
    double lambda_pixel = 0;   // L1 between fakes and the batch's patches, which are unpaired
    double lambda_history = 0; // historical averaging of both networks
    double instance_noise = 0; // deviation of noise on D's inputs, in units of pixels in [-1, 1]
    std::int64_t instance_noise_steps = 0; // falls linearly to 0 at this iteration; 0: stays

    // What the discriminator is shown.
    bool symmetries = false;      // patches turned and mirrored, each as it happens
    bool dequantise = false;      // patches plus uniform numbers of half a byte's step either way
    std::int64_t translation = 0; // patches and fakes moved by up to so many pixels, in both steps
    std::int64_t cutout = 0;      // and a square of this side blackened to 0
    bool augments() const { return translation > 0 || cutout > 0; }

    // The optimiser.
    std::int64_t n_critic = 1;
    bool one_fake = false; // the fakes of the last D step serve the G step
    double learning_rate_d = 2e-4;
    double learning_rate_g = 2e-4;
    double beta1 = 0.5;
    double beta2 = 0.999;
    double adam_epsilon = 1e-8;
    RateOptions rates;
    bool ema_warmup = false; // MovingAverage::warms_up
    std::int64_t ema_statistics =
        0;          // batches to find the averaged generator's statistics; 0: averaged
    double ema = 0; // decay of the averaged generator that samples come from; 0: none

    // All iterations between two reports in one kernel that stays on the GPU
    // (kernels/operations/gan_iterations.h): other sums, so other bits, of the same numbers.
    bool persistent = false;

    // Throws std::invalid_argument naming the options that are out of range or do not go together.
    void validate() const;
    // What depends on how many patches there are to train on.
    void validate_for(std::int64_t patches) const;
};

void describe(Options& options, GanOptions& gan);

// Of GanMode::stack: what stage 1 or 2 is trained by, as texts of its networks and numbers of its codes.
// pictures: those of stage 2. std::invalid_argument for pictures that have no half.
GanOptions stage_options(const GanOptions& options, int stage, Extent pictures,
                         std::int64_t classes);

// Of a player with this rate: the discriminator's weights are clipped, the generator's (0) never.
OptimiserOptions optimiser_options(const GanOptions& options, double learning_rate, double clip);

// Sets the loss of that name with what belongs to it: a clip value of 0.01 for wgan, a penalty of
// 10 for wgan-gp. Throws std::invalid_argument.
void choose_loss(GanOptions& options, const std::string& name);
std::string gan_loss_name(const GanOptions& options);

// Where the game rests (gan_equilibrium), as a sentence for the log and the report.
std::string gan_rest_text(const GanOptions& options);

} // namespace patchforge
