#include "host/attack/sanity_checks.h"

#include <fmt/format.h>

#include <algorithm>

namespace patchforge {

AttackSet evenly_spaced(const AttackSet& set, std::int64_t count) {
    if (count <= 0 || count >= set.count()) {
        return set;
    }
    AttackSet part;
    for (std::int64_t i = 0; i < count; ++i) {
        const std::int64_t from = i * set.count() / count;
        const auto patch = set.patch(from);
        part.levels.insert(part.levels.end(), patch.begin(), patch.end());
        part.labels.push_back(set.labels[static_cast<std::size_t>(from)]);
        if (!set.names.empty()) {
            part.names.push_back(set.names[static_cast<std::size_t>(from)]);
        }
    }
    return part;
}

std::vector<SanityCheck> sanity_checks(const std::vector<const ClassifierModel*>& members,
                                       const AttackSet& set, double epsilon, std::int64_t count) {
    const AttackSet part = evenly_spaced(set, count);
    const auto right = [&](const AttackResult& result) {
        std::int64_t standing = 0;
        for (std::size_t i = 0; i < result.samples.size(); ++i) {
            standing += result.samples[i].clean == part.labels[i] &&
                        !result.samples[i].broken(part.labels[i]);
        }
        return standing;
    };
    const auto attacked = [&](AttackOptions options, double budget) {
        return right(AttackRunner(members, nullptr, part, options).run(budget));
    };
    const auto share = [&](std::int64_t standing) {
        return static_cast<double>(standing) / static_cast<double>(part.count());
    };
    const double noise = std::max(2.0 / static_cast<double>(part.count()), 0.02);
    const double chance = 1.0 / static_cast<double>(members.front()->class_count());
    AttackOptions pgd;
    pgd.steps = 20;
    std::vector<SanityCheck> checks;

    AttackRunner clean(members, nullptr, part, pgd);
    const std::int64_t zero = clean.sensitivity(epsilon).zero_gradients;
    checks.push_back({"gradients are not zero",
                      fmt::format("{} of {} samples have none", zero, part.count()),
                      zero * 10 < part.count()});

    AttackOptions unbounded = pgd;
    unbounded.steps = 100;
    unbounded.alpha = 1 / 50.0;
    const double left = share(attacked(unbounded, 1));
    checks.push_back({"eps = 1 leaves chance or less",
                      fmt::format("accuracy {:.3f}, chance {:.3f}", left, chance),
                      left <= chance + noise});

    const double few = share(attacked(pgd, epsilon));
    AttackOptions longer = pgd;
    longer.steps = 80;
    const double many = share(attacked(longer, epsilon));
    checks.push_back(
        {"more steps do not help the defender",
         fmt::format("robust accuracy {:.3f} after 20 steps, {:.3f} after 80", few, many),
         many <= few + noise});

    AttackOptions square = pgd;
    square.method = AttackMethod::square;
    square.steps = 0;
    square.queries = 500;
    const double black = share(attacked(square, epsilon));
    checks.push_back(
        {"black box does not beat white box",
         fmt::format("robust accuracy {:.3f} under square, {:.3f} under PGD", black, few),
         black >= few - noise});
    return checks;
}

} // namespace patchforge
