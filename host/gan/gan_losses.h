// The losses of GANs by their names: what choosing one sets, and where its game rests.
#pragma once

#include <string>
#include <vector>

#include "kernels/gan_loss.h"

namespace patchforge {

// Where the game rests when the fakes are distributed like the patches: for the logistic
// losses D* = r / 2 with r the real label (r = 1: D = 1/2, losses 2 ln 2 and ln 2). NaN is what
// rest leaves open: a Wasserstein critic may add any number to all its answers, and so to G's loss.
struct GanEquilibrium {
    double probability = 0.5; // D(x) = D(G(z)), the sigmoid of D's output
    double loss_d = 0;
    double loss_g = 0;
};

struct NamedGanLoss {
    const char* name;
    GanLoss loss;
    GanEquilibrium (*rest)(double real_label);
    double clip_value = 0; // what choosing it sets
    double lambda_gp = 0;
};

// Of two that share a loss the one with a penalty comes second.
const std::vector<NamedGanLoss>& gan_losses();
std::vector<std::string> gan_loss_names();
// Whether D minimises cross-entropy, so that its answers are probabilities.
bool is_logistic(GanLoss loss);
GanEquilibrium gan_equilibrium(GanLoss loss, double real_label);

} // namespace patchforge
