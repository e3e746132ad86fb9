#include "host/evaluate/evaluation_report.h"

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
    add_evaluation_sections(report, evaluation, images, images, images);
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
