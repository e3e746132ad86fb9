#include "host/model/network_tables.h"

#include <gtest/gtest.h>

#include <limits>

#include "host/files/safetensors.h"
#include "tests/host/temporary_folder.h"

namespace patchforge {
namespace {

// A run that diverged has a report, too: what its networks are does not depend on their numbers.
TEST(NetworkTables, AreOfWeightsThatAreNotFiniteToo) {
    const TemporaryFolder folder;
    const std::filesystem::path checkpoint = folder / "checkpoints/step_3";
    std::filesystem::create_directories(checkpoint);
    const float weight[] = {1, std::numeric_limits<float>::quiet_NaN()};
    write_safetensors(checkpoint / "discriminator.safetensors",
                      {make_f32("0.weight", {1, 2}, weight)}, {{"network", "2>1 @0"}});
    ASSERT_THROW(read_safetensors(checkpoint / "discriminator.safetensors"), std::runtime_error);
    Report report("");
    add_network_tables(report, folder / "");
    EXPECT_NE(report.html().find("discriminator: reads 2 numbers"), std::string::npos);
    EXPECT_NE(report.html().find("2&gt;1 identity"), std::string::npos);
}

} // namespace
} // namespace patchforge
