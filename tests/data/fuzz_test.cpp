// A short run of what `make fuzz` does at length and under sanitizers.
#include "tests/fuzz/data_targets.h"

#include <gtest/gtest.h>

namespace patchforge {
namespace {

TEST(Fuzz, ReadersOfDataFilesRefuseDamageInOrder) {
    for (const FuzzTarget& target : data_fuzz_targets()) {
        for (const FuzzBytes& sound : target.corpus) {
            EXPECT_NO_THROW(target.read(sound)) << target.name;
        }
        const FuzzResult result = run_fuzz(target, 3000, 20, "/dev/null");
        EXPECT_EQ(result.defect, "");
        // Inputs of both kinds, or the mutator is too tame or too wild to find anything.
        EXPECT_GT(result.accepted, 20) << target.name;
        EXPECT_GT(result.refused, 1000) << target.name;
    }
}

} // namespace
} // namespace patchforge
