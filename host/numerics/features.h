// Feature matrices: what every measure in this folder compares.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace patchforge {

// One row an image, row-major: values[i * dimension + j] is feature j of image i.
struct Features {
    std::int64_t count = 0;
    std::int64_t dimension = 0;
    std::vector<float> values;

    std::span<const float> row(std::int64_t i) const {
        return {values.data() + i * dimension, static_cast<std::size_t>(dimension)};
    }
};

// Throws std::invalid_argument naming `name` unless there are at least `least` rows, the sizes
// agree and every value is finite.
void check_features(const Features& features, std::string_view name, std::int64_t least = 1);

// As above for two sets, and their dimensions must agree.
void check_pair(const Features& reference, const Features& generated, std::int64_t least = 1);

// The rows named by `rows`, in that order.
Features take_rows(const Features& features, std::span<const std::int64_t> rows);

} // namespace patchforge
