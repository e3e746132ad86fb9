#include "host/numerics/features.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace patchforge {

void check_features(const Features& features, std::string_view name, std::int64_t least) {
    if (features.dimension < 1 || features.count < least) {
        throw std::invalid_argument(fmt::format("{}: {} rows of {} features; give at least {} rows",
                                                name, features.count, features.dimension, least));
    }
    if (static_cast<std::int64_t>(features.values.size()) != features.count * features.dimension) {
        throw std::invalid_argument(
            fmt::format("{}: {} values do not make {} rows of {}; fill the whole matrix", name,
                        features.values.size(), features.count, features.dimension));
    }
    const auto bad = std::find_if_not(features.values.begin(), features.values.end(),
                                      [](float value) { return std::isfinite(value); });
    if (bad != features.values.end()) {
        const std::int64_t index = bad - features.values.begin();
        throw std::invalid_argument(
            fmt::format("{}: row {}, feature {} is not a finite number; look at the network that "
                        "made it",
                        name, index / features.dimension, index % features.dimension));
    }
}

void check_pair(const Features& reference, const Features& generated, std::int64_t least) {
    check_features(reference, "reference features", least);
    check_features(generated, "generated features", least);
    if (reference.dimension != generated.dimension) {
        throw std::invalid_argument(
            fmt::format("features: the reference has {} a row and the generated set {}; use one "
                        "extractor for both",
                        reference.dimension, generated.dimension));
    }
}

Features take_rows(const Features& features, std::span<const std::int64_t> rows) {
    Features taken{static_cast<std::int64_t>(rows.size()), features.dimension, {}};
    taken.values.reserve(rows.size() * features.dimension);
    for (const std::int64_t row : rows) {
        const auto source = features.row(row);
        taken.values.insert(taken.values.end(), source.begin(), source.end());
    }
    return taken;
}

} // namespace patchforge
