// A global batch of B rows in S shards of B / S rows, of which the last ones may have fewer rows or none.
#pragma once

#include <cstdint>
#include <vector>

#include "host/ranks/shard_tree.h"

namespace patchforge {

struct Shard {
    int number = 0;
    int place = 0;          // among those of this rank
    std::int64_t first = 0; // row of the global batch
    std::int64_t rows = 0;
    double share = 1; // of the batch's rows
};

// The shards of a batch of `rows` rows that have rows, in order.
inline std::vector<Shard> filled_shards(std::int64_t rows, std::int64_t rows_of_shard) {
    std::vector<Shard> shards;
    for (std::int64_t first = 0; first < rows; first += rows_of_shard) {
        const std::int64_t its_rows = rows - first < rows_of_shard ? rows - first : rows_of_shard;
        shards.push_back({static_cast<int>(shards.size()), 0, first, its_rows,
                          static_cast<double>(its_rows) / static_cast<double>(rows)});
    }
    return shards;
}

} // namespace patchforge
