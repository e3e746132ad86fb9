// A short run of what `make fuzz` does at length, under the same sanitizers.
#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>

#include "tests/fuzz/data_targets.h"
#include "tests/fuzz/host_targets.h"

namespace patchforge {
namespace {

TEST(Fuzz, ReadersRefuseDamageInOrder) {
    std::vector<FuzzTarget> targets = data_fuzz_targets();
    std::ranges::move(host_fuzz_targets(), std::back_inserter(targets));
    for (const FuzzTarget& target : targets) {
        for (const FuzzBytes& sound : target.corpus) {
            EXPECT_NO_THROW(target.read(sound)) << target.name;
        }
        const FuzzResult result = run_fuzz(target, 3000, 20, "/dev/null");
        EXPECT_EQ(result.defect, "");
        // Inputs of both kinds, or the mutator is too tame or too wild to find anything.
        EXPECT_GT(result.accepted, 5) << target.name;
        EXPECT_GT(result.refused, target.takes_most ? -1 : 1000) << target.name;
    }
}

} // namespace
} // namespace patchforge
