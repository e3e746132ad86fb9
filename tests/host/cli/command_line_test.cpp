// How presets, files and calls are laid over each other, with a verb made for it.
#include <gtest/gtest.h>

#include "host/cli/verb.h"
#include "tests/host/temporary_folder.h"

namespace patchforge {
namespace {

struct Settings {
    std::int64_t steps = 10, epochs = 5;
    double rate = 0.5;
    double crust = 0.5;
    bool strict = false;
    std::vector<std::int64_t> widths;
    std::string name;
    std::uint64_t seed = 0;
    std::vector<std::string> inputs;
};

struct Baked {
    int status = -1;
    std::string error;
    bool ran = false;
    Settings settings;
};

Baked bake(const std::vector<std::string>& arguments) {
    Baked outcome;
    Settings& s = outcome.settings;
    Verb verb{.name = "bake", .summary = "make bread"};
    verb.options.arguments("inputs", s.inputs, "what goes in").required = false;
    verb.options.number("steps", s.steps, {1, 100}, "how many");
    verb.options.number("epochs", s.epochs, {1, 100}, "instead");
    verb.options.only_one_of({"steps", "epochs"});
    verb.options.number("rate", s.rate, {0, 1}, "how fast");
    verb.options.toggle("strict", s.strict, "no mercy").beside("rate");
    verb.options.number("crust", s.crust, {0, 1}, "how brown");
    verb.options.no_use_beside("crust", "rate");
    verb.options.widths("hidden_dims", s.widths, "of layers");
    verb.options.text("name", s.name, "NAME", "of the bread").must_be_given();
    verb.options.number("seed", s.seed, any_seed, "of the dough");
    verb.presets = {{"plain", {}}, {"rye", {{"steps", "20"}, {"rate", "0.25"}, {"seed", "3"}}}};
    verb.standard_preset = "plain";
    verb.run = [&outcome] { outcome.ran = true; };
    std::vector<std::string> words = {"patchforge", "bake"};
    words.insert(words.end(), arguments.begin(), arguments.end());
    std::vector<char*> pointers;
    for (std::string& word : words) {
        pointers.push_back(word.data());
    }
    std::vector<Verb> verbs;
    verbs.push_back(std::move(verb));
    ::testing::internal::CaptureStderr();
    outcome.status =
        run_command_line(std::move(verbs), static_cast<int>(pointers.size()), pointers.data());
    outcome.error = ::testing::internal::GetCapturedStderr();
    return outcome;
}

class ConfigFile : public ::testing::Test {
  protected:
    Baked bake_with(const std::string& text, std::vector<std::string> more = {}) {
        put(file_, text);
        more.insert(more.end(), {"--config", file_.string()});
        return bake(more);
    }
    void refuses(const std::string& text, const std::string& part,
                 const std::vector<std::string>& more = {"--name", "x"}) {
        const Baked outcome = bake_with(text, more);
        EXPECT_EQ(outcome.status, 2) << text;
        EXPECT_FALSE(outcome.ran) << text;
        EXPECT_NE(outcome.error.find("--config " + file_.string() + ": "), std::string::npos)
            << outcome.error;
        EXPECT_NE(outcome.error.find(part), std::string::npos) << outcome.error;
    }

    TemporaryFolder folder_;
    std::filesystem::path file_ = folder_ / "options.toml";
};

TEST_F(ConfigFile, LiesOverThePresetAndUnderTheCall) {
    const Baked outcome = bake_with("# of yesterday\n"
                                    "rate = 0.75\n"
                                    "seed = 4\n"
                                    "hidden_dims = [3, 4]\n"
                                    "name = \"two words, and a comma\"\n"
                                    "strict = true\n",
                                    {"--preset", "rye", "--seed", "5", "a.png", "b.png"});
    ASSERT_EQ(outcome.status, 0) << outcome.error;
    ASSERT_TRUE(outcome.ran);
    EXPECT_EQ(outcome.settings.steps, 20); // the preset's
    EXPECT_EQ(outcome.settings.rate, 0.75);
    EXPECT_EQ(outcome.settings.seed, 5u);
    EXPECT_EQ(outcome.settings.widths, (std::vector<std::int64_t>{3, 4}));
    EXPECT_EQ(outcome.settings.name, "two words, and a comma");
    EXPECT_TRUE(outcome.settings.strict);
    EXPECT_EQ(outcome.settings.inputs, (std::vector<std::string>{"a.png", "b.png"}));
}

TEST_F(ConfigFile, TheCallTakesASwitchBack) {
    const Baked outcome = bake_with("rate = 0.75\nname = x\nstrict = true\n", {"--strict=false"});
    ASSERT_EQ(outcome.status, 0) << outcome.error;
    EXPECT_FALSE(outcome.settings.strict);
}

TEST_F(ConfigFile, NamesMayBeFlagsAndThePresetToo) {
    Baked outcome = bake_with("--hidden-dims = 7\npreset = rye\nname = x\n");
    ASSERT_EQ(outcome.status, 0) << outcome.error;
    EXPECT_EQ(outcome.settings.widths, std::vector<std::int64_t>{7});
    EXPECT_EQ(outcome.settings.steps, 20);
    outcome = bake_with("preset = rye\nname = x\n", {"--preset", "plain"});
    ASSERT_EQ(outcome.status, 0) << outcome.error;
    EXPECT_EQ(outcome.settings.steps, 10);
}

TEST_F(ConfigFile, TakesTheParametersOfARun) {
    const std::string record = R"({"run": "bake", "parameters": {"steps": 30, "epochs": 5,
        "rate": 0.1, "strict": true, "hidden_dims": "8,9", "name": "old",
        "seed": 18446744073709551615, "data_hash": "abc", "inputs": "c.png"}})";
    Baked outcome = bake_with(record, {"--rate", "0.2", "a.png"});
    ASSERT_EQ(outcome.status, 0) << outcome.error;
    EXPECT_EQ(outcome.settings.steps, 30);
    EXPECT_EQ(outcome.settings.rate, 0.2);
    EXPECT_TRUE(outcome.settings.strict);
    EXPECT_EQ(outcome.settings.widths, (std::vector<std::int64_t>{8, 9}));
    EXPECT_EQ(outcome.settings.name, "old");
    EXPECT_EQ(outcome.settings.seed, ~std::uint64_t{0});
    EXPECT_EQ(outcome.settings.inputs, std::vector<std::string>{"a.png"});
    refuses(R"({"run": "bake", "parameters": {"steps": 101}})", "--steps 101: out of range");
    refuses(R"({"run": "bake", "parameters": {"steps": )", "");
}

TEST_F(ConfigFile, Refusals) {
    refuses("steps = 101\n", "--steps 101: out of range");
    refuses("stepz = 3\n", "stepz: there is no such option; did you mean steps?");
    refuses("inputs = a.png\n", "inputs: there is no such option");
    refuses("config = other.toml\n", "config: there is no such option");
    refuses("\xff\xfen", "not text in UTF-8");
    refuses("a\n", "'a': is no line");
    refuses("preset = wheat\n", "--preset: 'wheat' is not known; use one of plain, rye");
    refuses("[bake]\nsteps = 3\n", "bake: sections are not read");
    refuses("seed = 3\nrate = 1\nseed = 3\n", "seed: stands twice");
    refuses("steps = 3\nepochs = 3\n", "excludes");
    refuses("strict = true\n", "--strict requires --rate");
    refuses("name = \"\"\n", "--name '': is empty");
    const Baked missing = bake({"--name", "x", "--config", (folder_ / "none").string()});
    EXPECT_EQ(missing.status, 2);
    EXPECT_NE(missing.error.find("--config " + (folder_ / "none").string() + ": cannot open"),
              std::string::npos)
        << missing.error;
    EXPECT_EQ(bake({"--name", "x", "--config", folder_.path().string()}).status, 2);
}

TEST_F(ConfigFile, AndCallsKnowOfEachOther) {
    // What excludes an option of the call gives way to it.
    Baked outcome = bake_with("epochs = 7\nname = x\n", {"--steps", "3"});
    ASSERT_EQ(outcome.status, 0) << outcome.error;
    EXPECT_EQ(outcome.settings.steps, 3);
    EXPECT_EQ(outcome.settings.epochs, 5);
    // What one of them needs, the other may give.
    EXPECT_EQ(bake_with("rate = 1\nname = x\n", {"--strict"}).status, 0);
    EXPECT_EQ(bake_with("strict = true\nname = x\n", {"--rate", "1"}).status, 0);
}

TEST(CommandLine, WrongCalls) {
    const std::pair<std::vector<std::string>, const char*> calls[] = {
        {{}, "--name: is required: of the bread"},
        {{"--name", "x", "--strict"}, "--strict requires --rate"},
        {{"--name", "x", "--steps", "3", "--epochs", "3"}, "--epochs excludes --steps"},
        {{"--name", "x", "--preset", "wheat"}, "--preset: 'wheat' is not known"},
        {{"--name", "x", "--preset", "rye", "--crust", "1"},
         "--crust has no use beside --rate, which --preset rye sets"},
        {{"--name", "x", "--rate", "1", "--crust", "1"}, "--crust excludes --rate"},
        {{"--nane", "x"},
         "--nane: there is no such option; did you mean --name?; see patchforge bake"},
        {{"--zzzzzzz", "x"}, "--zzzzzzz: there is no such option; see patchforge bake"},
        {{"--name"}, "--name"},
        {{"--name", "x", "--seed", "-1"}, "--seed"},
        {{"--name", "x", "--strict=maybe", "--rate", "1"}, "strict"},
    };
    for (const auto& [words, part] : calls) {
        const Baked outcome = bake(words);
        EXPECT_EQ(outcome.status, 2) << part;
        EXPECT_FALSE(outcome.ran) << part;
        EXPECT_NE(outcome.error.find(part), std::string::npos) << outcome.error;
    }
}

} // namespace
} // namespace patchforge
