#include "data/equal_patches.h"

#include <string_view>
#include <unordered_map>

namespace patchforge {

EqualPatches equal_patches(const PackedSet& first, const PackedSet& second) {
    constexpr std::size_t most_named = 3;
    EqualPatches equal;
    if (first.channels() != second.channels() || first.height() != second.height() ||
        first.width() != second.width()) {
        return equal;
    }
    const auto pixels = [](const PackedSet& set, std::int64_t i) {
        const auto patch = set.patch(i);
        return std::string_view(reinterpret_cast<const char*>(patch.data()), patch.size());
    };
    const std::hash<std::string_view> hash;
    // Equal hashes are compared by their bytes.
    std::unordered_multimap<std::size_t, std::int64_t> of_second;
    of_second.reserve(static_cast<std::size_t>(second.count()));
    for (std::int64_t i = 0; i < second.count(); ++i) {
        of_second.emplace(hash(pixels(second, i)), i);
    }
    std::vector<std::int64_t> found(static_cast<std::size_t>(second.count()), -1);
    for (std::int64_t i = 0; i < first.count(); ++i) {
        const std::string_view patch = pixels(first, i);
        const auto [begin, end] = of_second.equal_range(hash(patch));
        for (auto candidate = begin; candidate != end; ++candidate) {
            std::int64_t& partner = found[static_cast<std::size_t>(candidate->second)];
            if (partner < 0 && pixels(second, candidate->second) == patch) {
                partner = i;
            }
        }
    }
    for (std::int64_t i = 0; i < second.count(); ++i) {
        const std::int64_t partner = found[static_cast<std::size_t>(i)];
        if (partner >= 0) {
            ++equal.count;
            if (equal.named.size() < most_named) {
                equal.named.emplace_back(second.name(i), first.name(partner));
            }
        }
    }
    return equal;
}

} // namespace patchforge
