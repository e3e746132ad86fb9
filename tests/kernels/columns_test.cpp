// Copies of columns and one-hot columns, exact; nothing else of a row may change.
#include "tests/kernels/backends.h"
#include "tests/kernels/comparison.h"
#include "tests/kernels/guarded_array.h"

namespace patchforge::testing {
namespace {

class ColumnsTest : public BackendTest {};
PATCHFORGE_ON_EVERY_BACKEND(ColumnsTest);

TEST_P(ColumnsTest, CopiesAPartOfEveryRow) {
    for (const std::int64_t rows : {1, 3, 33}) {
        for (const std::int64_t count : {1, 31, 33, 257}) {
            SCOPED_TRACE(describe("rows", rows, "count", count));
            const std::int64_t to_columns = count + 5, from_columns = count + 2;
            const auto from = random_values(330, rows * from_columns);
            const auto before = random_values(331, rows * to_columns);
            const auto from_on_device = GuardedArray<float>::input(backend(), from, 1);
            const auto to = GuardedArray<float>::changing(backend(), before, 3);
            backend().copy_columns(to.matrix(rows, to_columns), 4,
                                   from_on_device.matrix(rows, from_columns), 1, count);
            std::vector<float> expected = before;
            for (std::int64_t r = 0; r < rows; ++r) {
                for (std::int64_t c = 0; c < count; ++c) {
                    expected[r * to_columns + 4 + c] = from[r * from_columns + 1 + c];
                }
            }
            EXPECT_EQ(to.values(), expected);
        }
    }
}

TEST_P(ColumnsTest, OneHot) {
    const std::vector<std::int32_t> labels = {2, 0, -1, 1, 3, 2, 0};
    const auto rows = static_cast<std::int64_t>(labels.size());
    const auto before = random_values(332, rows * 8);
    const auto to = GuardedArray<float>::changing(backend(), before, 1);
    const auto on_device = GuardedArray<std::int32_t>::input(backend(), labels, 1);
    backend().one_hot(to.matrix(rows, 8), 5, 3, on_device.view());
    std::vector<float> expected = before;
    for (std::int64_t r = 0; r < rows; ++r) {
        for (std::int64_t c = 0; c < 3; ++c) {
            expected[r * 8 + 5 + c] = labels[r] == c ? 1.0f : 0.0f;
        }
    }
    EXPECT_EQ(to.values(), expected);
}

} // namespace
} // namespace patchforge::testing
