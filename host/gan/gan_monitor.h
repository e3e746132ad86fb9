// Says in plain sentences what looks wrong with a GAN in training; docs/gan.md gives the reason of
// each threshold.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "host/gan/gan_health.h"
#include "host/run/run_folder.h"

namespace patchforge {

// The numbers of one logged interval.
struct GanSigns {
    double probability_real = 0.5; // D(x) and D(G(z)), means of the interval
    double probability_fake = 0.5;
    double loss_d = 0;
    double loss_g = 0;
    GanHealth health;
};

// A row of metrics.csv as it was when it was logged.
GanSigns gan_signs(const Metrics& metrics, std::size_t row);

namespace gan_thresholds {
constexpr double collapse_diversity = 0.25;  // of the patches' own
constexpr double winning_accuracy = 0.98;    // of D ...
constexpr double winning_probability = 0.05; // ... with D(G(z)) below
constexpr double blind_accuracy = 0.52;      // of D, with D(x) and D(G(z)) apart by less than
constexpr double blind_difference = 0.005;
constexpr double diverging_loss = 50;   // of either network, by magnitude
constexpr double saturated_share = 0.3; // of the fakes' pixels, more than of the patches'
constexpr double dead_share = 0.5;      // of a network's units

constexpr std::uint64_t warm_up = 500;    // iterations that are not judged
constexpr std::uint64_t lasting = 100;    // iterations that a condition has to hold ...
constexpr std::int64_t lasting_looks = 3; // ... and logged intervals, before a warning
} // namespace gan_thresholds

// "<kind>: <numbers>; <advice>" for each condition that holds by these numbers alone.
std::vector<std::string> gan_conditions(const GanSigns& signs, GanLoss loss);

// A warning from its beginning to its end.
struct GanEpisode {
    std::string text;        // the condition, with the numbers of its latest look
    std::uint64_t first = 0; // iterations between which the condition held
    std::uint64_t last = 0;

    std::string kind() const { return text.substr(0, text.find(':')); }
};

// Looks at one logged interval after the other. A young GAN fulfils most of the conditions now and
// then, so the first iterations are not judged and a condition has to last.
class GanMonitor {
  public:
    explicit GanMonitor(GanLoss loss) : loss_(loss) {}

    // `step` is the interval's last iteration. Returns the conditions that became warnings with it.
    std::vector<std::string> look(std::uint64_t step, const GanSigns& signs);

    bool judged() const { return looks_ >= gan_thresholds::lasting_looks; } // long enough a run?
    std::vector<GanEpisode> standing() const; // warnings whose condition held at the last look
    const std::vector<GanEpisode>& over() const { return over_; } // warnings that ended before it

  private:
    struct Streak {
        GanEpisode episode;
        std::int64_t looks = 0;
        bool warned() const {
            return looks >= gan_thresholds::lasting_looks &&
                   episode.last - episode.first >= gan_thresholds::lasting;
        }
    };

    GanLoss loss_;
    std::int64_t looks_ = 0; // behind the warm-up
    std::vector<Streak> streaks_;
    std::vector<GanEpisode> over_;
};

} // namespace patchforge
