#include "host/evaluate/evaluate.h"

#include "host/distance/frechet_distance.h"
#include "host/distance/kernel_distance.h"
#include "host/distance/neighbourhood.h"
#include "host/distance/sliced_distance.h"
#include "host/numerics/philox_sequence.h"

#include <algorithm>
#include <chrono>
#include <functional>

namespace patchforge {

std::vector<MetricResult> evaluate_features(const Features& reference, const Features& generated,
                                            const EvaluateOptions& options) {
    check_pair(reference, generated, 2);
    std::vector<MetricResult> lines;
    using Results = std::vector<std::pair<std::string, double>>;
    const auto measure = [&](const std::string& name, const std::function<Results()>& compute) {
        const auto start = std::chrono::steady_clock::now();
        Results results = compute();
        const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
        lines.push_back({name, std::move(results), time.count(), options.extractor, generated.count,
                         reference.count, options.seed, utc_now()});
    };
    const int threads = options.threads;
    measure("frechet_distance", [&]() -> Results {
        Results results{{"frechet_distance", frechet_distance(reference, generated, threads)}};
        if (options.extrapolate && generated.count >= 4) {
            const auto line =
                extrapolate_frechet_distance(reference, generated, options.seed, 0, 15, threads);
            results.emplace_back("frechet_distance_infinity", line.at_infinity);
            results.emplace_back("frechet_distance_infinity_r_squared", line.r_squared);
        }
        return results;
    });
    measure("kernel_distance", [&]() -> Results {
        const auto distance = kernel_distance(
            reference, generated,
            {options.kernel_subsets, options.kernel_subset_size, options.seed, threads});
        return {{"kernel_distance_mean", distance.mean},
                {"kernel_distance_deviation", distance.deviation}};
    });
    if (std::min(reference.count, generated.count) > options.precision_neighbours) {
        measure("precision_recall", [&]() -> Results {
            const auto scores =
                precision_recall(reference, generated, options.precision_neighbours, threads);
            return {{"precision", scores.precision}, {"recall", scores.recall}, {"f1", scores.f1}};
        });
    }
    if (reference.count > options.density_neighbours) {
        measure("density_coverage", [&]() -> Results {
            const auto scores =
                density_coverage(reference, generated, options.density_neighbours, threads);
            return {{"density", scores.density},
                    {"coverage", scores.coverage},
                    {"coverage_expected_of_equals", scores.expected_coverage}};
        });
    }
    measure("sliced_distance", [&]() -> Results {
        return {{"sliced_distance",
                 sliced_distance(reference, generated, options.directions, options.seed, threads)}};
    });
    return lines;
}

Halves split_in_halves(const Features& features, std::uint64_t seed) {
    check_features(features, "features", 2);
    const std::int64_t half = features.count / 2;
    const auto order = PhiloxSequence(seed).sample(features.count, 2 * half);
    const std::span<const std::int64_t> rows(order);
    return {take_rows(features, rows.first(half)), take_rows(features, rows.last(half))};
}

Features noise_images(std::int64_t count, std::int64_t dimension, std::uint64_t seed) {
    Features noise{count, dimension, std::vector<float>(count * dimension)};
    PhiloxSequence random(seed);
    std::generate(noise.values.begin(), noise.values.end(),
                  [&] { return static_cast<float>(2 * random.uniform() - 1); });
    return noise;
}

} // namespace patchforge
