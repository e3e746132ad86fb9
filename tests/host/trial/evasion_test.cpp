// Fakes before classifiers, and the search for latent codes that a classifier calls a chosen class.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <numeric>

#include "data/packed_set_writer.h"
#include "host/attack/latent_search.h"
#include "host/model/image_generator.h"
#include "host/page/report.h"
#include "host/trial/evasion.h"
#include "host/trial/evasion_page.h"
#include "tests/host/attack/attacked_models.h"
#include "tests/host/temporary_folder.h"

namespace patchforge::testing {
namespace {

const GeneratorFormat picture{1, 4, 5, "normal"};

std::unique_ptr<Network> random_generator(Backend& backend) {
    auto network =
        std::make_unique<Network>(backend, multilayer_perceptron(6, {16}, 20, Activation::relu,
                                                                 0.2f, false, 0, Activation::tanh));
    network->initialise(5, 0);
    return network;
}

// A job with these networks' weights in files of `folder`; model number i from seeds[i].
EvasionJob job_of(const TemporaryFolder& folder, Backend& backend, const Network& generator,
                  const std::vector<unsigned>& seeds) {
    EvasionJob job;
    TensorFile weights = generator.weights();
    picture.write(weights);
    job.generator = (folder / "generator.safetensors").string();
    write_safetensors(job.generator, weights.tensors, weights.metadata);
    for (const unsigned seed : seeds) {
        job.models.push_back((folder / (std::to_string(seed) + ".safetensors")).string());
        const TensorFile model = random_model(backend, format_of(1, 4, 5, 2), seed)->weights();
        write_safetensors(job.models.back(), model.tensors, model.metadata);
    }
    job.device.device = "cpu";
    return job;
}

TEST(LatentSearchTest, FindsCodesOfEitherClass) {
    for (const char* device : {"cpu", "cuda"}) {
        const auto backend = make_backend(device);
        const auto network = random_generator(*backend);
        const auto model = random_model(*backend, format_of(1, 4, 5, 2), 41);
        ImageGenerator generator(*network, picture);
        const std::vector<float> start = generator.latents(10, 1);
        const std::int64_t steps = std::string(device) == "cuda" ? 15 : 60;
        for (const std::int32_t target : {0, 1}) {
            TargetClass objective({model.get()}, target, LatentSearch::batch);
            LatentSearch search(*network, objective, {steps, 0.2, 0.001});
            const auto called = [&](const std::vector<float>& latents) {
                const auto answers = model->predictions(generator.bytes(latents));
                return std::count(answers.begin(), answers.end(), target);
            };
            const std::vector<float> found = search.run(start);
            EXPECT_GE(called(found), called(start)) << device << " " << target;
            EXPECT_GE(called(found), 8) << device << " " << target;
            EXPECT_EQ(search.run(start), found) << "not deterministic";
        }
    }
}

TEST(EvasionTest, CountsWhatEveryModelSays) {
    const TemporaryFolder folder;
    const auto backend = make_backend("cpu");
    const auto network = random_generator(*backend);
    EvasionJob job = job_of(folder, *backend, *network, {'a', 'b'});
    job.detector = job.models[0];
    job.count = 70;
    job.search_target = 1;
    job.search_against = job.models[1];
    job.search_count = 12;
    job.search_steps = 40;
    job.search_rate = 0.2;
    job.out = folder / "out";
    const std::vector<EvasionRow> rows = run_evasion(nullptr, job);
    ASSERT_EQ(rows.size(), 8u); // fakes, noise, before and after the search; two models
    for (const EvasionRow& row : rows) {
        EXPECT_EQ(std::accumulate(row.called.begin(), row.called.end(), std::int64_t{0}),
                  row.count);
        EXPECT_LE(row.above_99, row.above_90);
        EXPECT_EQ(static_cast<std::int64_t>(row.last_class.size()), row.count);
        // The detector is the first model.
        const EvasionRow& first = row.model == job.models[0] ? row : *(&row - 1);
        EXPECT_EQ(row.detector_stops, first.called[1]) << row.group;
    }
    EXPECT_EQ(rows[0].group, "fakes");
    EXPECT_EQ(rows[0].count, 70);
    EXPECT_EQ(rows[2].group, "noise");
    EXPECT_EQ(rows[2].count, 70);
    EXPECT_GE(rows[7].called[1], rows[5].called[1]);
    // A search of 40 large steps leaves what codes are drawn from, and is told so; fakes do not.
    EXPECT_EQ(rows[0].frechet_to_fakes, -1);
    EXPECT_EQ(rows[4].frechet_to_fakes, rows[5].frechet_to_fakes);
    EXPECT_GT(rows[4].frechet_to_fakes, 0);
    EXPECT_GT(rows[6].frechet_to_fakes, 2 * rows[4].frechet_to_fakes);
    EXPECT_NEAR(rows[4].code_mean_square, 1, 0.5); // of 72 numbers
    EXPECT_GT(rows[6].code_mean_square, rows[4].code_mean_square);
    for (const char* name : {"evasion.csv", "evasion.json", "report.html"}) {
        EXPECT_TRUE(std::filesystem::exists(folder / "out" / name)) << name;
    }
    // The same fakes as the generator's, asked of the model directly.
    ImageGenerator generator(*network, picture);
    const auto model = ClassifierModel::load(*backend, job.models[0]);
    const auto answers = model->predictions(generator.bytes(generator.latents(70, 0)));
    EXPECT_EQ(rows[0].called[1], std::count(answers.begin(), answers.end(), 1));
    const auto second = ClassifierModel::load(*backend, job.models[1])
                            ->predictions(generator.bytes(generator.latents(70, 0)));
    std::int64_t same = 0;
    for (std::size_t i = 0; i < answers.size(); ++i) {
        same += answers[i] == second[i];
    }
    EXPECT_EQ(rows[0].all_agree, same);
    EXPECT_EQ(rows[1].all_agree, same);
    for (const char* name : {"evasion.csv", "evasion.json"}) {
        const std::string text = contents(folder / "out" / name);
        EXPECT_NE(text.find("all_agree"), std::string::npos) << name;
        EXPECT_NE(text.find("detector_stops"), std::string::npos) << name;
    }
}

TEST(EvasionTest, SaysWhatCanBeConcluded) {
    const auto row = [](const std::string& group, const std::string& model, std::int64_t first,
                        std::int64_t second, std::int64_t sure) {
        EvasionRow row;
        row.group = group;
        row.model = model;
        row.count = first + second;
        row.called = {first, second};
        row.above_90 = sure;
        return row;
    };
    EvasionFindings findings;
    findings.models = {"m", "n"};
    findings.classes = {"a", "b"};
    findings.rows = {row("fakes", "m", 1, 3, 0), row("fakes", "n", 2, 2, 0),
                     row("noise", "m", 4, 0, 4), row("noise", "n", 4, 0, 0)};
    EXPECT_EQ(
        evasion_sentences(findings),
        (std::vector<std::string>{
            "Of the fakes, m 75 %, n 50 % are called b. They were made without a class, so no "
            "answer is wrong, and these shares say nothing of how good they are.",
            "Noise, which is of no class, gets a probability above 0.9 from m 100 %, n 0 % of the "
            "time: confidence alone shows nothing."}));
    findings.told = {40, 38, 20, 1};
    EXPECT_EQ(
        evasion_sentences(findings).at(0),
        "A network trained on others tells 38 of 40 fakes (95 %) from real patches, and takes "
        "1 of 20 real patches of other patients for fakes (5 %). So they can be told, "
        "whatever the classifiers answer: a classifier has a class for any picture.");
    findings.told = {40, 10, 20, 5};
    EXPECT_NE(evasion_sentences(findings).at(0).find("hardly"), std::string::npos);
    findings.told.reset();
    findings.rows.push_back(row(real_of("b"), "m", 1, 3, 0));
    findings.rows.back().right = 3;
    EXPECT_EQ(evasion_sentences(findings).at(1),
              "Of the real patches of b, m 75 %, n – are called b.");
    findings.conditional = true;
    findings.rows[0].right = 3;
    findings.rows[1].right = 1;
    EXPECT_EQ(
        evasion_sentences(findings).at(0),
        "Of all fakes m 75 %, n 25 % are called what they were made as; of real patches, mean "
        "over the classes, m 75 %, n – are called what they are.");
    findings.rows[0].right = -1;
    findings.rows.pop_back();
    findings.rows.push_back(row(fakes_of("a"), "m", 9, 1, 0));
    findings.rows.push_back(row(fakes_of("a"), "n", 5, 5, 0));
    findings.rows.push_back(row(real_of("a"), "m", 3, 1, 0));
    const std::vector<std::string> sentences = evasion_sentences(findings);
    EXPECT_EQ(sentences.at(0),
              "Fakes made as a are called so by m 90 %, n 50 %; real patches of it by "
              "m 75 %, n –.");
    EXPECT_EQ(sentences.size(), 2u); // no fakes of b are known

    Report report("t");
    findings.groups = {{{{1, 1, 1, {5}}}}, {}, {"fakes"}, 1};
    add_evasion_sections(report, findings);
    const std::string page = report.html();
    EXPECT_LT(page.find("Fakes made as a"), page.find("<img "));
    EXPECT_LT(page.find("<img "), page.find("<svg "));
}

// Real patches are even pictures, fakes of an untrained network grain: one that is trained on a half tells the
// other half. A conditional generator's fakes know what they were made as.
TEST(EvasionTest, TrainsANetworkThatTellsFakes) {
    const TemporaryFolder folder;
    const auto backend = make_backend("cpu");
    const GeneratorFormat made{3, 16, 16, "normal", {"no cancer", "cancer"}};
    Network generator(*backend, multilayer_perceptron(6, {8}, 768, Activation::relu, 0.2f, false, 0,
                                                      Activation::tanh));
    generator.initialise(5, 0);
    TensorFile weights = generator.weights();
    made.write(weights);
    EvasionJob job;
    job.generator = (folder / "generator.safetensors").string();
    write_safetensors(job.generator, weights.tensors, weights.metadata);
    ClassifierFormat format = format_of(3, 16, 16, 2);
    format.class_names = made.classes;
    const auto model = random_model(*backend, format, 3);
    job.models = {(folder / "model.safetensors").string()};
    const TensorFile of_model = model->weights();
    write_safetensors(job.models[0], of_model.tensors, of_model.metadata);
    job.device.device = "cpu";
    job.count = 60;
    job.real_or_fake = true;
    job.real_or_fake_iterations = 20;
    EXPECT_THROW(run_evasion(nullptr, job), std::invalid_argument);
    PackedSetWriter writer(folder / "set.pfs", 3, 16, 16);
    std::vector<std::string> patients;
    for (int p = 0; p < 8; ++p) {
        patients.push_back(std::to_string(p));
        for (int i = 0; i < 10; ++i) {
            const auto level = static_cast<std::uint8_t>(200 + 4 * p + i);
            writer.append(std::vector<std::uint8_t>(768, level),
                          {.name = fmt::format("{}/{}", p, i), .label = i % 2, .patient = p});
        }
    }
    writer.finish(made.classes, patients, "test");
    const PackedSet set = PackedSet::open(folder / "set.pfs");
    std::vector<std::string> verdict;
    job.verdict = &verdict;
    const std::vector<EvasionRow> rows = run_evasion(&set, job);
    ASSERT_GE(verdict.size(), 2u);
    EXPECT_TRUE(verdict[0].starts_with("A network trained on others tells 30 of 30 fakes"))
        << verdict[0];
    ASSERT_EQ(rows[0].group, all_fakes);
    EXPECT_EQ(rows[0].right, rows[1].right + rows[2].right);
    EXPECT_EQ(rows[1].right, rows[1].called[0]);
    EXPECT_EQ(rows[2].right, rows[2].called[1]);
    for (const EvasionRow& row : rows) {
        EXPECT_EQ(row.right < 0, row.group == noise_group) << row.group;
    }
}

// Noise comes a thousand patches at a time; all that were asked for come.
TEST(EvasionTest, HasAsMuchNoiseAsFakes) {
    const TemporaryFolder folder;
    const auto backend = make_backend("cpu");
    EvasionJob job = job_of(folder, *backend, *random_generator(*backend), {3});
    job.count = 2300;
    const std::vector<EvasionRow> rows = run_evasion(nullptr, job);
    ASSERT_EQ(rows.size(), 2u);
    EXPECT_EQ(rows[1].group, "noise");
    EXPECT_EQ(rows[1].count, 2300);
    EXPECT_EQ(rows[1].all_agree, -1);
    EXPECT_EQ(rows[1].detector_stops, -1);
}

TEST(EvasionTest, RefusesWhatDoesNotFit) {
    EvasionJob job;
    EXPECT_THROW(job.validate(), std::invalid_argument);
    job.generator = "g";
    job.models = {"a"};
    EXPECT_NO_THROW(job.validate());
    job.search_against = "b";
    EXPECT_THROW(job.validate(), std::invalid_argument);
    job.search_against = "a";
    EXPECT_NO_THROW(job.validate());
    Options options;
    describe(options, job);
    for (const char* name :
         {"against", "search_count", "search_steps", "search_lr", "search_prior"}) {
        EXPECT_THROW(options.refuse_contradictions({{name, {"7"}}}), std::invalid_argument) << name;
        EXPECT_NO_THROW(options.refuse_contradictions({{name, {"7"}}, {"search", {"target=1"}}}));
    }
    job.models = {"a", "a"};
    EXPECT_THROW(job.validate(), std::invalid_argument);
}

} // namespace
} // namespace patchforge::testing
