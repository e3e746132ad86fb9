// `plan` as `make plan` runs it, and where bytes cannot be counted.
#include <gtest/gtest.h>

#include <fstream>

#include "host/files/json.h"
#include "tests/host/end_to_end/program.h"

namespace patchforge {
namespace {

using testing::Outcome;
using testing::run_program;
using testing::ScratchFolder;

const std::vector<std::string> small_plan = {"plan", "--batch-size",  "3",    "--size",
                                             "10",   "--hidden-dims", "16,8", "--latent-dim",
                                             "8",    "--json",        ""};

TEST(Plan, CountsBytesWhereKernelsReportThem) {
    const ScratchFolder folder("plan");
    std::vector<std::string> call = small_plan;
    call.back() = folder / "plan.json";
    for (const bool counted : {true, false}) {
        SCOPED_TRACE(counted);
        const Outcome outcome =
            run_program(counted ? "patchforge-checked" : "patchforge-simt", call);
        ASSERT_EQ(outcome.status, 0) << outcome.output;
        EXPECT_EQ(outcome.output.find("not counted") == std::string::npos, counted);
        const auto plan = Json::parse(testing::bytes_of_file(call.back()));
        EXPECT_EQ(plan.at("counted_bytes").is_null(), !counted);
        EXPECT_EQ(plan.at("nodes").natural(), plan.at("kernels").size());
        if (counted) {
            const double declared = plan.at("bytes").number();
            EXPECT_NEAR(plan.at("counted_bytes").number(), declared, 0.02 * declared);
        }
    }
    call.push_back("--declared");
    EXPECT_NE(run_program("patchforge-checked", call).output.find("not counted"),
              std::string::npos);
}

TEST(Plan, NeedsTheLaunchDecisionsOfTheCudaBackend) {
    const ScratchFolder folder("plan_cpu");
    std::vector<std::string> call = small_plan;
    call.back() = folder / "plan.json";
    const Outcome outcome = run_program("patchforge-cpu", call);
    EXPECT_EQ(outcome.status, 1);
    EXPECT_NE(outcome.output.find("use `make plan`"), std::string::npos) << outcome.output;
    EXPECT_FALSE(std::filesystem::exists(call.back()));
}

// Before anything is loaded: what the other options name need not be there.
TEST(NamedFile, OfSomebodyElseStays) {
    const ScratchFolder folder("named");
    const std::string file = folder / "notes.txt", gan = folder / "gan", set = folder / "set";
    const std::vector<std::vector<std::string>> calls = {
        {"plan", "--json", file},
        {"study", "--run", gan, "--data", set, "--out", file},
        {"latent", "interpolate", "--run", gan, "--out", file},
        {"latent", "interpolate", "--run", gan, "--out", folder / "a.png", "--save-codes", file}};
    std::ofstream(file) << "mine";
    for (const std::vector<std::string>& call : calls) {
        const Outcome outcome = run_program("patchforge-cpu", call);
        EXPECT_EQ(outcome.status, 2) << outcome.output;
        EXPECT_NE(outcome.output.find(file + ": holds something that patchforge did not write"),
                  std::string::npos)
            << outcome.output;
        EXPECT_EQ(testing::bytes_of_file(file), "mine");
    }
}

} // namespace
} // namespace patchforge
