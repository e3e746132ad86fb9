// What a description of options refuses, sets, records and shows.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "host/options/option_table.h"
#include "host/options/options.h"

namespace patchforge {
namespace {

enum class Colour { red, green };
const Choices<Colour> colours = {{"red", Colour::red}, {"green", Colour::green}};

struct Settings {
    std::int64_t steps = 10;
    int threads = 0;
    std::uint64_t seed = 0;
    double rate = 0.5, rate_g = 0.5;
    double epsilon = 8.0 / 255;
    std::vector<double> epsilons = {0, 0.25};
    bool strict = false;
    Colour colour = Colour::red;
    std::string name;
    std::filesystem::path out;
    std::vector<std::string> methods = {"pgd"};
    std::vector<std::int64_t> widths = {256, 256};
    std::string folder;
    std::vector<std::string> pictures;
};

void describe(Options& options, Settings& s) {
    options.argument("folder", s.folder, "to read");
    options.arguments("pictures", s.pictures, "to look at");
    options.group("Numbers");
    options.number("steps", s.steps, {1, 100}, "how many").changeable();
    options.number("threads", s.threads, {0, 8}, "at once").unrecorded();
    options.number("seed", s.seed, any_seed, "of everything");
    options
        .custom(
            "rates", "N", "both rates",
            [&s](const std::string& text) { s.rate = s.rate_g = parse_fraction("--rates", text); },
            {})
        .beside("steps");
    options.number("lr_d", s.rate, {0, 1}, "rate");
    options.number("lr_g", s.rate_g, {0, 1}, "the other | rate");
    options.fraction("eps", s.epsilon, {0, 1}, "budget");
    options.fractions("epsilons", s.epsilons, {0, 1}, "budgets");
    options.group("Others");
    options.toggle("strict", s.strict, "no mercy");
    options.choice("colour", s.colour, colours, "of the shed");
    options.text("name", s.name, "NAME", "of the run");
    options.path("out", s.out, "FOLDER", "for results").must_be_given();
    options.list("methods", s.methods, "LIST", "in this order");
    options.widths("hidden_dims", s.widths, "of layers");
    options.only_one_of({"name", "methods", "colour"});
}

struct Described {
    Settings settings;
    Options options;

    Described() { describe(options, settings); }
    void set(const std::string& name, const std::string& text) {
        options.apply(Given{{name, {text}}});
    }
    // What it says against a text; empty: it takes it.
    std::string complaint(const std::string& name, const std::string& text) {
        try {
            set(name, text);
            return "";
        } catch (const std::invalid_argument& error) {
            return error.what();
        }
    }
};

template <class F>
std::string complaint_of(F call) {
    try {
        call();
        return "";
    } catch (const std::invalid_argument& error) {
        return error.what();
    }
}

TEST(Options, NumbersLieInTheirRange) {
    Described one;
    EXPECT_EQ(one.complaint("steps", "0"), "--steps 0: out of range; give a number from 1 to 100");
    EXPECT_EQ(one.complaint("steps", "101"),
              "--steps 101: out of range; give a number from 1 to 100");
    for (const char* wrong :
         {"", "x", "3x", "1.5", " 3", "3 ", "0x3", "1e2", "99999999999999999999", "nan"}) {
        EXPECT_EQ(one.complaint("steps", wrong),
                  "--steps: '" + std::string(wrong) +
                      "' is not a whole number that fits; give one from 1 to 100");
    }
    for (const char* wrong : {"-0.1", "1.0001", "inf", "nan"}) {
        EXPECT_NE(one.complaint("lr_d", wrong).find("out of range"), std::string::npos) << wrong;
    }
    EXPECT_NE(one.complaint("lr_d", "1,5").find("--lr-d: '1,5' is not a number"),
              std::string::npos);
    EXPECT_EQ(one.settings.steps, 10) << "what was refused changed something";
    EXPECT_EQ(one.settings.rate, 0.5);
    for (const char* right : {"1", "+7", "100"}) {
        EXPECT_EQ(one.complaint("steps", right), "");
    }
    EXPECT_EQ(one.settings.steps, 100);
    EXPECT_EQ(one.complaint("lr_d", "1e-3"), "");
    EXPECT_EQ(one.settings.rate, 1e-3);
    EXPECT_NE(one.complaint("seed", "-1"), "");
    EXPECT_EQ(one.complaint("seed", "18446744073709551615"), "");
    EXPECT_EQ(one.settings.seed, std::numeric_limits<std::uint64_t>::max());
    EXPECT_NE(one.complaint("seed", "18446744073709551616"), "");
}

TEST(Options, Fractions) {
    EXPECT_EQ(parse_fraction("--eps", "8/255"), 8.0 / 255);
    EXPECT_EQ(parse_fraction("--eps", "0.03"), 0.03);
    EXPECT_EQ(parse_fractions("--eps", "0,1/2,1e-3"), (std::vector<double>{0, 0.5, 1e-3}));
    for (const char* wrong : {"", "x", "1/0", "8/", "/8", "1/2/3", "nan", "inf", "1 ", " 1", "0x10",
                              "-1/-255", "1/-255"}) {
        EXPECT_THROW(parse_fraction("--eps", wrong), std::invalid_argument) << wrong;
    }
    EXPECT_THROW(parse_fractions("--eps", "1,,2"), std::invalid_argument);
    EXPECT_THROW(parse_fractions("--eps", "1,"), std::invalid_argument);

    Described one;
    EXPECT_EQ(one.complaint("eps", "256/255"),
              "--eps 256/255: out of range; give a number from 0 to 1");
    EXPECT_EQ(one.complaint("eps", "4/255"), "");
    EXPECT_EQ(one.settings.epsilon, 4.0 / 255);
    EXPECT_EQ(one.complaint("epsilons", "0,2"),
              "--epsilons 2: out of range; give a number from 0 to 1");
    EXPECT_EQ(one.complaint("epsilons", "0,1/2,1"), "");
    EXPECT_EQ(one.settings.epsilons, (std::vector<double>{0, 0.5, 1}));
}

TEST(Options, ChoicesTogglesAndTexts) {
    Described one;
    EXPECT_EQ(one.complaint("colour", "blue"),
              "--colour: 'blue' is not known; use one of red, green");
    EXPECT_EQ(one.complaint("colour", "green"), "");
    EXPECT_EQ(one.settings.colour, Colour::green);
    EXPECT_EQ(one.complaint("strict", "maybe"), "--strict: 'maybe' is neither true nor false");
    EXPECT_EQ(one.complaint("strict", "true"), "");
    EXPECT_TRUE(one.settings.strict);
    EXPECT_EQ(one.complaint("strict", "false"), "");
    EXPECT_FALSE(one.settings.strict);
    for (const char* name : {"name", "out", "methods"}) {
        EXPECT_NE(one.complaint(name, "").find("is empty"), std::string::npos) << name;
    }
    EXPECT_NE(one.complaint("folder", "").find("folder '': is empty"), std::string::npos);
    EXPECT_NE(one.complaint("methods", "fgsm,,pgd").find("an entry is empty"), std::string::npos);
    EXPECT_EQ(one.complaint("methods", "fgsm,pgd"), "");
    EXPECT_EQ(one.settings.methods, (std::vector<std::string>{"fgsm", "pgd"}));
    one.options.apply(Given{{"pictures", {"a.png", "b,c.png"}}});
    EXPECT_EQ(one.settings.pictures, (std::vector<std::string>{"a.png", "b,c.png"}));
}

TEST(Options, Widths) {
    EXPECT_EQ(parse_widths("--dims", "1,65536"), (std::vector<std::int64_t>{1, 65536}));
    std::string sixteen = "2";
    for (int i = 1; i < 16; ++i) {
        sixteen += ",2";
    }
    EXPECT_EQ(parse_widths("--dims", sixteen).size(), 16u);
    for (const std::string& wrong : {std::string("0"), std::string("65537"), sixteen + ",2",
                                     std::string("-3,4"), std::string("256,0")}) {
        EXPECT_NE(complaint_of([&] {
                      parse_widths("--dims", wrong);
                  }).find("--dims " + wrong + ": out of range"),
                  std::string::npos)
            << wrong;
    }
    for (const char* wrong : {"", "256,", "256;256", "2.5", "256, 256"}) {
        EXPECT_NE(complaint_of([&] { parse_widths("--dims", wrong); }).find("not a list of widths"),
                  std::string::npos)
            << wrong;
    }
}

TEST(Options, AreSetInTheOrderOfDescription) {
    Described one;
    // By name lr_g comes first; set in that order it would be lost.
    one.options.apply(Given{{"lr_g", {"0.25"}}, {"rates", {"0.125"}}});
    EXPECT_EQ(one.settings.rate, 0.125);
    EXPECT_EQ(one.settings.rate_g, 0.25);
    EXPECT_EQ(complaint_of([&] {
                  one.options.apply(Given{{"lr_x", {"1"}}, {"steps", {"50"}}});
              }),
              "--lr-x: there is no such option");
    EXPECT_EQ(one.settings.steps, 10);
    EXPECT_THROW(one.options.toggle("strict", one.settings.strict, "again"), std::logic_error);
}

TEST(Options, PresetsAreSettingsLikeOthers) {
    Described one;
    one.set("steps", "99");
    one.options.apply(Preset{"small", {{"steps", "5"}, {"rates", "0.5"}, {"lr_d", "0.75"}}});
    EXPECT_EQ(one.settings.steps, 5);
    EXPECT_EQ(one.settings.rate, 0.75);
    EXPECT_EQ(one.settings.rate_g, 0.5);
    EXPECT_NE(complaint_of([&] { one.options.apply(Preset{"bad", {{"steps", "0"}}}); }), "");
    EXPECT_NE(complaint_of([&] { one.options.apply(Preset{"bad", {{"stepz", "1"}}}); }), "");
}

TEST(Options, Contradictions) {
    const Described one;
    const auto complaint = [&](const Given& given, const Given& beside = {}) {
        return complaint_of([&] { one.options.refuse_contradictions(given, beside); });
    };
    EXPECT_EQ(complaint({{"name", {"a"}}, {"methods", {"b"}}}),
              "--methods excludes --name; give one of them");
    EXPECT_EQ(complaint({{"colour", {"red"}}, {"methods", {"b"}}}),
              "--colour excludes --methods; give one of them");
    EXPECT_EQ(complaint({{"rates", {"1"}}}), "--rates requires --steps; give both, or neither");
    EXPECT_EQ(complaint({{"rates", {"1"}}, {"steps", {"1"}}}), "");
    EXPECT_EQ(complaint({{"rates", {"1"}}}, {{"steps", {"1"}}}), "");
    EXPECT_EQ(complaint({{"steps", {"1"}}, {"name", {"a"}}}), "");

    Given weaker = {{"name", {"a"}}, {"colour", {"red"}}, {"steps", {"1"}}};
    one.options.give_way(weaker, {{"colour", {"green"}}, {"steps", {"2"}}});
    EXPECT_EQ(weaker, (Given{{"colour", {"red"}}, {"steps", {"1"}}}));
}

TEST(Options, RecordTheirTypes) {
    Described one;
    one.options.apply(Given{{"seed", {"18446744073709551615"}},
                            {"out", {"runs/1"}},
                            {"eps", {"1/3"}},
                            {"epsilons", {"1/3,1"}},
                            {"hidden_dims", {"4,5"}},
                            {"strict", {"true"}},
                            {"colour", {"green"}}});
    const Parameters expected = {{"steps", std::int64_t{10}},
                                 {"seed", ~std::uint64_t{0}},
                                 {"lr_d", 0.5},
                                 {"lr_g", 0.5},
                                 {"eps", 1.0 / 3},
                                 {"epsilons", "0.3333333333333333,1"},
                                 {"strict", true},
                                 {"colour", "green"},
                                 {"name", ""},
                                 {"out", "runs/1"},
                                 {"methods", "pgd"},
                                 {"hidden_dims", "4,5"}};
    EXPECT_EQ(one.options.parameters(), expected);
    one.set("seed", "9223372036854775807"); // the largest that the signed type holds
    EXPECT_EQ(one.options.parameters()[1].second,
              ParameterValue(std::numeric_limits<std::int64_t>::max()));
    one.set("seed", "9223372036854775808");
    EXPECT_EQ(one.options.parameters()[1].second, ParameterValue(std::uint64_t{1} << 63));
    EXPECT_EQ(one.options.may_change(), std::vector<std::string>{"steps"});
}

// What was recorded, given again as text, sets the same.
TEST(Options, RecordsReadBack) {
    Described one;
    one.options.apply(Given{{"seed", {"12345678901234567890"}},
                            {"out", {"o"}},
                            {"name", {"n"}},
                            {"lr_d", {"0.1"}},
                            {"eps", {"1/3"}},
                            {"epsilons", {"1/3,2/3"}},
                            {"hidden_dims", {"1,2"}},
                            {"methods", {"fgsm,apgd"}},
                            {"strict", {"true"}}});
    Given recorded;
    for (const auto& [name, value] : one.options.parameters()) {
        recorded[name] = {parameter_text(value)};
    }
    Described other;
    other.options.apply(recorded);
    EXPECT_EQ(other.options.parameters(), one.options.parameters());
    EXPECT_EQ(other.settings.epsilons, one.settings.epsilons);
}

TEST(Options, FieldsThatNobodyCouldHaveGivenAreRefused) {
    EXPECT_NO_THROW(check_ranges(Settings{}));
    const auto complaint = [](auto change) {
        Settings settings;
        change(settings);
        return complaint_of([&] { check_ranges(settings); });
    };
    EXPECT_EQ(complaint([](Settings& s) { s.steps = 0; }),
              "--steps 0: out of range; give a number from 1 to 100");
    EXPECT_NE(complaint([](Settings& s) { s.rate = std::nan(""); }), "");
    EXPECT_NE(complaint([](Settings& s) { s.epsilon = -1; }), "");
    EXPECT_NE(complaint([](Settings& s) { s.epsilons = {0, 2}; }), "");
    EXPECT_NE(complaint([](Settings& s) { s.widths = {256, 0}; }), "");
    EXPECT_EQ(complaint([](Settings& s) { s.widths = {}; }), "") << "not given";
}

TEST(Options, AsATable) {
    const Described one;
    const std::vector<OptionGroup> groups = option_groups(
        one.options, {{"small", {{"steps", "5"}}}, {"large", {{"steps", "90"}, {"seed", "3"}}}});
    ASSERT_EQ(groups.size(), 3u);
    EXPECT_EQ(groups[0].rows, "| `folder` |  | to read; required |\n"
                              "| `pictures` | one or more | to look at; required |\n");
    EXPECT_EQ(groups[1].name, "Numbers");
    const std::string table = option_table(groups);
    for (const char* row :
         {"| option | values (default) | what it is |\n|---|---|---|\n| `folder` ",
          "| **Numbers** | | |\n| `--steps` | 1 to 100 (10) | how many; small: 5; large: 90 |\n",
          "| `--rates` | N | both rates; only beside `--steps` |\n",
          "| `--lr-g` | 0 to 1 (0.5) | the other \\| rate |\n",
          "| `--eps` | 0 to 1, also as 8/255 (0.0313725) | budget |\n",
          "| **Others** | | |\n| `--strict` | a switch | no mercy |\n",
          "| `--colour` | red, green (red) | of the shed |\n",
          "| `--out` | FOLDER | for results; required |\n",
          "| `--hidden-dims` | LIST (256,256) | of layers |\n"}) {
        EXPECT_NE(table.find(row), std::string::npos) << row << "\n" << table;
    }
}

} // namespace
} // namespace patchforge
