// What other programs read: --json, and files by the lines of docs/python.md.
#include <gtest/gtest.h>

#include <cstdlib>

#include "host/files/json_file.h"
#include "tests/host/end_to_end/program.h"
#include "tests/host/temporary_folder.h"

namespace patchforge {
namespace {

// A small set, a classifier and a GAN, made once.
class ForPrograms : public ::testing::Test {
  protected:
    static void SetUpTestSuite() {
        folder = new TemporaryFolder;
        const auto call = [](std::vector<std::string> words) {
            const testing::Outcome outcome = testing::run_program("patchforge-cpu", words);
            ASSERT_EQ(outcome.status, 0) << outcome.output;
        };
        call({"tissue", at("tissue"), "--patients", "6", "--patches", "12", "--size", "16"});
        call({"pack", at("tissue"), "--out", at("set.pfs")});
        call({"train", "classifier", "--data", at("set.pfs"), "--out", at("classifier"), "--epochs",
              "3", "--hidden-dims", "12,8", "--test-patients", "2"});
        call({"train", "gan", "--data", at("set.pfs"), "--out", at("gan"), "--steps", "4",
              "--hidden-dims", "8", "--test-patients", "2"});
    }
    static void TearDownTestSuite() { delete folder; }
    static std::string at(const std::string& name) { return (*folder / name).string(); }

    // Standard output of a call in a shell; standard error stands in `said` then.
    static std::string output(const std::string& command, int status = 0) {
        const int ended = std::system(
            (command + " > " + at("output") + " 2> " + at("said") + " < /dev/null").c_str());
        EXPECT_EQ(WEXITSTATUS(ended), status) << command << ": " << contents(at("said"));
        return contents(at("output"));
    }
    static Json json(const std::string& arguments) {
        const std::string text = output("build/patchforge-cpu " + arguments + " --json");
        return parse_json(text, arguments);
    }

    static TemporaryFolder* folder;
};
TemporaryFolder* ForPrograms::folder = nullptr;

TEST_F(ForPrograms, JsonOfEveryVerb) {
    const Json attack = json("attack --model " + at("classifier") + " --data " + at("set.pfs") +
                             " --method fgsm,pgd --eps 0,4/255 --steps 2 --no-sanity");
    ASSERT_EQ(attack.at("attacks").size(), 4u);
    const Json& second = attack.at("attacks").items()[1];
    EXPECT_EQ(second.at("n").integer(), 24);
    EXPECT_TRUE(second.at("robust_accuracy").is_number());
    EXPECT_NE(contents(at("said")).find("robust acc"), std::string::npos) << "for people, there";

    const Json evade = json("evade --generator " + at("gan") + " --models " + at("classifier") +
                            " --count 30 --out " + at("evasion"));
    EXPECT_EQ(evade.dump(), read_json(at("evasion/evasion.json")).dump());

    const Json evaluate = json("evaluate --run " + at("gan") + " --data " + at("set.pfs") +
                               " --count 40 --out " + at("evaluation"));
    EXPECT_EQ(evaluate.at("n_generated").integer(), 40);
    EXPECT_TRUE(evaluate.at("measures").items().at(0).at("results").is_object());

    const Json classify = json("classify " + at("set.pfs") + " --model " + at("classifier"));
    EXPECT_EQ(classify.at("count").integer(), 72);
    EXPECT_EQ(classify.at("pictures").size(), 72u);
    int right = 0;
    for (const Json& picture : classify.at("pictures").items()) {
        right += picture.at("label").string() == picture.at("called").string();
        EXPECT_NEAR(picture.at("probabilities").at("cancer").number() +
                        picture.at("probabilities").at("no cancer").number(),
                    1, 1e-5);
    }
    EXPECT_EQ(classify.at("right").integer(), right);

    EXPECT_EQ(json("info " + at("classifier")).at("facts").at("what").string(),
              "run folder of `train classifier`");
    EXPECT_EQ(json("info " + at("classifier")).at("parts").at("what").at("hidden_dims").string(),
              "12,8");
    const Json doctor = json("doctor");
    EXPECT_EQ(doctor.at("findings").items().at(0).at("what").string(), "program");
}

TEST_F(ForPrograms, NothingIsOnStandardOutputWhenACallFails) {
    EXPECT_EQ(output("build/patchforge-cpu info " + at("nowhere") + " --json", 1), "");
    EXPECT_NE(contents(at("said")).find("patchforge: error: "), std::string::npos);
    const int full = std::system("build/patchforge-cpu doctor --json > /dev/full 2> /dev/null");
    EXPECT_EQ(WEXITSTATUS(full), 1);
}

// The lines of docs/python.md call every patch what the program calls it.
TEST_F(ForPrograms, PythonReadsSetRunAndCheckpoint) {
    const char* chosen = std::getenv("PEER_PYTHON");
    const std::string python = chosen ? chosen : "python3";
    if (std::system((python + " -c 'import numpy, torch' > /dev/null 2>&1").c_str()) != 0) {
        GTEST_SKIP() << python << " has no numpy and torch (PEER_PYTHON names another)";
    }
    const std::string page = contents("docs/python.md");
    const std::size_t begin = page.find("```python\n") + 10;
    put(*folder / "read.py", page.substr(begin, page.find("```", begin) - begin));
    const std::string printed =
        output(python + " " + at("read.py") + " " + at("set.pfs") + " " + at("classifier"));
    const std::string newest = at("classifier/checkpoints/step_3/classifier.safetensors");
    const Json classify = json("classify " + at("set.pfs") + " --model " + newest);
    EXPECT_EQ(printed, "3 3 ['no cancer', 'cancer'] " + classify.at("right").dump() + "\n");
}

} // namespace
} // namespace patchforge
