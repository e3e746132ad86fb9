#include "host/distance/memorisation.h"

#include "host/numerics/k_means.h"
#include "host/numerics/mann_whitney.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <stdexcept>

namespace patchforge {
namespace {

std::vector<std::vector<double>> distances_by_cell(const Features& features,
                                                   const std::vector<Neighbour>& neighbours,
                                                   const Features& centres, int threads) {
    std::vector<std::vector<double>> cells(centres.count);
    const auto nearest_centres = nearest_neighbours(features, centres, threads);
    for (std::int64_t i = 0; i < features.count; ++i) {
        cells[nearest_centres[i].index].push_back(neighbours[i].distance);
    }
    return cells;
}

} // namespace

double quantile(std::vector<double> values, double share) {
    if (values.empty() || !(share >= 0 && share <= 1)) {
        throw std::invalid_argument(fmt::format(
            "quantile: {} of {} values; use a share in [0, 1] of some", share, values.size()));
    }
    std::sort(values.begin(), values.end());
    const double place = share * static_cast<double>(values.size() - 1);
    const std::size_t below = static_cast<std::size_t>(place);
    const std::size_t above = std::min(below + 1, values.size() - 1);
    return values[below] + (place - static_cast<double>(below)) * (values[above] - values[below]);
}

Memorisation memorisation(const Features& training, const Features& generated,
                          const Features& held_out, const MemorisationOptions& options) {
    check_pair(training, generated);
    check_pair(training, held_out);
    const int threads = options.threads;
    Memorisation result;
    result.generated_to_training = nearest_neighbours(generated, training, threads);
    result.generated_to_held_out = nearest_neighbours(generated, held_out, threads);
    result.held_out_to_training = nearest_neighbours(held_out, training, threads);

    const Features centres = k_means(training, options.cells, options.seed, 20, threads);
    const auto generated_cells =
        distances_by_cell(generated, result.generated_to_training, centres, threads);
    const auto held_out_cells =
        distances_by_cell(held_out, result.held_out_to_training, centres, threads);
    const auto least =
        options.cells == 1 ? std::size_t{1} : static_cast<std::size_t>(options.least_in_cell);
    double weights = 0;
    for (std::int64_t cell = 0; cell < options.cells; ++cell) {
        if (generated_cells[cell].size() >= least && held_out_cells[cell].size() >= least) {
            const double weight = static_cast<double>(held_out_cells[cell].size());
            result.c_t += weight * mann_whitney(generated_cells[cell], held_out_cells[cell]).z;
            weights += weight;
            ++result.cells_used;
        }
    }
    result.c_t = weights > 0 ? result.c_t / weights : std::numeric_limits<double>::quiet_NaN();

    std::vector<double> held_out_distances;
    for (const Neighbour& neighbour : result.held_out_to_training) {
        held_out_distances.push_back(neighbour.distance);
    }
    result.ratio_distance = quantile(std::move(held_out_distances), 0.05);
    const auto nearer = std::count_if(
        result.generated_to_training.begin(), result.generated_to_training.end(),
        [&](const Neighbour& neighbour) { return neighbour.distance < result.ratio_distance; });
    result.ratio = static_cast<double>(nearer) / static_cast<double>(generated.count);
    return result;
}

std::vector<CopyCandidate> copy_candidates(const Memorisation& result, std::int64_t count) {
    std::vector<CopyCandidate> candidates;
    for (std::size_t i = 0; i < result.generated_to_training.size(); ++i) {
        candidates.push_back({static_cast<std::int64_t>(i), result.generated_to_training[i],
                              result.generated_to_held_out[i]});
    }
    std::stable_sort(candidates.begin(), candidates.end(),
                     [](const CopyCandidate& a, const CopyCandidate& b) {
                         return a.training.distance < b.training.distance;
                     });
    candidates.resize(std::clamp<std::int64_t>(count, 0, candidates.size()));
    return candidates;
}

} // namespace patchforge
