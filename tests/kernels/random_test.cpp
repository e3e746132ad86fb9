// Philox4x32-10 as the project defines it: known answers, other people's implementations, and the
// functions built on its words.
#include <gtest/gtest.h>

#include <Random123/philox.h>

#include <cmath>
#include <limits>
#include <random>

#include "tests/kernels/curand_philox.h"
#include "tests/oracle/philox.h"

namespace patchforge::testing {
namespace {

using Counter = std::array<std::uint32_t, 4>;
using Key = std::array<std::uint32_t, 2>;

// From Random123's own file of known answers (kat_vectors, philox4x32 10).
TEST(Philox, KnownAnswers) {
    EXPECT_EQ(oracle::philox({0, 0, 0, 0}, {0, 0}),
              (Counter{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
    const std::uint32_t ones = 0xffffffff;
    EXPECT_EQ(oracle::philox({ones, ones, ones, ones}, {ones, ones}),
              (Counter{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
    EXPECT_EQ(
        oracle::philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
        (Counter{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

// Calls test(counter, key) with 1,000 random ones.
template <class Test>
void for_random_counters(Test test) {
    std::mt19937 engine(100);
    const auto word = [&] { return static_cast<std::uint32_t>(engine()); };
    for (int n = 0; n < 1000; ++n) {
        const Counter counter{word(), word(), word(), word()};
        test(counter, Key{word(), word()});
    }
}

TEST(Philox, AgreesWithRandom123) {
    for_random_counters([](const Counter& counter, const Key& key) {
        const r123::Philox4x32::ctr_type c{{counter[0], counter[1], counter[2], counter[3]}};
        const r123::Philox4x32::key_type k{{key[0], key[1]}};
        const auto expected = r123::Philox4x32()(c, k);
        const Counter actual = oracle::philox(counter, key);
        for (std::size_t word = 0; word < 4; ++word) {
            ASSERT_EQ(actual[word], expected[word]);
        }
    });
}

TEST(Philox, AgreesWithCurand) {
    if (!curand_philox({}, {})) {
        GTEST_SKIP() << "cuRAND: its headers were not found when the tests were built";
    }
    for_random_counters([](const Counter& counter, const Key& key) {
        ASSERT_EQ(oracle::philox(counter, key), curand_philox(counter, key));
    });
}

TEST(UniformFromWord, CoversTheOpenInterval) {
    EXPECT_EQ(uniform_from_word(0), std::ldexp(1.0f, -33));
    EXPECT_GT(uniform_from_word(0), 0);
    EXPECT_EQ(uniform_from_word(1u << 31), 0.5f);
    EXPECT_LE(uniform_from_word(0xffffffff), 1);
    for (const std::uint32_t word : {1u, 77u, 0x12345678u, 0xfffffe00u}) {
        EXPECT_NEAR(uniform_from_word(word), (word + 0.5) / 4294967296.0, 6e-8);
    }
}

TEST(DropoutThreshold, IsTheShareOfAllWords) {
    EXPECT_EQ(dropout_threshold(0), 0u);
    EXPECT_EQ(dropout_threshold(0.5f), 1u << 31);
    EXPECT_EQ(dropout_threshold(0.25f), 1u << 30);
    EXPECT_EQ(dropout_threshold(std::nextafter(1.0f, 0.0f)), 0xffffff00u);
}

TEST(StepCount, CountsByStrideAndOffset) {
    const std::uint64_t step = 10;
    EXPECT_EQ((StepCount{&step, 5, 3}).value(), 53u);
    EXPECT_EQ((StepCount{nullptr, 5, 3}).value(), 3u);
    const std::uint64_t late = 1ull << 40;
    EXPECT_EQ((StepCount{&late, 3, 1}).value(), (3ull << 40) + 1);
}

} // namespace
} // namespace patchforge::testing
