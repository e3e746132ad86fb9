#include "host/distance/sliced_distance.h"

#include "host/numerics/linear_algebra.h"
#include "host/numerics/parallel.h"
#include "host/numerics/philox_sequence.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <stdexcept>

namespace patchforge {
namespace {

constexpr std::int64_t directions_a_step = 32;
constexpr std::int64_t rows_a_step = 1024;

// projected[directions, n], each row sorted.
std::vector<double> sorted_projections(const Features& features,
                                       const std::vector<double>& directions, std::int64_t count) {
    const std::int64_t n = features.count, d = features.dimension;
    std::vector<double> projected(count * n), wide, part;
    for (std::int64_t row = 0; row < n; row += rows_a_step) {
        const std::int64_t rows = std::min(rows_a_step, n - row);
        wide.assign(features.values.begin() + row * d, features.values.begin() + (row + rows) * d);
        part.resize(count * rows);
        multiply_transposed(part.data(), directions.data(), wide.data(), count, rows, d);
        for (std::int64_t k = 0; k < count; ++k) {
            std::copy_n(part.begin() + k * rows, rows, projected.begin() + k * n + row);
        }
    }
    for (std::int64_t k = 0; k < count; ++k) {
        std::sort(projected.begin() + k * n, projected.begin() + (k + 1) * n);
    }
    return projected;
}

Features cut(const Features& features, std::int64_t count, std::uint64_t seed,
             std::uint64_t stream) {
    return features.count == count
               ? features
               : take_rows(features, PhiloxSequence(seed, stream).sample(features.count, count));
}

} // namespace

double sliced_distance(const Features& reference, const Features& generated, int directions,
                       std::uint64_t seed, int threads) {
    check_pair(reference, generated);
    if (directions < 1) {
        throw std::invalid_argument(
            fmt::format("sliced distance: {} directions; use at least 1", directions));
    }
    const std::int64_t n = std::min(reference.count, generated.count), d = reference.dimension;
    // Streams below 2 cut the sets; direction k draws from stream k + 2.
    const Features x = cut(reference, n, seed, 0), y = cut(generated, n, seed, 1);
    std::vector<double> squares(directions);
    const std::int64_t steps = (directions + directions_a_step - 1) / directions_a_step;
    for_each_parallel(steps, threads, [&](std::int64_t step) {
        const std::int64_t first = step * directions_a_step;
        const std::int64_t count = std::min<std::int64_t>(directions_a_step, directions - first);
        std::vector<double> units(count * d);
        for (std::int64_t k = 0; k < count; ++k) {
            PhiloxSequence random(seed, first + k + 2);
            const auto unit = units.begin() + k * d;
            std::generate_n(unit, d, [&] { return random.normal(); });
            const double length = std::sqrt(std::inner_product(unit, unit + d, unit, 0.0));
            std::for_each_n(unit, d, [length](double& value) { value /= length; });
        }
        const auto a = sorted_projections(x, units, count);
        const auto b = sorted_projections(y, units, count);
        for (std::int64_t k = 0; k < count; ++k) {
            for (std::int64_t i = k * n; i < (k + 1) * n; ++i) {
                squares[first + k] += (a[i] - b[i]) * (a[i] - b[i]);
            }
        }
    });
    const double mean =
        std::accumulate(squares.begin(), squares.end(), 0.0) / static_cast<double>(n) / directions;
    return 3 * static_cast<double>(d) * mean;
}

} // namespace patchforge
