#include "host/evaluate/evaluate.h"

#include "host/distance/frechet_distance.h"
#include "host/files/json.h"
#include "host/numerics/parallel.h"
#include "tests/host/distance/feature_matrices.h"
#include "tests/host/temporary_folder.h"

#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <set>
#include <stdexcept>

namespace patchforge {
namespace {

EvaluateOptions small_options(int threads) {
    return {.extractor = {"own256", "fnv1a64:0123456789abcdef"},
            .threads = threads,
            .kernel_subsets = 5,
            .kernel_subset_size = 50,
            .directions = 40};
}

TEST(Evaluate, GivesEveryMeasureTheSameOnAnyNumberOfThreads) {
    const Features reference = normal_rows(300, 24, 61), generated = normal_rows(257, 24, 62, 1.2);
    const auto one = evaluate_features(reference, generated, small_options(1));
    const auto three = evaluate_features(reference, generated, small_options(3));
    ASSERT_EQ(one.size(), 5u);
    ASSERT_EQ(three.size(), 5u);
    std::set<std::string> names;
    for (std::size_t i = 0; i < one.size(); ++i) {
        EXPECT_EQ(one[i].results, three[i].results) << one[i].metric;
        EXPECT_EQ(one[i].n_generated, 257);
        EXPECT_EQ(one[i].n_reference, 300);
        names.insert(one[i].metric);
        for (const auto& [name, value] : one[i].results) {
            EXPECT_TRUE(std::isfinite(value)) << name;
        }
    }
    EXPECT_EQ(names.size(), 5u);
    EXPECT_EQ(one[0].results[0].second, frechet_distance(reference, generated));
}

TEST(Evaluate, LeavesOutWhatTooFewImagesCannotTell) {
    const auto lines =
        evaluate_features(normal_rows(3, 4, 63), normal_rows(2, 4, 64), small_options(1));
    for (const MetricResult& line : lines) {
        EXPECT_NE(line.metric, "precision_recall");
        EXPECT_NE(line.metric, "density_coverage");
    }
    EXPECT_EQ(lines.size(), 3u);
}

TEST(Evaluate, HalvesShareNoRow) {
    const Features features = filled(101, 1, [](auto i, auto) { return i; });
    const Halves halves = split_in_halves(features, 7);
    std::set<float> seen(halves.first.values.begin(), halves.first.values.end());
    seen.insert(halves.second.values.begin(), halves.second.values.end());
    EXPECT_EQ(halves.first.count, 50);
    EXPECT_EQ(halves.second.count, 50);
    EXPECT_EQ(seen.size(), 100u);
}

TEST(Evaluate, NoiseFillsItsRange) {
    const Features noise = noise_images(40, 50, 8);
    const auto [low, high] = std::minmax_element(noise.values.begin(), noise.values.end());
    EXPECT_TRUE(*low >= -1 && *low < -.99);
    EXPECT_TRUE(*high <= 1 && *high > .99);
}

TEST(MetricLines, AreJsonInAFixedOrder) {
    const MetricResult result{"frechet_distance",
                              {{"frechet_distance", 12.5}, {"other", NAN}},
                              1.25,
                              {"own\"256", "fnv1a64:00"},
                              100,
                              200,
                              2020,
                              "2024-05-06T07:08:09Z"};
    EXPECT_EQ(metric_line(result),
              R"({"results":{"frechet_distance":12.5,"other":null},"metric":"frechet_distance",)"
              R"("total_time":1.25,"extractor":{"name":"own\"256","hash":"fnv1a64:00"},)"
              R"("n_generated":100,"n_reference":200,"seed":2020,)"
              R"("timestamp":"2024-05-06T07:08:09Z"})");
}

TEST(MetricLines, AreAppended) {
    const auto folder = std::filesystem::path(testing::TempDir()) / "metric_lines" / "run";
    std::filesystem::remove_all(folder.parent_path());
    MetricResult result{"kernel_distance", {{"kernel_distance_mean", .5}}, 0, {}, 1, 2, 3,
                        utc_now()};
    append_metric_line(folder, result);
    result.seed = 4;
    append_metric_line(folder, result);
    std::ifstream file(folder / "metric-kernel_distance.jsonl");
    std::vector<std::uint64_t> seeds;
    for (std::string line; std::getline(file, line);) {
        seeds.push_back(Json::parse(line).at("seed").natural());
    }
    EXPECT_EQ(seeds, (std::vector<std::uint64_t>{3, 4}));
    EXPECT_THROW(append_metric_line(folder / "metric-kernel_distance.jsonl", result),
                 std::exception);
    std::filesystem::remove_all(folder.parent_path());
}

TEST(MetricLines, SayWhatElseThereIsToSay) {
    MetricResult result{.metric = "kernel_distance", .results = {{"k", .5}}};
    EXPECT_EQ(metric_file(result), "metric-kernel_distance.jsonl");
    for (const char* key : {"generated", "step", "compared", "class"}) {
        EXPECT_FALSE(Json::parse(metric_line(result)).contains(key)) << key;
    }
    result.generated = "runs/gan";
    result.step = 0;
    auto line = Json::parse(metric_line(result));
    EXPECT_EQ(line.at("generated").string(), "runs/gan");
    EXPECT_EQ(line.at("step").integer(), 0);
    result.compared = "noise";
    EXPECT_EQ(Json::parse(metric_line(result)).at("compared").string(), "noise");
    EXPECT_EQ(metric_file(result), "metric-kernel_distance-compared.jsonl");
    result.compared.clear();
    result.of_class = "no cancer";
    EXPECT_EQ(Json::parse(metric_line(result)).at("class").string(), "no cancer");
    EXPECT_EQ(metric_file(result), "metric-kernel_distance-classes.jsonl");
}

TEST(MetricLines, StepsComeBackAndAreForgottenAfterALastOne) {
    const TemporaryFolder folder;
    EXPECT_TRUE(read_metric_steps(folder.path(), "frechet_distance").empty());
    drop_metric_steps(folder.path(), "frechet_distance", 0); // no file: nothing to do
    MetricResult result{.metric = "frechet_distance",
                        .extractor = {"own8", "abcd"},
                        .n_generated = 30,
                        .n_reference = 40,
                        .seed = 2020,
                        .timestamp = utc_now()};
    for (const std::int64_t step : {100, 200, 300}) {
        result.step = step;
        result.results = {{"frechet_distance", 1.0 / static_cast<double>(step)}, {"other", NAN}};
        append_metric_line(folder.path(), result);
        if (step == 200) { // somebody evaluates the run meanwhile
            result.step.reset();
            append_metric_line(folder.path(), result);
        }
    }
    const auto path = folder / "metric-frechet_distance.jsonl";
    std::ofstream(path, std::ios::app) << R"({"results":{"frechet_distance":0.5},"step":150)";
    const auto steps = read_metric_steps(folder.path(), "frechet_distance");
    ASSERT_EQ(steps.size(), 3u);
    EXPECT_EQ(steps[1].step, 200);
    EXPECT_EQ(steps[1].results[0].second, 1.0 / 200);
    EXPECT_TRUE(std::isnan(steps[1].results[1].second));
    EXPECT_EQ(steps[1].extractor.name, "own8");
    EXPECT_EQ(steps[1].extractor.hash, "abcd");
    EXPECT_EQ(steps[1].n_generated, 30);
    EXPECT_EQ(steps[1].n_reference, 40);

    const std::string before = contents(path);
    drop_metric_steps(folder.path(), "frechet_distance", 200);
    const std::string after = contents(path);
    // The first three lines as they were: two steps and the evaluation; no torn one.
    EXPECT_EQ(std::count(after.begin(), after.end(), '\n'), 3);
    EXPECT_TRUE(before.starts_with(after));
    EXPECT_EQ(after.find("\"step\":300"), std::string::npos);
}

TEST(ContentHash, IsFnv1a) {
    const std::string text = "foobar";
    EXPECT_EQ(content_hash(std::as_bytes(std::span(text))), "fnv1a64:85944171f73967e8");
}

TEST(PhiloxSequence, MatchesThePublishedGenerator) {
    // Known answers of Philox4x32-10, key and counter zero: 6627e8d5 e169c58d bc57ac4c 9b00dbd8.
    PhiloxSequence random(0);
    EXPECT_EQ(random.bits(), 0xe169c58d6627e8d5u);
    EXPECT_EQ(random.bits(), 0x9b00dbd8bc57ac4cu);
    EXPECT_THROW(random.sample(3, 4), std::invalid_argument);
    const auto permutation = random.sample(100, 100);
    EXPECT_EQ(std::set<std::int64_t>(permutation.begin(), permutation.end()).size(), 100u);
}

TEST(Parallel, CallsEachPieceOnceAndPassesOnErrors) {
    std::vector<std::atomic<int>> calls(1000);
    for_each_parallel(1000, 5, [&](std::int64_t i) { ++calls[i]; });
    for (const auto& count : calls) {
        EXPECT_EQ(count, 1);
    }
    EXPECT_THROW(for_each_parallel(
                     100, 3, [](std::int64_t) { throw std::runtime_error("piece: broken; mend"); }),
                 std::runtime_error);
}

} // namespace
} // namespace patchforge
