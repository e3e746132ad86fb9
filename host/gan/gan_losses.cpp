#include "host/gan/gan_losses.h"

#include <cmath>
#include <limits>
#include <stdexcept>

namespace patchforge {

namespace {

// D minimises -r ln D - (1 - r) ln(1 - D) - ln(1 - D): D* = r / 2.
GanEquilibrium logistic(double real_label, bool minimax) {
    const double d = real_label / 2;
    const double fake = -std::log(1 - d);
    return {d, -real_label * std::log(d) - (1 - real_label) * std::log(1 - d) + fake,
            minimax ? -fake : -std::log(d)};
}

GanEquilibrium critic(double) {
    constexpr double open = std::numeric_limits<double>::quiet_NaN();
    return {open, 0, open};
}

} // namespace

const std::vector<NamedGanLoss>& gan_losses() {
    static const std::vector<NamedGanLoss> losses = {
        {"ns", GanLoss::non_saturating, [](double r) { return logistic(r, false); }},
        {"minimax", GanLoss::minimax, [](double r) { return logistic(r, true); }},
        // Outputs 1/2 for both: 1/8 + 1/8, and (1/2 - 1)^2 / 2.
        {"lsgan", GanLoss::least_squares,
         [](double) {
             return GanEquilibrium{1 / (1 + std::exp(-0.5)), 0.25, 0.125};
         }},
        // Outputs 0: 1/2 + 1/2.
        {"lsgan-pearson", GanLoss::pearson,
         [](double) {
             return GanEquilibrium{0.5, 1, 0};
         }},
        {"hinge", GanLoss::hinge,
         [](double) {
             return GanEquilibrium{0.5, 2, 0};
         }},
        // exp(f) of the logit f at rest.
        {"ml", GanLoss::maximum_likelihood,
         [](double r) {
             const GanEquilibrium rest = logistic(r, false);
             return GanEquilibrium{rest.probability, rest.loss_d, -r / (2 * (2 - r))};
         }},
        {"wgan", GanLoss::wasserstein, critic, 0.01, 0},
        {"wgan-gp", GanLoss::wasserstein, critic, 0, 10}};
    return losses;
}

std::vector<std::string> gan_loss_names() {
    std::vector<std::string> names;
    for (const NamedGanLoss& loss : gan_losses()) {
        names.emplace_back(loss.name);
    }
    return names;
}

bool is_logistic(GanLoss loss) {
    return loss == GanLoss::non_saturating || loss == GanLoss::minimax ||
           loss == GanLoss::maximum_likelihood;
}

GanEquilibrium gan_equilibrium(GanLoss loss, double real_label) {
    for (const NamedGanLoss& named : gan_losses()) {
        if (named.loss == loss) {
            return named.rest(real_label);
        }
    }
    throw std::logic_error("gan_equilibrium: a loss without a name");
}

} // namespace patchforge
