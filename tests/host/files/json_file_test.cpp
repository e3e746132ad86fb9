#include "host/files/json_file.h"

#include <gtest/gtest.h>

#include <sys/stat.h>

#include <cmath>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>

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

// Read and printed as the library's own values are, which keep the order of names, too.
TEST(Json, IsReadAndPrintedAsTheLibraryDoes) {
    for (const char* text :
         {"null", "[]", "{}", "-0", R"([{}, [], [[]], {"": {}}])",
          R"({"b": [1, -2, 18446744073709551615, -9223372036854775808, 9223372036854775808],
              "a": [0.1, -1e-7, 1e300, 5e-324, 3.0, 123456789012345678901234567890, 1E2],
              "text": "\u00e9\n\"\\ \u0001 \ud83d\ude00", "c": {"d": [true, false, null]}})"}) {
        const auto expected = nlohmann::ordered_json::parse(text);
        for (const int indent : {-1, 0, 1, 2}) {
            EXPECT_EQ(Json::parse(text).dump(indent), expected.dump(indent)) << text;
        }
    }
}

TEST(Json, IsMadeOfValues) {
    Json made{{"name", "a\xFF"}, {"nan", std::nan("")}, {"list", std::vector<int>{1, 2}}};
    made["absent"] = std::optional<double>();
    made["present"] = std::optional<bool>(true);
    made["of"]["class"] = 0.5F;
    made["rows"].push_back({{"big", std::numeric_limits<std::uint64_t>::max()}});
    made["rows"].back()["map"] = std::map<std::string, std::int64_t>{{"x", -1}};
    made.erase("nan");
    EXPECT_EQ(made.dump(), "{\"name\":\"a\uFFFD\",\"list\":[1,2],\"absent\":null,\"present\":true,"
                           "\"of\":{\"class\":0.5},"
                           "\"rows\":[{\"big\":18446744073709551615,\"map\":{\"x\":-1}}]}");
    EXPECT_EQ(Json(std::numeric_limits<double>::infinity()).dump(), "null");
}

TEST(Json, AValueIsTakenForNoOther) {
    const Json value = Json::parse(R"({"number": 1.5, "text": "1", "below": -1, "list": [1]})");
    EXPECT_THROW(value.at("absent"), JsonError);
    EXPECT_THROW(value.at("number").integer(), JsonError);
    EXPECT_THROW(value.at("text").number(), JsonError);
    EXPECT_THROW(value.at("below").natural(), JsonError);
    EXPECT_THROW(value.at("list").members(), JsonError);
    EXPECT_THROW(value.at("list").strings(), JsonError);
    EXPECT_THROW(value.at("text").at("name"), JsonError);
    EXPECT_THROW(Json(std::numeric_limits<std::uint64_t>::max()).integer(), JsonError);
    EXPECT_EQ(value.at("below").number(), -1);
    EXPECT_EQ(value.find("absent"), nullptr);
    EXPECT_EQ(value.value("absent", "other").string(), "other");
    EXPECT_EQ(Json::parse(std::string(64, '[') + std::string(64, ']')).size(), 1);
    EXPECT_THROW(Json::parse(std::string(65, '[') + std::string(65, ']')), JsonError);
}

TEST(Json, FaultsOfTextAreSaidInWords) {
    const auto fault = [](const char* text) -> std::string {
        try {
            Json::parse(text);
        } catch (const JsonError& error) {
            return error.what();
        }
        return "";
    };
    EXPECT_EQ(fault("{{").rfind("parse error at line 1, column 2: ", 0), 0u) << fault("{{");
    EXPECT_EQ(fault("[1e999]").find("json.exception"), std::string::npos) << fault("[1e999]");
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
    for (const std::string& text :
         {std::string("{"), std::string("{\"a\": }"), std::string(100000, '['), std::string("\xFF"),
          std::string("{\"a\": {\"b\": 1, \"c\": 2, \"b\": 3}}")}) {
        put(path, text);
        EXPECT_TRUE(fault_of_call([&] { read_json(path); }).starts_with(path.string() + ": "));
    }
    put(path, "{\"a\": 1} // told");
    EXPECT_EQ(read_json(path, true).at("a").integer(), 1);
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
