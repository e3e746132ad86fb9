#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace patchforge {

// `count` numbers below `total`, evenly spaced from 0 on; all of them where there are no more.
inline std::vector<std::int64_t> evenly_spaced(std::int64_t total, std::int64_t count) {
    count = std::min(count, total);
    std::vector<std::int64_t> numbers;
    for (std::int64_t i = 0; i < count; ++i) {
        numbers.push_back(i * total / count);
    }
    return numbers;
}

} // namespace patchforge
