// How a training cuts its batches.
#pragma once

#include "host/ranks/ranks.h"

namespace patchforge {

struct Sharding {
    int shards = 1;         // of each global batch; 1: it is worked out in one piece
    Ranks* ranks = nullptr; // who share them; null: this process alone

    bool cut() const { return shards > 1; }
    int rank() const { return ranks ? ranks->rank() : 0; }
    int rank_count() const { return ranks ? ranks->size() : 1; }
};

} // namespace patchforge
