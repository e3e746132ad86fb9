// What an attack is asked to do. Pixels, budgets and step sizes are in [0, 1].
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "host/attack/victim.h"
#include "host/options/options.h"
#include "kernels/operations/perturb.h"

namespace patchforge {

enum class AttackMethod { fgsm, pgd, mifgsm, forge, cw, numeric, nes, spsa, square, worst };

AttackMethod attack_method_from_name(const std::string& name); // std::invalid_argument: --method
std::string attack_method_name(AttackMethod method);
// Asks for scores alone.
bool is_black_box(AttackMethod method);
// Has no budget: looks for the nearest example, or weighs distance against success.
bool is_unbounded(AttackMethod method);

struct AttackOptions {
    AttackMethod method = AttackMethod::pgd;
    Norm norm = Norm::linf;

    // What a broken sample is called: anything but its label; or class `target_class`; or, drawn
    // for every sample, the class least likely before the attack, or a random other class.
    enum class Target { none, fixed, least_likely, random } target = Target::none;
    std::int32_t target_class = 0;

    std::int64_t steps = 0; // 0: the method's own, see steps_of(); fgsm has one whatever this is
    double alpha = 0;       // 0: 2.5 eps / steps; mifgsm eps / steps; fgsm eps whatever this is
    bool random_start = true;
    std::int64_t restarts = 1;
    // fgsm, pgd and mifgsm climb the margin where it says so, else the cross-entropy; forge descends
    // a distance of probabilities where it says so, else the cross-entropy.
    VictimLoss loss = VictimLoss::cross_entropy;
    double decay = 1; // mifgsm's momentum

    // forge: minimise loss(answer, target) + lambda ||x - x0||^2
    enum class Start { self, other, noise } start = Start::self; // other: of the same label
    double within = 0; // success also means an L2 distance of at most this; 0: any distance
    std::vector<double> lambdas = {0};
    bool forge_adam = true;      // otherwise gradient descent
    double learning_rate = 0.01; // of forge and cw

    // cw
    std::int64_t search_steps = 9; // of the binary search over c
    double initial_c = 0.01;
    double confidence = 0; // of forge too: how far the margin must lead

    // Black boxes
    std::int64_t queries = 5000;  // at most, for each sample
    std::int64_t directions = 50; // pairs of nes and spsa in each step
    double sigma = 0.01;          // reach of a pair; h of numeric
    std::int64_t block = 50;      // coordinates that numeric moves at once

    std::int64_t batch_size = 64;
    std::uint64_t seed = 0;

    // fgsm 1, pgd 40, mifgsm 10, forge 500, cw 200 in each search step, worst 100; of numeric, nes
    // and spsa what the queries allow.
    std::int64_t steps_of(std::int64_t pixels) const;
    double alpha_of(double epsilon, std::int64_t pixels) const;
    bool on_margin() const { return loss == VictimLoss::margin; }
    VictimLoss forge_loss() const { return on_margin() ? VictimLoss::cross_entropy : loss; }
    bool targeted() const { return target != Target::none; }
    StepRule rule() const;
    Ball ball() const;

    // Throws std::invalid_argument naming the option.
    void validate(std::int64_t classes) const;
    // Throws std::invalid_argument naming the first option that differs from its default and that
    // none of `methods` knows, and which methods do.
    void refuse_foreign(const std::vector<AttackMethod>& methods) const;
    // One line of what differs between methods: "pgd linf, 40 steps, random start".
    std::string text(std::int64_t pixels) const;
};

void describe(Options& options, AttackOptions& attack);

} // namespace patchforge
