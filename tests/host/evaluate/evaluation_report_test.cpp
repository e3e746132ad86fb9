#include "host/evaluate/evaluation_report.h"

#include "host/evaluate/evaluation_words.h"
#include "host/page/report.h"
#include "tests/host/evaluate/images.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <span>

#include <cmath>

namespace patchforge {
namespace {

MetricResult frechet(const std::string& extractor, double value, double infinity,
                     double r_squared) {
    return {.metric = "frechet_distance",
            .results = {{"frechet_distance", value},
                        {"frechet_distance_infinity", infinity},
                        {"frechet_distance_infinity_r_squared", r_squared}},
            .extractor = {extractor, "00"},
            .n_generated = 30,
            .n_reference = 40};
}

// The table's line that begins with these two cells; empty when there is none.
std::string row(const std::string& table, const std::string& extractor, const std::string& key) {
    for (std::size_t begin = 0; begin < table.size();) {
        const std::size_t end = std::min(table.find('\n', begin), table.size());
        const std::string line = table.substr(begin, end - begin);
        if (line.starts_with(extractor + " ") && line.find(" " + key + " ") != std::string::npos) {
            return line;
        }
        begin = end + 1;
    }
    return "";
}

TEST(EvaluationReport, ShowsAnInterceptOnlyWhereTheLineFits) {
    ImageEvaluation evaluation;
    evaluation.generated = {frechet("own256", 12.5, 11.25, least_r_squared),
                            frechet("random256", 2.5, 1.125, least_r_squared - 0.001)};
    const std::string table = evaluation_table(evaluation);
    EXPECT_NE(row(table, "own256", "frechet_distance_infinity").find("11.25"), std::string::npos)
        << table;
    EXPECT_NE(row(table, "random256", "frechet_distance").find("2.5"), std::string::npos) << table;
    const std::string hidden = row(table, "random256", "frechet_distance_infinity");
    EXPECT_EQ(hidden.find("1.125"), std::string::npos) << table;
    EXPECT_NE(hidden.find("–"), std::string::npos) << table;
    EXPECT_NE(table.find("R² is 0.80 in random256, 0.8 is asked for"), std::string::npos) << table;
    EXPECT_EQ(table.find("own256, 0.8"), std::string::npos) << table;

    Report report("x");
    const ImageSet images = discs(2, 8, 1);
    const std::vector<std::string> names = {"small", "large"};
    add_evaluation_sections(report, evaluation, {images, images, images, names});
    const std::string html = report.html();
    EXPECT_NE(html.find("11.25"), std::string::npos);
    EXPECT_EQ(html.find("1.125"), std::string::npos);
    EXPECT_NE(html.find("R² is 0.80 in random256"), std::string::npos);
    // An intercept without a known fit is none either.
    evaluation.generated = {frechet("own256", 12.5, 11.25, std::nan(""))};
    EXPECT_EQ(evaluation_table(evaluation).find("11.25"), std::string::npos);
}

TEST(EvaluationReport, HoldsClassesBesideEachOther) {
    ImageEvaluation evaluation;
    evaluation.generated = {frechet("own256", 12.5, 11, 0.9)};
    for (const auto& [name, distance] : {std::pair("small", 3.5), std::pair("large", 4.75)}) {
        evaluation.by_class.push_back({.metric = "frechet_distance",
                                       .results = {{"frechet_distance", distance}},
                                       .extractor = {"own256", "00"},
                                       .n_generated = 30,
                                       .n_reference = 40,
                                       .of_class = name});
    }
    const std::string table = evaluation_table(evaluation);
    const std::string classes = table.substr(table.find("Each class"));
    EXPECT_NE(classes.find("small: 30 generated, 40 real"), std::string::npos) << table;
    const std::string line = row(classes, "own256", "frechet_distance");
    EXPECT_TRUE(line.find("3.5") < line.find("4.75")) << table;
    EXPECT_NE(line.find("4.75"), std::string::npos) << table;
}

TEST(EvaluationReport, SaysWhatScoreAndMemorisationMean) {
    ImageEvaluation evaluation;
    evaluation.generated = {frechet("own256", 12.5, 11, 0.9),
                            {.metric = "inception_score",
                             .results = {{"inception_score_mean", 1.25},
                                         {"inception_score_deviation", 0.5},
                                         {"inception_score_ceiling", 1.75},
                                         {"splits", 10}},
                             .extractor = {"own256", "00"},
                             .n_generated = 30},
                            {.metric = "memorisation",
                             .results = {{"c_t", -4.5}, {"ratio", 0.625}},
                             .extractor = {"own256", "00"}}};
    const std::string table = evaluation_table(evaluation);
    for (const char* part : {"1.2500 ± 0.5000 over 10 splits of 30 images, at most 1.7500",
                             "Memorisation in own256: C_T = -4.50", "patches 0.625"}) {
        EXPECT_NE(table.find(part), std::string::npos) << part << "\n" << table;
    }
}

MetricResult shares(double precision, double recall) {
    return {.metric = "precision_recall",
            .results = {{"precision", precision}, {"recall", recall}},
            .extractor = {"own256", "00"}};
}

MetricResult sharpness(double auc) {
    return {.metric = "texture", .results = {{"laplacian_auc", auc}}, .extractor = {"grey", ""}};
}

TEST(EvaluationReport, SaysFirstWhatCameOut) {
    ImageEvaluation evaluation;
    evaluation.generated = {frechet("own256", 12.5, 11, 0.9), shares(0.6, 0.01), sharpness(0.96)};
    evaluation.floor = {frechet("own256", 0.5, 0.4, 0.9), shares(0.85, 0.79), sharpness(0.51)};
    for (MetricResult& result : evaluation.floor) {
        result.compared = "other patients";
    }
    std::vector<EvaluationVerdict> verdicts = evaluation_verdicts(evaluation);
    ASSERT_EQ(verdicts.size(), 2u);
    EXPECT_EQ(
        verdicts[0].text,
        "60 % of the fakes lie among real patches (other patients: 85 %), and 1 % of the real "
        "patches among fakes (other patients: 79 %), in the classifier's features (own256).");
    EXPECT_TRUE(verdicts[0].bad);
    EXPECT_NE(verdicts[1].text.find("AUC 0.960 (other patients: 0.510)"), std::string::npos);
    EXPECT_TRUE(verdicts[1].bad);
    // Half of what real patches reach is no fault that is said, nor is 0 where these reach 0.
    evaluation.generated = {frechet("own256", 12.5, 11, 0.9), shares(0.43, 0.4), sharpness(0.7)};
    verdicts = evaluation_verdicts(evaluation);
    EXPECT_FALSE(verdicts[0].bad);
    EXPECT_FALSE(verdicts[1].bad);
    // Without floors and shares: the distance, and no empty brackets.
    evaluation.floor.clear();
    evaluation.generated = {frechet("random256", 12.5, 11, 0.9)};
    verdicts = evaluation_verdicts(evaluation);
    ASSERT_EQ(verdicts.size(), 1u);
    EXPECT_EQ(verdicts[0].text,
              "The Fréchet distance between fakes and real patches is 12.5, in an "
              "untrained network's features (random256).");
    for (const auto& [c_t, copied] : {std::pair(-3.5, true), std::pair(2.0, false)}) {
        evaluation.generated = {{.metric = "memorisation", .results = {{"c_t", c_t}}}};
        verdicts = evaluation_verdicts(evaluation);
        ASSERT_EQ(verdicts.size(), 1u);
        EXPECT_EQ(verdicts[0].bad, copied) << verdicts[0].text;
    }
    evaluation.generated = {
        {.metric = "membership", .results = {{"auc", 0.6}, {"auc_low", 0.55}, {"auc_high", 0.7}}}};
    EXPECT_TRUE(evaluation_verdicts(evaluation).at(0).bad);
    evaluation.generated[0].results[1].second = 0.45; // chance explains it
    EXPECT_TRUE(evaluation_verdicts(evaluation).empty());
}

TEST(EvaluationReport, BeginsWithPicturesAndNamesMeasures) {
    ImageEvaluation evaluation;
    evaluation.generated = {frechet("own256", 12.5, 11, 0.9), shares(0.6, 0.01)};
    const ImageSet fakes = discs(20, 8, 1), real = discs(21, 8, 2), none{real.shape, {}, {}};
    const std::vector<std::string> names = {"small", "large"};
    Report report("x");
    add_evaluation_sections(report, evaluation, {fakes, real, none, names});
    const std::string html = report.html();
    EXPECT_LT(html.find("of the fakes lie among"), html.find("<img "));
    EXPECT_LT(html.find("<img "), html.find("<svg "));
    EXPECT_LT(html.find("<svg "), html.find("<td class=\"number\""));
    EXPECT_EQ(html.find("frechet_distance"), std::string::npos);
    EXPECT_NE(html.find("fakes among real patches (precision)"), std::string::npos);

    PictureSheet sheet = fakes_beside_real(fakes, real, names);
    EXPECT_EQ(sheet.row_names, (std::vector<std::string>{"real: small", "fakes: small",
                                                         "real: large", "fakes: large"}));
    for (const auto& row : sheet.rows) {
        EXPECT_EQ(row.size(), 8u);
    }
    const auto third = std::span(real.bytes).subspan(3 * 3 * 64, 3 * 64); // the second large one
    EXPECT_TRUE(std::ranges::equal(sheet.rows[2][1].pixels, third));
    ImageSet unlabelled = fakes;
    unlabelled.labels.clear();
    sheet = fakes_beside_real(unlabelled, real, names);
    EXPECT_EQ(sheet.row_names,
              (std::vector<std::string>{"real patches", "fakes", "real patches", "fakes"}));
    EXPECT_NE(sheet.rows[1][0].pixels, sheet.rows[3][0].pixels);
}

TEST(EvaluationReport, ShowsTheNearestCopies) {
    const ImageSet generated = discs(3, 8, 1), training = discs(4, 8, 2), held_out = discs(4, 8, 3);
    ImageEvaluation evaluation;
    evaluation.memorisation.generated_to_training = {{1, 3.0}, {2, 1.0}, {3, 2.0}};
    evaluation.memorisation.generated_to_held_out = {{0, 5.0}, {1, 5.0}, {2, 5.0}};
    const PictureSheet sheet = memorisation_sheet(evaluation, generated, training, held_out, 2);
    ASSERT_EQ(sheet.rows.size(), 2u);
    EXPECT_EQ(sheet.row_names.front(), "1.00 to training, 5.00 to held out");
    const std::size_t pixels = generated.bytes.size() / 3; // the second of the generated ones
    EXPECT_TRUE(std::ranges::equal(sheet.rows.front().front().pixels,
                                   std::span(generated.bytes).subspan(pixels, pixels)));
}

} // namespace
} // namespace patchforge
