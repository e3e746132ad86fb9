#include "host/trial/sanity_checks.h"

#include <fmt/format.h>

#include <algorithm>

#include "host/trial/attack_rows.h"

namespace patchforge {

namespace {

std::int64_t without_gradient(const std::vector<const ClassifierModel*>& members,
                              const AttackSet& set, double epsilon) {
    return AttackRunner(members, nullptr, set, {}).sensitivity(epsilon).zero_gradients;
}

} // namespace

std::vector<SanityCheck> sanity_checks(const Evaluation& evaluation, const AttackSet& set,
                                       std::int64_t count) {
    const auto& members = evaluation.members;
    const double epsilon = evaluation.epsilon;
    const std::vector<std::int64_t> samples = evenly_spaced(set.count(), count);
    const AttackSet part = part_of(set, samples);
    const auto share = [&](std::int64_t standing) {
        return static_cast<double>(standing) / static_cast<double>(part.count());
    };
    // Of the part, what is right and stays right.
    std::vector<std::uint8_t> right;
    const auto attacked = [&](const AttackOptions& options, double budget) {
        const AttackResult result =
            AttackRunner(members, evaluation.detector, part, options).run(budget);
        std::int64_t standing = 0;
        right.clear();
        for (std::size_t i = 0; i < result.samples.size(); ++i) {
            right.push_back(result.samples[i].right(part.labels[i]));
            standing += right.back() && !result.samples[i].broken(part.labels[i]);
        }
        return share(standing);
    };
    const double noise = std::max(2.0 / static_cast<double>(part.count()), 0.02);
    const double chance = 1.0 / static_cast<double>(members.front()->class_count());
    std::vector<SanityCheck> checks;

    std::int64_t zero = without_gradient(members, part, epsilon);
    if (evaluation.detector) {
        AttackSet clean = part;
        clean.labels.assign(clean.labels.size(), 0);
        zero = std::max(zero, without_gradient({evaluation.detector}, clean, epsilon));
    }
    checks.push_back({"gradients are not zero",
                      fmt::format("{} of {} samples have none", zero, part.count()),
                      zero * 10 < part.count()});

    AttackOptions pgd;
    pgd.steps = 100;
    pgd.alpha = 1 / 50.0;
    const double left = attacked(pgd, 1);
    checks.push_back({"eps = 1 leaves chance or less",
                      fmt::format("accuracy {:.3f}, chance {:.3f}", left, chance),
                      left <= chance + noise});

    pgd.alpha = 0;
    pgd.steps = 20;
    const double few = attacked(pgd, epsilon);
    pgd.steps = 80;
    const double many = attacked(pgd, epsilon);
    checks.push_back(
        {"more steps do not help the defender",
         fmt::format("robust accuracy {:.3f} after 20 steps, {:.3f} after 80", few, many),
         many <= few + noise});

    AttackOptions square;
    square.method = attack_method("square");
    square.queries = 500;
    const double black = attacked(square, epsilon);
    checks.push_back(
        {"black box does not beat white box",
         fmt::format("robust accuracy {:.3f} under square, {:.3f} under PGD", black, few),
         black >= few - noise});

    if (!evaluation.fallen.empty()) {
        std::int64_t standing = 0;
        for (std::size_t i = 0; i < samples.size(); ++i) {
            standing += right[i] && !evaluation.fallen.at(static_cast<std::size_t>(samples[i]));
        }
        const double own = share(standing), reference = std::min(few, many);
        checks.push_back(
            {"the attacks that ran are no weaker than PGD",
             fmt::format("robust accuracy {:.3f} under them, {:.3f} under PGD", own, reference),
             own <= reference + noise});
    }
    return checks;
}

} // namespace patchforge
