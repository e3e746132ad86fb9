#include "host/distance/neighbourhood.h"

#include "host/numerics/distances.h"

#include <algorithm>
#include <mutex>
#include <numeric>

namespace patchforge {
namespace {

std::int64_t total(const std::vector<std::int64_t>& counts) {
    return std::accumulate(counts.begin(), counts.end(), std::int64_t{0});
}

std::int64_t above_zero(const std::vector<std::int64_t>& counts) {
    return std::count_if(counts.begin(), counts.end(), [](std::int64_t n) { return n > 0; });
}

struct BallCounts {
    std::vector<std::int64_t> points_in_ball; // [centres]
    std::vector<std::int64_t> balls_at_point; // [points]
};

BallCounts count_balls(const Features& centres, const std::vector<double>& squared_radii,
                       const Features& points, int threads) {
    BallCounts counts{std::vector<std::int64_t>(centres.count),
                      std::vector<std::int64_t>(points.count)};
    std::mutex mutex;
    for_each_distance_tile(centres, points, threads, [&](const DistanceTile& tile) {
        std::vector<std::int64_t> here(tile.columns);
        for (std::int64_t i = 0; i < tile.rows; ++i) {
            const double radius = squared_radii[tile.row + i];
            std::int64_t inside = 0;
            for (std::int64_t j = 0; j < tile.columns; ++j) {
                const bool in = tile.squared[i * tile.columns + j] <= radius;
                inside += in;
                here[j] += in;
            }
            counts.points_in_ball[tile.row + i] += inside;
        }
        const std::lock_guard lock(mutex);
        for (std::int64_t j = 0; j < tile.columns; ++j) {
            counts.balls_at_point[tile.column + j] += here[j];
        }
    });
    return counts;
}

} // namespace

PrecisionRecall precision_recall(const Features& reference, const Features& generated,
                                 std::int64_t k, int threads) {
    check_pair(reference, generated, 2);
    const auto around_reference =
        count_balls(reference, squared_radii(reference, k, threads), generated, threads);
    const auto around_generated =
        count_balls(generated, squared_radii(generated, k, threads), reference, threads);
    PrecisionRecall result;
    result.precision = static_cast<double>(above_zero(around_reference.balls_at_point)) /
                       static_cast<double>(generated.count);
    result.recall = static_cast<double>(above_zero(around_generated.balls_at_point)) /
                    static_cast<double>(reference.count);
    const double sum = result.precision + result.recall;
    result.f1 = sum > 0 ? 2 * result.precision * result.recall / sum : 0;
    return result;
}

DensityCoverage density_coverage(const Features& reference, const Features& generated,
                                 std::int64_t k, int threads) {
    check_pair(reference, generated, 1);
    const auto counts =
        count_balls(reference, squared_radii(reference, k, threads), generated, threads);
    return {static_cast<double>(total(counts.balls_at_point)) /
                static_cast<double>(k * generated.count),
            static_cast<double>(above_zero(counts.points_in_ball)) /
                static_cast<double>(reference.count),
            expected_coverage(reference.count, generated.count, k)};
}

double expected_coverage(std::int64_t reference, std::int64_t generated, std::int64_t k) {
    double missed = 1;
    for (std::int64_t i = 0; i < k; ++i) {
        missed *= static_cast<double>(reference - 1 - i) /
                  static_cast<double>(reference + generated - 1 - i);
    }
    return 1 - missed;
}

} // namespace patchforge
