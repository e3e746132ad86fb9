// Everything that decides a GAN run's numbers. The defaults are what `train gan` uses.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "kernels/operations/loss.h"

namespace patchforge {

enum class LatentDistribution { normal, uniform }; // N(0, 1), or U(-1, 1)

struct GanOptions {
    std::int64_t epochs = 5;
    std::int64_t steps = 0; // iterations; 0: as many as `epochs` takes
    std::int64_t batch_size = 64;
    std::int64_t latent_dim = 64;
    std::vector<std::int64_t> hidden_dims = {256, 256}; // of both networks
    double learning_rate_d = 2e-4;
    double learning_rate_g = 2e-4;
    double beta1 = 0.5;
    double beta2 = 0.999;
    double adam_epsilon = 1e-8;
    double dropout = 0.5; // of the discriminator
    double leaky_slope = 0.2;
    double real_label = 1.0; // one-sided smoothing: the target of real rows
    GanLoss loss = GanLoss::non_saturating;
    LatentDistribution latent = LatentDistribution::normal;
    std::int64_t n_critic = 1;
    bool drop_last = false;
    std::uint64_t seed = 0;

    // Throws std::invalid_argument naming the option, its value and its range.
    void validate() const;
    // Name and value of each, as params.json and reports show them.
    std::vector<std::pair<std::string, std::string>> listed() const;
};

const char* gan_loss_name(GanLoss loss);
GanLoss gan_loss_from_name(const std::string& name);

// Where the game rests when the fakes are distributed like the patches: for the logistic
// losses D* = r / 2 with r the real label (r = 1: D = 1/2, losses 2 ln 2 and ln 2).
struct GanEquilibrium {
    double probability = 0.5; // D(x) = D(G(z))
    double loss_d = 0;
    double loss_g = 0;
};
GanEquilibrium gan_equilibrium(GanLoss loss, double real_label);

} // namespace patchforge
