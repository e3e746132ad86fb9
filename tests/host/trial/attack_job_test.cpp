// What a job refuses before any work, which patches it takes, and its curves.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <iterator>
#include <limits>

#include "data/packed_set_writer.h"
#include "data/split.h"
#include "host/files/json.h"
#include "host/run/parameters_file.h"
#include "host/trial/attack_charts.h"
#include "host/trial/attack_job.h"
#include "host/trial/attack_rows.h"
#include "host/trial/attack_table.h"
#include "host/trial/attack_words.h"
#include "tests/host/temporary_folder.h"

namespace patchforge::testing {
namespace {

namespace fs = std::filesystem;

AttackJob job_of(const std::vector<std::string>& methods) {
    AttackJob job;
    job.victims = {{"a"}};
    job.methods.clear();
    for (const std::string& name : methods) {
        job.methods.push_back(attack_method(name));
    }
    job.options.target = AttackOptions::Target::fixed;
    return job;
}

std::string refusal(const AttackJob& job) {
    try {
        job.validate();
    } catch (const std::invalid_argument& error) {
        return error.what();
    }
    return "";
}

TEST(AttackJob, RefusesOptionsOfOtherMethods) {
    struct Case {
        const char* option; // how the message begins
        void (*give)(AttackOptions& options);
        const char *known, *foreign;
    };
    using O = AttackOptions;
    const std::vector<Case> cases = {
        {"--steps", [](O& o) { o.steps = 5; }, "pgd", "fgsm"},
        {"--alpha", [](O& o) { o.alpha = 0.1; }, "mifgsm", "fgsm"},
        {"--no-random-start", [](O& o) { o.random_start = false; }, "pgd", "mifgsm"},
        {"--restarts", [](O& o) { o.restarts = 2; }, "pgd", "fgsm"},
        {"--decay", [](O& o) { o.decay = 0.5; }, "mifgsm", "pgd"},
        {"--loss margin", [](O& o) { o.loss = VictimLoss::margin; }, "pgd", "forge"},
        {"--loss l1", [](O& o) { o.loss = VictimLoss::probability_l1; }, "forge", "pgd"},
        {"--lambda",
         [](O& o) {
             o.lambdas = {1, 2};
         },
         "forge", "cw"},
        {"--start", [](O& o) { o.start = O::Start::noise; }, "forge", "pgd"},
        {"--within", [](O& o) { o.within = 2; }, "forge", "cw"},
        {"--optimiser", [](O& o) { o.by_adam = false; }, "forge", "cw"},
        {"--lr", [](O& o) { o.learning_rate = 1; }, "cw", "pgd"},
        {"--search-steps", [](O& o) { o.search_steps = 2; }, "cw", "forge"},
        {"--confidence", [](O& o) { o.confidence = 2; }, "cw", "pgd"},
        {"--queries", [](O& o) { o.queries = 9; }, "square", "pgd"},
        {"--directions", [](O& o) { o.directions = 9; }, "nes", "square"},
        {"--sigma", [](O& o) { o.sigma = 0.5; }, "numeric", "square"},
        {"--block", [](O& o) { o.block = 9; }, "numeric", "nes"},
    };
    for (const Case& one : cases) {
        AttackJob job = job_of({one.foreign});
        EXPECT_EQ(refusal(job), "") << one.option;
        one.give(job.options);
        EXPECT_EQ(refusal(job).find(std::string(one.option) + ": belongs to"), 0u)
            << one.option << ": " << refusal(job);
        job.methods = {attack_method(one.known)};
        EXPECT_EQ(refusal(job), "") << one.option;
        job.methods = {attack_method(one.foreign), attack_method(one.known)};
        EXPECT_EQ(refusal(job), "") << one.option;
    }
    AttackJob untargeted = job_of({"worst"});
    EXPECT_EQ(refusal(untargeted).find("--target: belongs to"), 0u);
    AttackJob same = job_of({"pgd"});
    same.options.restarts = 3;
    same.options.random_start = false;
    EXPECT_EQ(refusal(same).find("--restarts"), 0u);
    AttackJob budget = job_of({"cw", "forge"});
    EXPECT_EQ(refusal(budget), "");
    budget.epsilons = {0.1};
    EXPECT_EQ(refusal(budget).find("--eps"), 0u);
}

TEST(AttackJob, RefusesWhatItCouldNotDo) {
    const TemporaryFolder folder;
    AttackJob twice = job_of({"fgsm", "pgd", "fgsm"});
    EXPECT_EQ(refusal(twice).find("--method"), 0u);
    AttackJob budgets = job_of({"pgd"});
    budgets.epsilons = {0.1, 0.2, 0.1};
    EXPECT_EQ(refusal(budgets).find("--eps"), 0u);
    AttackJob many = job_of({"pgd"});
    many.victims = {{"a"}, {"b"}};
    EXPECT_EQ(refusal(many), "");
    many.save = true;
    many.out = folder / "many";
    EXPECT_EQ(refusal(many).find("--save"), 0u);
    many.save = false;
    many.transfer = true;
    many.methods = {attack_method("pgd"), attack_method("cw")};
    EXPECT_EQ(refusal(many).find("--transfer"), 0u);
    many.methods = {attack_method("pgd")};
    many.epsilons = {0};
    EXPECT_EQ(refusal(many).find("--transfer"), 0u);
}

TEST(AttackJob, RefusesFoldersThatHoldSomethingElse) {
    const TemporaryFolder folder;
    AttackJob job = job_of({"pgd"});
    job.epsilons = {0, 4 / 255.0};
    const auto with = [&](const fs::path& out, bool save) {
        job.out = out;
        job.save = save;
        return refusal(job);
    };
    fs::create_directories(folder / "run");
    put(folder / "run/params.json", "{}");
    fs::create_directories(folder / "ensemble/member_0");
    fs::create_directories(folder / "tour");
    put(folder / "tour/report.html", "somebody else's");
    fs::create_directories(folder / "earlier");
    put(folder / "earlier/report.html", "");
    put(folder / "earlier/attack.json", "");
    put(folder / "file", "");
    for (const char* name : {"run", "ensemble", "tour", "file"}) {
        EXPECT_EQ(with(folder / name, false).find("--out"), 0u) << name;
    }
    EXPECT_EQ(with(folder / "earlier", false), "");
    EXPECT_EQ(with(folder / "earlier", true), "");
    EXPECT_EQ(with(folder / "absent", true), "");
}

class Rows : public ::testing::Test {
  protected:
    // 10 patients with 6 patches of each class.
    Rows() {
        PackedSetWriter writer(folder_ / "set.pfs", 1, 1, 1);
        std::vector<std::string> patients;
        for (int p = 0; p < 10; ++p) {
            patients.push_back("patient " + std::to_string(p));
            for (int i = 0; i < 12; ++i) {
                writer.append(std::vector<std::uint8_t>{1},
                              {.name = std::to_string(p) + "/" + std::to_string(i),
                               .label = i % 2,
                               .patient = p});
            }
        }
        writer.finish(std::vector<std::string>{"0", "1"}, patients, "test");
        set_ = std::make_unique<PackedSet>(PackedSet::open(folder_ / "set.pfs"));
    }
    // A run as far as its parameters say how it parted the set.
    std::string run(const std::string& name, std::uint64_t seed, int patients,
                    const std::string& test = "", const std::string& validation = "0") {
        fs::create_directories(folder_ / name);
        const Parameters parameters = {{"data_hash", fmt_hash()},
                                       {"test", test},
                                       {"test_patients", std::to_string(patients)},
                                       {"validation_patients", validation},
                                       {"split_seed", std::to_string(seed)}};
        write_parameters(folder_ / name, encode_parameters("train classifier", parameters));
        return (folder_ / name).string();
    }
    std::string fmt_hash() const {
        char text[17];
        std::snprintf(text, sizeof text, "%016llx",
                      static_cast<unsigned long long>(set_->content_hash()));
        return text;
    }
    std::vector<std::int32_t> tested(std::uint64_t seed, int patients) const {
        return split_by_patient(*set_, {.test_patients = patients, .seed = seed}).test;
    }
    std::vector<std::string> names(const std::vector<std::int32_t>& rows) const {
        std::vector<std::string> list;
        for (const std::int32_t row : rows) {
            list.emplace_back(set_->name(row));
        }
        return list;
    }

    TemporaryFolder folder_;
    std::unique_ptr<PackedSet> set_;
};

TEST_F(Rows, AreThoseThatEveryModelHeldOut) {
    int shared = 0, parted = 0;
    for (std::uint64_t seed = 2; seed < 12; ++seed) {
        std::vector<std::int32_t> both;
        const auto a = tested(1, 3), b = tested(seed, 3);
        std::set_intersection(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(both));
        const std::vector<std::string> models = {run("a", 1, 3), run("b", seed, 3)};
        for (const char* rows : {"auto", "test"}) {
            if (both.empty()) {
                EXPECT_THROW(choose_rows(*set_, models, rows, 0), std::invalid_argument) << seed;
                ++parted;
            } else {
                const ChosenRows chosen = choose_rows(*set_, models, rows, 0);
                EXPECT_EQ(chosen.set.names, names(both)) << seed;
                if (a != b) {
                    EXPECT_NE(chosen.how.find("each of 2 models held out"), std::string::npos)
                        << chosen.how;
                    ++shared;
                }
            }
        }
    }
    EXPECT_GT(shared, 0);
    EXPECT_GT(parted, 0);
}

TEST_F(Rows, OfOneSplitAreItsTestPatients) {
    const std::vector<std::string> models = {run("a", 1, 4), run("b", 1, 4)};
    const ChosenRows chosen = choose_rows(*set_, models, "auto", 0);
    EXPECT_EQ(chosen.set.names, names(tested(1, 4)));
    EXPECT_EQ(chosen.how, "4 patients held out by the models' training");
    const ChosenRows some = choose_rows(*set_, models, "test", 7);
    EXPECT_EQ(some.set.count(), 7);
    EXPECT_NE(some.how.find("7 of 48 evenly spaced"), std::string::npos) << some.how;
    EXPECT_EQ(choose_rows(*set_, models, "train", 0).set.count(), 72);
    EXPECT_EQ(choose_rows(*set_, models, "all", 0).set.count(), 120);
    EXPECT_THROW(choose_rows(*set_, models, "validation", 0), std::invalid_argument);
}

TEST_F(Rows, OfValidationAreNeitherTestedNorTrainedOn) {
    const std::vector<std::string> models = {run("a", 1, 3, "", "2")};
    std::vector<std::string> all;
    for (const auto& [side, count] :
         {std::pair("test", 36), std::pair("validation", 24), std::pair("train", 60)}) {
        const ChosenRows chosen = choose_rows(*set_, models, side, 0);
        EXPECT_EQ(chosen.set.count(), count) << side;
        all.insert(all.end(), chosen.set.names.begin(), chosen.set.names.end());
    }
    std::sort(all.begin(), all.end());
    EXPECT_EQ(std::unique(all.begin(), all.end()) - all.begin(), 120);
    EXPECT_EQ(choose_rows(*set_, models, "test", 0).set.names, names(tested(1, 3)));
}

TEST_F(Rows, SayWhatModelsDoNot) {
    const std::string known = run("a", 1, 3);
    const std::string silent = (folder_ / "weights.safetensors").string();
    const ChosenRows chosen = choose_rows(*set_, {known, silent}, "auto", 0);
    EXPECT_EQ(chosen.set.names, names(tested(1, 3)));
    EXPECT_NE(chosen.how.find("weights.safetensors says nothing"), std::string::npos) << chosen.how;
    EXPECT_THROW(choose_rows(*set_, {known, silent}, "test", 0), std::invalid_argument);
    EXPECT_EQ(choose_rows(*set_, {silent}, "auto", 0).set.count(), 120);
    // Trained on all of it, tested elsewhere: nothing here was held out.
    const std::string whole = run("whole", 1, 3, "elsewhere.pfs");
    EXPECT_THROW(choose_rows(*set_, {whole}, "auto", 0), std::invalid_argument);
    EXPECT_EQ(choose_rows(*set_, {whole}, "train", 0).set.count(), 120);
    EXPECT_EQ(choose_rows(*set_, {whole}, "all", 0).set.count(), 120);
}

// A share of none is no figure: no recall of a class without samples, no success where none was right.
TEST(AttackTable, UndefinedIsADash) {
    AttackResult result;
    AttackSet set;
    for (int i = 0; i < 3; ++i) {
        SampleOutcome sample;
        sample.clean = sample.adversarial = sample.rounded = 1;
        result.samples.push_back(sample);
        set.labels.push_back(0);
    }
    AttackOptions options;
    options.method = attack_method("fgsm");
    const AttackSummary summary = summarise(result, set, options, {"ant", "bee", "cat"}, 4);
    EXPECT_EQ(summary.balanced_accuracy, 0);
    EXPECT_TRUE(std::isnan(summary.success_rate()));
    const auto rows = class_rows({summary});
    EXPECT_EQ(rows.at(0).back(), "0.0000"); // three of three are wrong
    EXPECT_EQ(rows.at(1).back(), undefined);
    EXPECT_EQ(rows.at(2).back(), undefined);
    const auto columns = table_columns();
    const auto success = std::ranges::find(columns, "ASR B/C") - columns.begin();
    EXPECT_EQ(table_rows({summary}).at(0).at(static_cast<std::size_t>(success)), undefined);
    EXPECT_EQ(summaries_json({summary}).back().at("asr").dump(), "null");
    EXPECT_TRUE(std::isnan(summarise({}, {}, options, {"ant", "bee"}, 4).balanced_accuracy));
}

AttackSummary summary_of(const char* attack, double epsilon, double lambda, std::int64_t broken,
                         double l2) {
    AttackSummary summary;
    summary.attack = attack;
    summary.epsilon = epsilon;
    summary.lambda = lambda;
    summary.count = 20;
    summary.correct = 10;
    summary.broken = broken;
    summary.l2.mean = l2;
    return summary;
}

TEST(AttackCharts, BudgetsAndDistancesHaveCurvesOfTheirOwn) {
    constexpr double none = std::numeric_limits<double>::infinity();
    const std::vector<AttackSummary> both = {
        summary_of("pgd", 0, 0, 0, std::nan("")), summary_of("pgd", 4 / 255.0, 0, 5, 1),
        summary_of("forge", none, 0, 10, 3),      summary_of("forge", none, 1, 8, 2),
        summary_of("forge", none, 9, 2, 0.5),     summary_of("forge", none, 99, 0, std::nan("")),
        summary_of("cw", none, 0, 9, 0.75)};
    const std::optional<Chart> budget = robustness_curve(both, 2);
    ASSERT_TRUE(budget);
    ASSERT_EQ(budget->series.size(), 1u);
    EXPECT_EQ(budget->series[0].x, (std::vector<double>{0, 4}));
    EXPECT_EQ(budget->series[0].y, (std::vector<double>{0.5, 0.25}));
    const std::optional<Chart> distance = distance_curve(both);
    ASSERT_TRUE(distance);
    ASSERT_EQ(distance->series.size(), 2u);
    EXPECT_EQ(distance->series[0].name, "forge");
    EXPECT_EQ(distance->series[0].x, (std::vector<double>{0.5, 2, 3})) << "a point a lambda";
    EXPECT_EQ(distance->series[0].y, (std::vector<double>{0.2, 0.8, 1}));
    EXPECT_EQ(distance->series[1].y, (std::vector<double>{0.9}));
    EXPECT_FALSE(distance_curve({both[0], both[1]}));
    EXPECT_FALSE(robustness_curve({both[2], both[6]}, 2));
}

AttackSummary summary_of(const char* attack, double epsilon, std::int64_t broken) {
    AttackSummary s;
    s.attack = attack;
    s.epsilon = epsilon;
    s.count = 200;
    s.correct = 160;
    s.broken = broken;
    s.classes = {{"no cancer"}, {"cancer"}};
    for (ClassCount& one : s.classes) {
        one.total = 100;
        one.correct = 80;
    }
    s.classes[1].broken = broken / 2;
    return s;
}

// The strongest attack at the largest budget is the sentence; every budget has its figure.
TEST(AttackWords, AreOfTheStrongestAttack) {
    const std::vector<AttackSummary> summaries = {
        summary_of("fgsm", 0, 0), summary_of("fgsm", 8 / 255.0, 60),
        summary_of("pgd", 4 / 255.0, 100), summary_of("pgd", 8 / 255.0, 140)};
    EXPECT_EQ(attack_sentence("c1", summaries),
              "c1: right on 80.0 % of 200 patches; under pgd at eps 8/255 on 10.0 %.");
    const std::vector<std::pair<std::string, std::string>> figures = {
        {"80.0 %", "right before"},
        {"30.0 %", "right at eps 4/255"},
        {"10.0 %", "right at eps 8/255"},
        {"80.0 %", "of no cancer at eps 8/255"},
        {"10.0 %", "of cancer at eps 8/255"}};
    EXPECT_EQ(attack_figures(summaries), figures);
    AttackSummary cw = summary_of("cw", std::numeric_limits<double>::infinity(), 160);
    cw.l2.mean = 0.25;
    EXPECT_EQ(attack_sentence("c1", {cw}), "c1: right on 80.0 % of 200 patches; cw breaks 100.0 % "
                                           "of these at a mean L2 distance of 0.250.");
    EXPECT_EQ(attack_sentence("c1", {}), "");
    const double none = std::numeric_limits<double>::quiet_NaN();
    EXPECT_EQ(defence_sentence({{"a", 0.1}, {"b", 0.4}, {"c", 0.2}}),
              "Of 3 models b keeps most: 40.0 % right under the strongest attack at the largest "
              "budget; a keeps 10.0 %.");
    EXPECT_EQ(defence_sentence({{"a", none}, {"b", none}}), "");
}

} // namespace
} // namespace patchforge::testing
