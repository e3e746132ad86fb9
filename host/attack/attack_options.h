// What an attack is asked to do. Pixels, budgets and step sizes are in [0, 1].
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "host/attack/attack_method.h"
#include "host/attack/physical_change.h"
#include "host/options/options.h"

namespace patchforge {

struct AttackOptions {
    const AttackMethod* method = attack_method("pgd");
    Norm norm = Norm::linf;

    // What a broken sample is called: anything but its label; or class `target_class`; or, drawn
    // for every sample, the class least likely before the attack, or a random other class.
    enum class Target { none, fixed, least_likely, random } target = Target::none;
    std::int32_t target_class = 0;

    std::int64_t steps = 0; // 0: the method's own
    double alpha = 0;       // 0: the method's own, by eps and steps
    bool random_start = true;
    std::int64_t restarts = 1;
    VictimLoss loss = VictimLoss::cross_entropy; // a method that cannot take it takes this one
    double decay = 1;                            // of a momentum

    // A weighed search: minimise loss(answer, target) + lambda ||x - x0||^2
    enum class Start { self, other, noise } start = Start::self; // other: of the same label
    double within = 0; // success also means an L2 distance of at most this; 0: any distance
    std::vector<double> lambdas = {0};
    bool by_adam = true;           // otherwise gradient descent
    double learning_rate = 0.01;   // of what looks for a near image
    double confidence = 0;         // how far the margin must lead
    std::int64_t search_steps = 9; // of the binary search over the weight of success

    // Black boxes
    std::int64_t queries = 5000;  // at most, for each sample
    std::int64_t directions = 50; // pairs in each step
    double sigma = 0.01;          // reach of a pair
    std::int64_t block = 50;      // coordinates moved at once

    // What becomes of pictures before the classifier sees them: every attack is judged by it too, and
    // those that heed transform_draws climb the mean loss over so many changes a step.
    PhysicalChange change{};
    std::int64_t change_draws = 8;
    bool climbs_changes() const;

    std::int64_t batch_size = 64;
    std::uint64_t seed = 0;

    // What the method makes of the above: it overlooks what it does not heed.
    std::int64_t steps_of(std::int64_t pixels) const;
    double alpha_of(double epsilon, std::int64_t pixels) const;
    VictimLoss loss_of() const;
    bool targeted() const { return target != Target::none; }
    StepRule rule() const;
    Ball ball() const;

    // Throws std::invalid_argument naming the option.
    void validate(std::int64_t classes) const;
    // Throws std::invalid_argument naming the first option that differs from its default and that
    // none of `methods` heeds, and which methods do.
    void refuse_foreign(const std::vector<const AttackMethod*>& methods) const;
    // One line of what differs between methods: "pgd linf, 40 steps, random start".
    std::string text(std::int64_t pixels) const;
};

void describe(Options& options, AttackOptions& attack);

} // namespace patchforge
