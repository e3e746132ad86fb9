// Fakes before classifiers, and the search for latent codes that a classifier calls a chosen class.
#include <gtest/gtest.h>

#include <filesystem>
#include <numeric>

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
    findings.conditional = true;
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
