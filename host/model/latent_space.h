// Walking in the space of latent codes: paths, groups and their differences.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace patchforge {

using LatentCode = std::vector<float>;

// (1 - t) a + t b.
LatentCode interpolate_linearly(const LatentCode& a, const LatentCode& b, double t);

// On the great circle from a to b, with the length going from |a| to |b| (Shoemake 1985; White,
// "Sampling generative networks", 2016). A code of many normal numbers has a length near sqrt(n),
// and the middle of a straight path is shorter: this path stays where the generator was trained.
// Falls back on the straight path where a and b are parallel or one is zero.
LatentCode interpolate_spherically(const LatentCode& a, const LatentCode& b, double t);

// Codes that have something in common, e.g. that a classifier calls their patches cancer.
struct LatentGroup {
    std::string name;
    std::vector<LatentCode> codes;

    LatentCode mean() const; // throws std::invalid_argument when the group is empty
};

// A group as a safetensors file: tensor `latents` [count, latent_dim], its name in the metadata.
// `group_mark` is near the beginning of its bytes.
constexpr std::string_view group_mark = R"("group":")";
void save_group(const std::filesystem::path& path, const LatentGroup& group);
LatentGroup load_group(const std::filesystem::path& path);

// base + strength (to - from), element by element: "G' - M' + W'" with from = M', to = W'.
LatentCode moved(const LatentCode& base, const LatentCode& from, const LatentCode& to,
                 double strength);

// [count, dimension] cut into codes.
std::vector<LatentCode> codes_of(std::span<const float> latents, std::int64_t dimension);

} // namespace patchforge
