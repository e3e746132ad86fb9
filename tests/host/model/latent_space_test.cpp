#include "host/model/latent_space.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <unistd.h>

namespace patchforge {
namespace {

double length_of(const LatentCode& code) {
    double squares = 0;
    for (const float value : code) {
        squares += double{value} * value;
    }
    return std::sqrt(squares);
}

TEST(LatentSpace, StraightPath) {
    EXPECT_EQ(interpolate_linearly({0, 2}, {4, 0}, 0.25), (LatentCode{1, 1.5}));
    EXPECT_THROW(interpolate_linearly({0, 2}, {4}, 0.25), std::invalid_argument);
}

TEST(LatentSpace, PathOnTheSphere) {
    // A quarter of a circle in equal angles.
    const LatentCode middle = interpolate_spherically({1, 0}, {0, 1}, 0.5);
    EXPECT_NEAR(middle[0], std::sqrt(0.5), 1e-6);
    EXPECT_NEAR(middle[1], std::sqrt(0.5), 1e-6);
    const LatentCode third = interpolate_spherically({1, 0}, {0, 1}, 1.0 / 3);
    EXPECT_NEAR(third[0], std::cos(M_PI / 6), 1e-6);
    // Lengths go evenly, ends are met.
    EXPECT_NEAR(length_of(interpolate_spherically({3, 0, 0}, {0, 0, 5}, 0.5)), 4, 1e-6);
    EXPECT_NEAR(interpolate_spherically({3, 0}, {0, 5}, 1)[1], 5, 1e-6);
    EXPECT_NEAR(interpolate_spherically({3, 0}, {0, 5}, 0)[0], 3, 1e-6);
    // Parallel, opposite and zero codes have no great circle of their own.
    for (const LatentCode& b : {LatentCode{2, 0}, LatentCode{-1, 0}, LatentCode{0, 0}}) {
        for (const float value : interpolate_spherically({1, 0}, b, 0.5)) {
            EXPECT_TRUE(std::isfinite(value));
        }
    }
}

TEST(LatentSpace, GroupsAndTheirDifference) {
    const LatentGroup men{"men", {{1, 0}, {3, 2}}};
    const LatentGroup women{"women", {{0, 5}, {2, 7}}};
    EXPECT_EQ(men.mean(), (LatentCode{2, 1}));
    // G' - M' + W'
    EXPECT_EQ(moved({10, 10}, men.mean(), women.mean(), 1), (LatentCode{9, 15}));
    EXPECT_EQ(moved({10, 10}, men.mean(), women.mean(), 0), (LatentCode{10, 10}));
    EXPECT_THROW((LatentGroup{"nobody", {}}).mean(), std::invalid_argument);

    const auto path = std::filesystem::temp_directory_path() /
                      ("patchforge-group-" + std::to_string(getpid()) + ".safetensors");
    save_group(path, women);
    const LatentGroup again = load_group(path);
    std::filesystem::remove(path);
    EXPECT_EQ(again.name, "women");
    EXPECT_EQ(again.codes, women.codes);
}

} // namespace
} // namespace patchforge
