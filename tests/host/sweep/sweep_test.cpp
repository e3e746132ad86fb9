// What a sweep makes of its file, and of the files of its runs.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>

#include "host/sweep/sweep_figures.h"
#include "tests/host/temporary_folder.h"

namespace patchforge {
namespace {

std::vector<std::string> commands_of(const std::vector<SweepRun>& runs) {
    std::vector<std::string> found;
    for (const SweepRun& run : runs) {
        for (const auto& words : run.commands) {
            found.push_back(fmt::format("{}", fmt::join(words, "|")));
        }
    }
    return found;
}

TEST(SweepFile, EveryVariantRunsAtEveryPointOfTheGridWithEverySeed) {
    const TemporaryFolder folder;
    put(folder / "a.json", R"({
        // comments are allowed
        "settings": {"steps": 20, "data": "unused"},
        "prepare": {"Judge": "train classifier --data {data}"},
        "commands": ["train gan --data {data} --steps {steps}", "evaluate --run {out} --features {Judge}"],
        "variants": {"plain": "", "Noise, wide": {"--instance-noise": 0.1, "steps": 40, "--conditional": true},
                     "floor": {"commands": "evaluate --generated \"my set\" --out {out}", "seeds": []},
                     "splits": {"commands": "train classifier --split-seed {seed}", "seeds": [7]}},
        "grid": {"--ema": [0, "0.9"]},
        "seeds": [3, 4],
        "figures": {"loss": "metrics.csv g_loss"}})");
    const Sweep sweep = read_sweep({folder / "a.json", "o", {{"data", "the set"}}, {}});
    EXPECT_EQ(commands_of(sweep.preparations),
              std::vector<std::string>{"train|classifier|--data|the set|--out|o/judge"});
    std::vector<std::string> expected;
    const auto gan = [&](const char* steps, const char* options, const char* ema,
                         const std::string& name, int seed) {
        const std::string out = fmt::format("o/{}-ema-{}/{}", name, ema, seed);
        expected.push_back(
            fmt::format("train|gan|--data|the set|--steps|{}{}|--ema|{}|--out|{}|--seed|{}", steps,
                        options, ema, out, seed));
        expected.push_back(fmt::format("evaluate|--run|{}|--features|o/judge", out));
    };
    for (const char* ema : {"0", "0.9"}) {
        for (const int seed : {3, 4}) {
            gan("20", "", ema, "plain", seed);
        }
    }
    for (const char* ema : {"0", "0.9"}) {
        for (const int seed : {3, 4}) {
            gan("40", "|--instance-noise|0.1|--conditional", ema, "noise-wide", seed);
        }
    }
    for (const char* ema : {"0", "0.9"}) {
        expected.push_back(
            fmt::format("evaluate|--generated|my set|--out|o/floor-ema-{}/run|--ema|{}", ema, ema));
    }
    for (const char* ema : {"0", "0.9"}) {
        expected.push_back(fmt::format(
            "train|classifier|--split-seed|7|--ema|{}|--out|o/splits-ema-{}/7", ema, ema));
    }
    EXPECT_EQ(commands_of(sweep.runs), expected);
    EXPECT_EQ(sweep.runs.front().variant, "plain, ema 0");
    EXPECT_EQ(read_sweep({folder / "a.json", "o", {}, {"9"}}).runs.size(), 8u); // one seed each
}

TEST(SweepFile, RefusesWhatItCannotMean) {
    const TemporaryFolder folder;
    const std::string figures = R"(, "figures": {"loss": "metrics.csv g_loss"}})";
    const std::pair<std::string, const char*> files[] = {
        {"{", "a.json"},
        {"[1]", "no object"},
        {R"({"comands": "info")" + figures, "\"comands\" is not known"},
        {R"({"seeds": [1])" + figures, "commands: there is none"},
        {R"({"commands": "info"})", "figures: there is none"},
        {R"({"commands": "info", "figures": {"loss": "metrics.csv"}})", "FILE COLUMN"},
        {R"({"commands": "info", "figures": {"loss": "log.txt g_loss"}})", "log.txt"},
        {R"({"commands": "info", "figures": {"loss": {"file": "a.csv"}}})", "loss: value"},
        {R"({"commands": "info {set}")" + figures, "{set} has no value; give --set set="},
        {R"({"commands": "info {set")" + figures, "has no value"},
        {R"({"commands": "info \"a")" + figures, "quotation mark"},
        {R"({"commands": "info", "grid": {"--lr": 1})" + figures, "grid: --lr"},
        {R"({"commands": "info", "grid": {"--lr": [[1]]})" + figures, "neither text nor a number"},
        {R"({"commands": "info", "variants": {"a b": "", "A-B": ""})" + figures, "A-B: another"},
        {R"({"commands": "info", "seeds": ["../../x"])" + figures, "../../x is no whole number"},
        {R"({"commands": "info", "variants": {"..": ""})" + figures, "no letter or digit"},
        {R"({"commands": "info", "variants": 3)" + figures, "variants: is no list of names"},
    };
    for (const auto& [text, said] : files) {
        put(folder / "a.json", text);
        try {
            read_sweep({folder / "a.json", "o", {}, {}});
            ADD_FAILURE() << text;
        } catch (const std::invalid_argument& error) {
            EXPECT_NE(std::string(error.what()).find("a.json"), std::string::npos) << error.what();
            EXPECT_NE(std::string(error.what()).find(said), std::string::npos) << error.what();
        }
    }
    EXPECT_THROW(read_sweep({folder / "none.json", "o", {}, {}}), std::invalid_argument);
}

TEST(SweepFigures, AreReadFromCsvAndJson) {
    const TemporaryFolder folder;
    put(folder / "m.csv", "step,\"the loss, so far\",score\n1,5,0.25\n2,4,0.75\n3,3,0.5\n");
    put(folder / "n.csv", "a,b\n\"x, y\",1\nz,2\nz,nan\n");
    put(folder / "m.jsonl", "{\"r\":{\"v\":1.5},\"by\":\"one\",\"eps\":0.015686274509803921}\n"
                            "{\"r\":{\"v\":2.5},\"by\":\"two\"}\n{\"r\":{\"v\":3.5},\"step\":4}\n");
    put(folder / "m.json", R"({"list": [{"v": 7}, {"v": -8e-3}]})");
    const auto figure = [&](const char* file, const char* value, const char* of_largest = "",
                            decltype(Figure::where) where = {}) {
        return read_figure({"", file, value, of_largest, std::move(where)}, folder.path());
    };
    EXPECT_EQ(figure("m.csv", "the loss, so far"), 3);
    EXPECT_EQ(figure("m.csv", "the loss, so far", "score"), 4);
    EXPECT_EQ(figure("m.csv", "score", "", {{"step", "1.0"}}), 0.25);
    EXPECT_EQ(figure("m.csv", "absent"), std::nullopt);
    EXPECT_EQ(figure("n.csv", "b", "", {{"a", "x, y"}}), 1);
    EXPECT_EQ(figure("n.csv", "b"), std::nullopt); // no finite number
    EXPECT_EQ(figure("m.jsonl", "r/v"), 3.5);
    EXPECT_EQ(figure("m.jsonl", "r/v", "", {{"step", std::nullopt}}), 2.5);
    EXPECT_EQ(figure("m.jsonl", "r/v", "", {{"eps", "0.0156862745098"}}), 1.5);
    EXPECT_EQ(figure("m.jsonl", "r/v", "", {{"by", "three"}}), std::nullopt);
    EXPECT_EQ(figure("m.json", "list/1/v"), -8e-3);
    EXPECT_EQ(figure("none.json", "v"), std::nullopt);
    put(folder / "m.json", "{");
    EXPECT_THROW(figure("m.json", "v"), std::runtime_error);
}

TEST(SweepFigures, SpreadIsThatOfASample) {
    const double values[] = {1, 2, 6};
    const Spread spread = spread_of(values);
    EXPECT_EQ(spread.count, 3);
    EXPECT_TRUE(std::abs(spread.mean - 3) <= 1e-12);
    EXPECT_TRUE(std::abs(spread.deviation - std::sqrt(7.0)) <= 1e-12); // (4 + 1 + 9) / 2
    EXPECT_EQ(spread_of({}).count, 0);
    EXPECT_EQ(spread_of(std::span(values, 1)).deviation, 0);
    // The standard error of the difference of two such means is sqrt(7 / 3 + 7 / 3) = 2.160.
    EXPECT_TRUE(differ(spread, {3, 3 + 4.33, std::sqrt(7.0)}));
    EXPECT_FALSE(differ(spread, {3, 3 + 4.31, std::sqrt(7.0)}));
    EXPECT_FALSE(differ(spread, {1, 100, 0}));
}

// Three runs of which two collapsed: no difference of means shows it (21.2 ± 17.8 beside 2.20).
TEST(SweepFigures, CollapsedRunsAreCounted) {
    const double plain[] = {1.9, 2.2, 2.5}, some[] = {2.1, 29.0, 33.0}, negative[] = {-1, 2};
    EXPECT_FALSE(differ(spread_of(some), spread_of(plain)));
    EXPECT_EQ(far_outside(some, plain), 2);
    EXPECT_EQ(far_outside(plain, plain), 0);
    const double low[] = {0.0, 0.64, 7.5};
    EXPECT_EQ(far_outside(low, plain), 1); // 7.5 is three times the largest, and not above
    EXPECT_EQ(far_outside(some, negative), 0);
    EXPECT_EQ(far_outside(some, std::span(plain, 1)), 0);
}

TEST(SweepFigures, TablesHoldEveryRunAndEveryVariant) {
    const SweepRun runs[] = {{"a", "0", "", {}, "--x 1"},
                             {"a", "1", "", {}, "--x 1"},
                             {"b", "0", "", {}, ""},
                             {"b", "1", "", {}, ""}};
    Sweep sweep;
    sweep.title = "T";
    sweep.figures = {{"loss", "", "", "", {}}, {"recall", "", "", "", {}}};
    const SweepOutcome outcomes[] = {{&runs[0], "", 1.5, {0.0123, 250.0}},
                                     {&runs[1], "", 1.5, {0.0125, 350.0}},
                                     {&runs[2], "", 0, {2.0, std::nullopt}},
                                     {&runs[3], "it \"broke\"", 0, {{}, {}}}};
    EXPECT_EQ(sweep_csv(sweep, outcomes), "variant,seed,state,seconds,\"loss\",\"recall\"\n"
                                          "\"a\",0,\"finished\",1.500,0.0123,250\n"
                                          "\"a\",1,\"finished\",1.500,0.0125,350\n"
                                          "\"b\",0,\"finished\",0.000,2,\n"
                                          "\"b\",1,\"it 'broke'\",0.000,,\n");
    const std::string page = sweep_page(sweep, outcomes, "V");
    EXPECT_EQ(page.substr(page.find("\n| run")),
              "\n| run | options | n | loss | recall |\n|---|---|--:|--:|--:|\n"
              "| a | `--x 1` | 2 | 0.0124 ± 0.0001 | 300 ± 71 |\n"
              "| b |  | 1 of 2 | 2.00 ‡1 | – |\n");
}

// The text of a network would make a cell that nobody can read.
TEST(SweepFigures, LongOptionsStandBelowTheTable) {
    const std::string text = "--network '3x50x50; " + std::string(200, 'c') + "'";
    const SweepRun runs[] = {{"a", "0", "", {}, "--x 1"}, {"own", "0", "", {}, text}};
    Sweep sweep;
    sweep.figures = {{"loss", "", "", "", {}}};
    const SweepOutcome outcomes[] = {{&runs[0], "", 1, {1.0}}, {&runs[1], "", 1, {2.0}}};
    const std::string page = sweep_page(sweep, outcomes, "V");
    EXPECT_EQ(page.substr(page.find("\n| a")), "\n| a | `--x 1` | 1 | 1.00 |\n"
                                               "| own | below | 1 | 2.00 |\n\n"
                                               "Options that are too long for the table:\n\n"
                                               "- own: `" +
                                                   text + "`\n");
}

} // namespace
} // namespace patchforge
