#include "host/gan/gan_monitor.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace patchforge {

GanSigns gan_signs(const Metrics& metrics, std::size_t row) {
    const auto value = [&](const std::string& name, double otherwise) {
        const auto at = std::ranges::find(metrics.columns, name);
        return at == metrics.columns.end() ? otherwise
                                           : metrics.rows.at(row)[at - metrics.columns.begin()];
    };
    GanSigns signs{
        value("D_x", 0.5), value("D_G_z", 0.5), value("d_loss", 0), value("g_loss", 0), {}};
    for (const GanHealthColumn& column : gan_health_columns({})) { // by the defaults: all there are
        signs.health.*column.value = value(column.name, GanHealth::unmeasured);
    }
    return signs;
}

std::vector<std::string> gan_conditions(const GanSigns& signs, GanLoss loss) {
    using namespace gan_thresholds;
    std::vector<std::string> warnings;
    const GanHealth& health = signs.health;
    const bool logistic = is_logistic(loss);
    if (!(std::abs(signs.loss_d) <= diverging_loss && std::abs(signs.loss_g) <= diverging_loss)) {
        warnings.push_back(fmt::format(
            "Divergence: the losses are {:.3g} and {:.3g}, further than {:.0f} from 0; lower the "
            "learning rates",
            signs.loss_d, signs.loss_g, diverging_loss));
    }
    if (health.diversity < collapse_diversity) {
        warnings.push_back(fmt::format(
            "Collapse: two fakes differ {:.2f} times as much as two patches do (below {:.2f}); try "
            "--instance-noise 0.1, --minibatch-discrimination 32 or a lower --lr-g",
            health.diversity, collapse_diversity));
    }
    if (logistic && health.accuracy_d >= winning_accuracy &&
        signs.probability_fake < winning_probability) {
        warnings.push_back(fmt::format(
            "The discriminator wins: it is right about {:.0f} % and D(G(z)) is {:.3f}, so the "
            "generator learns little; try --instance-noise 0.1, --real-label 0.9 or a lower --lr-d",
            100 * health.accuracy_d, signs.probability_fake));
    }
    if (logistic && health.accuracy_d <= blind_accuracy &&
        std::abs(signs.probability_real - signs.probability_fake) < blind_difference) {
        warnings.push_back(fmt::format(
            "The discriminator tells nothing: it is right about {:.0f} % and answers {:.3f} and "
            "{:.3f}; either the game is at rest, or D learns too little (raise --lr-d)",
            100 * health.accuracy_d, signs.probability_real, signs.probability_fake));
    }
    if (health.saturated > health.saturated_patches + saturated_share) {
        warnings.push_back(fmt::format("Saturation: {:.0f} % of the fakes' pixels are beyond 0.99 "
                                       "of the range, of the patches' "
                                       "{:.0f} %; tanh passes no gradient there; lower --lr-g",
                                       100 * health.saturated, 100 * health.saturated_patches));
    }
    for (const auto& [name, share] : {std::pair("discriminator", health.dead_units_d),
                                      std::pair("generator", health.dead_units_g)}) {
        if (share > dead_share) {
            warnings.push_back(fmt::format(
                "Dead units in the {}: {:.0f} % are never above 0; lower its learning rate", name,
                100 * share));
        }
    }
    return warnings;
}

std::vector<std::string> GanMonitor::look(std::uint64_t step, const GanSigns& signs) {
    if (step <= gan_thresholds::warm_up) {
        return {};
    }
    ++looks_;
    std::vector<std::string> begun;
    std::vector<Streak> going_on;
    for (const std::string& text : gan_conditions(signs, loss_)) {
        Streak streak{{text, step, step}, 0};
        const auto before = std::ranges::find_if(streaks_, [&](const Streak& earlier) {
            return earlier.episode.kind() == streak.episode.kind();
        });
        bool warned = false;
        if (before != streaks_.end()) {
            warned = before->warned();
            streak.episode.first = before->episode.first;
            streak.looks = before->looks;
            streaks_.erase(before);
        }
        ++streak.looks;
        if (streak.warned() && !warned) {
            begun.push_back(text);
        }
        going_on.push_back(std::move(streak));
    }
    for (const Streak& ended : streaks_) {
        if (ended.warned()) {
            over_.push_back(ended.episode);
        }
    }
    streaks_ = std::move(going_on);
    return begun;
}

std::vector<GanEpisode> GanMonitor::standing() const {
    std::vector<GanEpisode> episodes;
    for (const Streak& streak : streaks_) {
        if (streak.warned()) {
            episodes.push_back(streak.episode);
        }
    }
    return episodes;
}

} // namespace patchforge
