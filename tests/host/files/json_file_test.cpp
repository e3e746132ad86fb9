#include "host/files/json_file.h"

#include <gtest/gtest.h>

#include <sys/stat.h>

#include "host/evaluate/metric_lines.h"
#include "host/run/timing_file.h"
#include "host/study/study_score.h"
#include "host/sweep/sweep_figures.h"
#include "tests/host/temporary_folder.h"

namespace patchforge {
namespace {

template <class Call>
std::string fault_of_call(Call call) {
    try {
        call();
    } catch (const std::runtime_error& error) {
        return error.what();
    }
    return "";
}

// A named pipe would wait for its writer.
TEST(JsonFile, OnlyRegularFilesAreRead) {
    const TemporaryFolder folder;
    const auto pipe = folder / "pipe.json";
    ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
    for (const auto& path : {pipe, folder.path(), folder / "absent.json"}) {
        EXPECT_TRUE(fault_of_call([&] { read_json(path); }).starts_with(path.string())) << path;
    }
    ASSERT_EQ(::mkfifo((folder / "metric-frechet_distance.jsonl").c_str(), 0600), 0);
    EXPECT_NE(fault_of_call([&] { read_metric_steps(folder.path(), "frechet_distance"); }), "");
}

TEST(JsonFile, ErrorsBeginWithTheFile) {
    const TemporaryFolder folder;
    const auto path = folder / "a.json";
    for (const std::string& text : {std::string("{"), std::string("{\"a\": }"),
                                    std::string(100000, '['), std::string("\xFF")}) {
        put(path, text);
        EXPECT_TRUE(fault_of_call([&] { read_json(path); }).starts_with(path.string() + ": "));
    }
    put(path, "{\"a\": 1} // told");
    EXPECT_EQ(read_json(path, true).at("a"), 1);
    EXPECT_NE(fault_of_call([&] { read_json(path); }), "");
}

// Where a number is due stands an object, and other ways to be wrong.
TEST(JsonFile, ValuesOfAnotherTypeAreNamed) {
    const TemporaryFolder folder;
    const auto path = folder / "metric-frechet_distance.jsonl";
    for (const char* line :
         {R"({"step": 1, "total_time": {}})", R"({"step": 1, "extractor": 7})",
          R"({"step": 1, "n_generated": "many"})", R"({"step": 1, "timestamp": []})"}) {
        put(path, std::string(line) + "\n");
        EXPECT_TRUE(fault_of_call([&] {
                        read_metric_steps(folder.path(), "frechet_distance");
                    }).starts_with(path.string()))
            << line;
    }
    const auto timing = folder / "timing.json";
    for (const char* text : {"{}", "[]", "7", R"({"training_seconds": {}, "steps": 1})"}) {
        put(timing, text);
        EXPECT_TRUE(
            fault_of_call([&] { read_timing(folder.path()); }).starts_with(timing.string()));
    }
    for (const char* text :
         {"[]", "7", R"({"format": "patchforge-study", "title": 1})",
          R"({"format": "patchforge-study", "title": "", "rater": "", "trials": [1]})"}) {
        EXPECT_TRUE(fault_of_call([&] { score_study(text, "r.json"); }).starts_with("r.json: "));
    }
    Figure figure;
    figure.value = "a";
    figure.file = "number.json"; // a bare number has no name
    put(folder / figure.file, "7");
    EXPECT_EQ(read_figure(figure, folder.path()), std::nullopt);
}

TEST(JsonFile, AnUnfinishedLastLineIsLeftOut) {
    const TemporaryFolder folder;
    put(folder / "a.jsonl", "{}\n[]\n{\"half");
    EXPECT_EQ(whole_lines(folder / "a.jsonl"), (std::vector<std::string>{"{}", "[]"}));
    EXPECT_TRUE(whole_lines(folder / "absent").empty());
}

} // namespace
} // namespace patchforge
