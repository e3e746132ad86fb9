// The order of an epoch: a bijection, another one every epoch, without visible pattern.
#include "kernels/shuffle.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "tests/kernels/statistics.h"

namespace patchforge::testing {
namespace {

std::vector<std::uint32_t> order_of_epoch(std::uint64_t seed, std::uint64_t epoch,
                                          std::uint32_t count) {
    std::vector<std::uint32_t> rows;
    for (std::uint32_t position = 0; position < count; ++position) {
        rows.push_back(shuffled_row(seed, epoch, position, count));
    }
    return rows;
}

// 277,524 is the number of patches of the data set; powers of two and their neighbours are where
// the domain of the walk changes size.
TEST(Shuffle, IsABijection) {
    std::vector<std::uint32_t> counts{1023, 1024, 1025,   4095,   4096,
                                      4097, 5127, 65'536, 65'537, 277'524};
    for (std::uint32_t count = 1; count <= 300; ++count) {
        counts.push_back(count);
    }
    for (const std::uint32_t count : counts) {
        for (const std::uint64_t seed : {0ull, 0x0123456789abcdefull}) {
            std::vector<int> visits(count);
            for (const std::uint32_t row : order_of_epoch(seed, 3, count)) {
                ASSERT_LT(row, count) << "count " << count << ", seed " << seed;
                ++visits[row];
            }
            ASSERT_EQ(std::count(visits.begin(), visits.end(), 1), count) << "seed " << seed;
        }
    }
}

TEST(Shuffle, LargestCountStaysInRange) {
    const std::uint32_t count = 1u << 31;
    for (std::uint32_t position = 0; position < count - 1'000'003; position += 1'000'003) {
        ASSERT_LT(shuffled_row(5, 0, position, count), count);
        ASSERT_LT(shuffled_row(5, 0, position, count - 1), count - 1);
    }
}

TEST(Shuffle, EpochsAndSeedsDiffer) {
    const std::uint32_t count = 1000;
    const std::vector<std::vector<std::uint32_t>> orders{
        order_of_epoch(1, 0, count), order_of_epoch(1, 1, count),
        order_of_epoch(1, 1ull << 32, count), order_of_epoch(2, 0, count),
        order_of_epoch(1ull << 32 | 1, 0, count)};
    for (std::size_t a = 0; a < orders.size(); ++a) {
        for (std::size_t b = 0; b < a; ++b) {
            int equal = 0; // a Poisson variable of mean 1
            for (std::uint32_t position = 0; position < count; ++position) {
                equal += orders[a][position] == orders[b][position];
            }
            EXPECT_LT(equal, 9) << "orders " << b << " and " << a;
        }
    }
}

// Over the epochs every position sees every row equally often, at counts where a wrong network
// would show first.
TEST(Shuffle, PlacesAreUniformOverEpochs) {
    for (const std::uint32_t count : {2u, 3u, 5u, 16u, 17u, 64u}) {
        for (const std::uint32_t position : {0u, count / 2, count - 1}) {
            std::vector<std::int64_t> counts(count);
            for (std::uint64_t epoch = 0; epoch < 400 * count; ++epoch) {
                ++counts[shuffled_row(77, epoch, position, count)];
            }
            EXPECT_LE(chi_square_deviations(counts), deviations_limit)
                << "count " << count << ", position " << position;
        }
    }
}

// So does every pair of positions. Six rounds reach this from about 17 rows on; below, no order is
// missing, but some come three times as often as others.
TEST(Shuffle, PairsAreUniformOverEpochs) {
    for (const std::uint32_t count : {17u, 30u, 64u}) {
        std::vector<std::int64_t> pairs(count * count);
        for (std::uint64_t epoch = 0; epoch < 100 * count * count; ++epoch) {
            ++pairs[shuffled_row(5, epoch, 0, count) * count + shuffled_row(5, epoch, 1, count)];
        }
        EXPECT_EQ(std::count(pairs.begin(), pairs.end(), 0), count) << "a row beside itself";
        std::erase(pairs, 0);
        EXPECT_LE(chi_square_deviations(pairs), deviations_limit) << "count " << count;
    }
    std::vector<std::int64_t> orders(5 * 5 * 5 * 5 * 5);
    for (std::uint64_t epoch = 0; epoch < 24'000; ++epoch) {
        std::size_t code = 0;
        for (const std::uint32_t row : order_of_epoch(78, epoch, 5)) {
            code = code * 5 + row;
        }
        ++orders[code];
    }
    std::erase(orders, 0);
    EXPECT_EQ(orders.size(), 120u);
    EXPECT_GE(*std::min_element(orders.begin(), orders.end()), 100); // of 200 on average
    EXPECT_LE(*std::max_element(orders.begin(), orders.end()), 400);
}

// Within an epoch: a tenth of the positions takes rows from all over, and neighbours are unrelated.
TEST(Shuffle, SpreadsOneEpoch) {
    const std::uint32_t count = 277'524;
    std::vector<std::int64_t> bins(100);
    double correlation = 0;
    const auto centred = [&](std::uint32_t row) { return (row + 0.5) / count - 0.5; };
    const std::uint32_t sample = count / 10;
    for (std::uint32_t position = 0; position < sample; ++position) {
        const std::uint32_t row = shuffled_row(79, 4, position, count);
        ++bins[static_cast<std::uint64_t>(row) * 100 / count];
        correlation += 12 * centred(row) * centred(shuffled_row(79, 4, position + 1, count));
    }
    EXPECT_LE(chi_square_deviations(bins), deviations_limit);
    EXPECT_LE(std::fabs(correlation / sample), 5 / std::sqrt(sample));
}

} // namespace
} // namespace patchforge::testing
