// A walk through the pool against the list of its authors, exact: filling, exchanging, batches that
// outgrow it, pictures that leave in the batch that brought them.
#include "tests/kernels/backends.h"
#include "tests/kernels/comparison.h"
#include "tests/kernels/operands.h"
#include "tests/oracle/picture_pool.h"

namespace patchforge::testing {
namespace {

class PicturePoolTest : public BackendTest {};
PATCHFORGE_ON_EVERY_BACKEND(PicturePoolTest);

TEST_P(PicturePoolTest, WalksAsTheListDoes) {
    struct Case {
        std::int64_t rows, pixels, slots;
        int draws;
    };
    for (const Case& c : {Case{1, 257, 5, 40}, Case{3, 31, 7, 20}, Case{5, 33, 1, 6},
                          Case{7, 1, 50, 24}, Case{33, 2, 4, 3}}) {
        SCOPED_TRACE(describe("rows", c.rows, "pixels", c.pixels, "slots", c.slots));
        constexpr std::uint64_t seed = 0xfeedfacecafe;
        constexpr std::uint32_t purpose = 179;
        oracle::PicturePool list(static_cast<std::size_t>(c.slots), seed, purpose);
        std::vector<float> pool(static_cast<std::size_t>(c.slots * c.pixels), 0.0f);
        int exchanged = 0;
        for (int draw = 0; draw < c.draws; ++draw) {
            const auto fresh = random_values(900 + static_cast<unsigned>(draw), c.rows * c.pixels);
            const DeviceStep step(backend(), static_cast<std::uint64_t>(draw), 1, 0);
            const auto fresh_device = GuardedArray<float>::input(backend(), fresh, 1);
            const auto shown = GuardedArray<float>::output(backend(), c.rows * c.pixels, 3);
            const auto kept = GuardedArray<float>::changing(backend(), pool, 2);
            backend().exchange_pictures(
                shown.matrix(c.rows, c.pixels), kept.matrix(c.slots, c.pixels),
                fresh_device.matrix(c.rows, c.pixels), {seed, purpose, step.count()});
            std::vector<oracle::PicturePool::Picture> pictures;
            for (std::int64_t b = 0; b < c.rows; ++b) {
                const auto begin = fresh.begin() + b * c.pixels;
                pictures.emplace_back(begin, begin + c.pixels);
            }
            std::vector<float> expected;
            for (const auto& picture : list.query(pictures, static_cast<std::uint64_t>(draw))) {
                expected.insert(expected.end(), picture.begin(), picture.end());
            }
            EXPECT_EQ(shown.values(), expected);
            exchanged += expected != fresh;
            pool = kept.values();
            for (std::size_t slot = 0; slot < list.held().size(); ++slot) {
                const auto begin = pool.begin() + static_cast<std::ptrdiff_t>(slot) * c.pixels;
                EXPECT_TRUE(std::equal(begin, begin + c.pixels, list.held()[slot].begin()));
            }
        }
        EXPECT_GT(exchanged, 0); // the walk came by every case
    }
}

} // namespace
} // namespace patchforge::testing
