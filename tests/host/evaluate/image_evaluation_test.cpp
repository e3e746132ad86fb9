#include "host/evaluate/image_evaluation.h"

#include "host/distance/frechet_distance.h"
#include "host/network/network_shape.h"
#include "tests/host/evaluate/images.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <stdexcept>

namespace patchforge {
namespace {

constexpr int size = 9;
const ImageSet none{{3, size, size}, {}, {}};
const ImageSet others = discs(images_for_components, size, 99);

// Untrained, with two classes: enough to be a function of the pixels.
std::unique_ptr<ClassifierModel> classifier(Backend& backend) {
    const ClassifierFormat format{3, size, size, {"small", "large"}, false};
    auto model =
        std::make_unique<ClassifierModel>(backend, classifier_shape(format, {16, 12}, 0), format);
    model->network().initialise(7, 0);
    return model;
}

double value(const std::vector<MetricResult>& lines, const std::string& extractor,
             const std::string& key, const std::string& of_class = "") {
    for (const MetricResult& line : lines) {
        for (const auto& [name, number] : line.results) {
            if (line.extractor.name == extractor && line.of_class == of_class && name == key) {
                return number;
            }
        }
    }
    return std::nan("");
}

TEST(ImageEvaluation, MeasuresEverythingInEveryExtractor) {
    const auto backend = make_backend("cpu", {});
    const auto model = classifier(*backend);
    const ImageSet reference = discs(90, size, 1), generated = discs(70, size, 2, 12);
    const ImageEvaluation evaluation = evaluate_images(
        reference, generated, reference, discs(60, size, 3), model.get(),
        {.seed = 5, .threads = 1, .class_names = {"small", "large"}, .others = &others});
    std::set<std::string> extractors, metrics;
    for (const MetricResult& line : evaluation.lines()) {
        extractors.insert(line.extractor.name);
        metrics.insert(line.metric);
        EXPECT_EQ(line.extractor.hash.empty(), line.metric == "texture") << line.metric;
        EXPECT_EQ(line.seed, 5u) << line.metric;
        EXPECT_FALSE(line.timestamp.empty()) << line.metric;
        for (const auto& [name, number] : line.results) {
            EXPECT_TRUE(std::isfinite(number)) << line.extractor.name << " " << name;
        }
    }
    EXPECT_EQ(extractors, (std::set<std::string>{"grey", "own12", "pixels-pca64", "random256"}));
    EXPECT_EQ(metrics,
              (std::set<std::string>{"frechet_distance", "kernel_distance", "precision_recall",
                                     "density_coverage", "sliced_distance", "inception_score",
                                     "memorisation", "texture"}));
    for (const MetricResult& line : evaluation.generated) {
        EXPECT_EQ(line.n_generated, 70) << line.metric;
        EXPECT_EQ(line.n_reference, 90) << line.metric;
    }
    // What the extractors' own functions give.
    const FeatureExtractor own = classifier_extractor(*model);
    EXPECT_EQ(own.name.hash, model->hash());
    const double expected = frechet_distance(own.features(reference), own.features(generated));
    EXPECT_TRUE(std::abs(value(evaluation.generated, "own12", "frechet_distance") - expected) <=
                1e-12 * expected);
    for (const std::string extractor : {"own12", "pixels-pca64", "random256"}) {
        const auto distance = [&](const std::vector<MetricResult>& lines) {
            return value(lines, extractor, "frechet_distance");
        };
        EXPECT_TRUE(distance(evaluation.noise) > distance(evaluation.generated)) << extractor;
        EXPECT_TRUE(distance(evaluation.other_class) > distance(evaluation.floor)) << extractor;
    }
    // Two classes in equal numbers: exp(ln 2).
    EXPECT_TRUE(std::abs(value(evaluation.generated, "own12", "inception_score_ceiling") - 2) <=
                1e-12);
    EXPECT_EQ(value(evaluation.generated, "own12", "splits"), 10);
}

// Weight [outputs, inputs, 3, 3] and bias on pictures [inputs, side, side] with zeros around them, then
// ReLU, in float64.
std::vector<double> convolved(const std::vector<double>& pictures, int side, int padding,
                              const Tensor& weight, const Tensor& bias) {
    const auto* w = reinterpret_cast<const float*>(weight.bytes.data());
    const auto* b = reinterpret_cast<const float*>(bias.bytes.data());
    const int out = side + 2 * padding - 2;
    const auto inputs = static_cast<int>(weight.shape[1]);
    std::vector<double> result;
    for (int o = 0; o < weight.shape[0]; ++o) {
        for (int y = 0; y < out; ++y) {
            for (int x = 0; x < out; ++x) {
                double sum = b[o];
                for (int k = 0; k < 9 * inputs; ++k) {
                    const int r = y + k % 9 / 3 - padding, c = x + k % 3 - padding;
                    if (r >= 0 && c >= 0 && r < side && c < side) {
                        sum += static_cast<double>(w[9 * inputs * o + k]) *
                               pictures[static_cast<std::size_t>((k / 9 * side + r) * side + c)];
                    }
                }
                result.push_back(std::max(sum, 0.0));
            }
        }
    }
    return result;
}

TEST(ImageEvaluation, MapsAreMeasuredByMeanAndDeviation) {
    const auto backend = make_backend("cpu", {});
    ClassifierModel model(*backend,
                          network_shape_from_description(
                              "3x9x9; conv 3>2 k3 p1 relu @0; conv 2>3 k3 relu @2; pool global; "
                              "linear 3>4 relu @6; linear 4>2 @8"),
                          {3, size, size, {"small", "large"}, false});
    model.network().initialise(11, 0);
    ASSERT_EQ(model.map_statistic_count(), 2 * (2 + 3)); // no map is a single number
    const FeatureExtractor maps = maps_extractor(model);
    EXPECT_EQ(maps.name.name, "maps10");
    const ImageSet images = discs(67, size, 4); // a batch and three
    const Features found = maps.features(images);
    ASSERT_EQ(found.count, 67);
    ASSERT_EQ(found.dimension, 10);
    const TensorFile weights = model.weights();
    double largest = 0, spread = 0;
    for (std::int64_t i = 0; i < 67; ++i) {
        std::vector<double> pixels;
        for (std::int64_t p = 0; p < 3 * size * size; ++p) {
            pixels.push_back(
                images.bytes[static_cast<std::size_t>(i * 3 * size * size + p)] / 127.5 - 1);
        }
        const auto first = convolved(pixels, size, 1, weights.at("0.weight"), weights.at("0.bias"));
        const auto second = convolved(first, size, 0, weights.at("2.weight"), weights.at("2.bias"));
        std::size_t column = 0;
        for (const auto& [values, count] : {std::pair(&first, 2), std::pair(&second, 3)}) {
            const std::size_t plane = values->size() / static_cast<std::size_t>(count);
            for (int m = 0; m < count; ++m) {
                double sum = 0, squares = 0;
                for (std::size_t p = 0; p < plane; ++p) {
                    const double v = (*values)[static_cast<std::size_t>(m) * plane + p];
                    sum += v;
                    squares += v * v;
                }
                const double mean = sum / static_cast<double>(plane);
                const double deviation =
                    std::sqrt(std::max(0.0, squares / static_cast<double>(plane) - mean * mean));
                const auto row = found.row(i);
                largest =
                    std::max({largest, std::abs(row[column] - mean),
                              std::abs(row[column + static_cast<std::size_t>(count)] - deviation)});
                spread = std::max(spread, deviation);
                ++column;
            }
            column += static_cast<std::size_t>(count);
        }
    }
    EXPECT_TRUE(largest <= 2e-6) << largest;
    EXPECT_TRUE(spread > 0.01) << spread;
}

TEST(ImageEvaluation, ComparesEachClassByItself) {
    const ImageSet reference = discs(80, size, 1);
    ImageSet generated = discs(80, size, 2);
    const ImageEvaluationOptions options{
        .threads = 1, .floors = false, .class_names = {"small", "large"}, .others = &others};
    const auto right = evaluate_images(reference, generated, none, none, nullptr, options);
    // The wrong way round, the classes are far apart; together they are what they were.
    for (std::int32_t& label : generated.labels) {
        label = 1 - label;
    }
    const auto wrong = evaluate_images(reference, generated, none, none, nullptr, options);
    for (const std::string name : {"small", "large"}) {
        const double a = value(right.by_class, "pixels-pca64", "frechet_distance", name);
        const double b = value(wrong.by_class, "pixels-pca64", "frechet_distance", name);
        EXPECT_TRUE(a < b) << name << " " << a << " " << b;
    }
    EXPECT_EQ(value(right.generated, "pixels-pca64", "frechet_distance"),
              value(wrong.generated, "pixels-pca64", "frechet_distance"));
    for (const MetricResult& line : right.by_class) {
        EXPECT_EQ(line.n_generated, 40);
        EXPECT_EQ(line.n_reference, 40);
    }
    // Nothing is said of classes with fewer than 20 images, or of images without classes.
    const auto few = evaluate_images(discs(39, size, 1), generated, none, none, nullptr, options);
    EXPECT_TRUE(std::isnan(value(few.by_class, "pixels-pca64", "frechet_distance", "large")));
    generated.labels.clear();
    EXPECT_TRUE(
        evaluate_images(reference, generated, none, none, nullptr, options).by_class.empty());
}

TEST(ImageEvaluation, SeesCopies) {
    const ImageSet training = discs(120, size, 1), held_out = discs(100, size, 2);
    ImageSet copies = training;
    copies.bytes.resize(copies.bytes.size() / 2);
    copies.labels.resize(60);
    const ImageEvaluationOptions options{.threads = 1, .floors = false, .others = &others};
    const auto copied = evaluate_images(training, copies, training, held_out, nullptr, options);
    EXPECT_EQ(value(copied.generated, "pixels-pca64", "ratio"), 1);
    EXPECT_TRUE(value(copied.generated, "pixels-pca64", "c_t") < -5);
    const auto fresh =
        evaluate_images(training, discs(60, size, 3), training, held_out, nullptr, options);
    EXPECT_TRUE(std::abs(value(fresh.generated, "pixels-pca64", "c_t")) < 4);
    // Left out without held-out images.
    const auto without = evaluate_images(training, copies, training, none, nullptr, options);
    EXPECT_TRUE(std::isnan(value(without.generated, "pixels-pca64", "c_t")));
    EXPECT_TRUE(without.memorisation.generated_to_training.empty());
}

// Components that are found with the images that they judge flatter these: recall of real images would
// be far below precision. So they are found with others, or left out and that is said.
TEST(ImageEvaluation, ComponentsAreFoundWithOtherImages) {
    const ImageSet reference = discs(200, size, 1), generated = discs(200, size, 2);
    ImageEvaluationOptions options{.threads = 1, .floors = true, .others = &others};
    const auto fair = evaluate_images(reference, generated, none, none, nullptr, options);
    const double precision = value(fair.generated, "pixels-pca64", "precision");
    const double recall = value(fair.generated, "pixels-pca64", "recall");
    EXPECT_TRUE(std::abs(precision - recall) < 0.1) << precision << " " << recall;
    EXPECT_TRUE(value(fair.noise, "pixels-pca64", "precision") < 0.1);
    EXPECT_EQ(fair.left_out, "");
    const ImageSet few = discs(images_for_components - 1, size, 99);
    for (const ImageSet* given : {static_cast<const ImageSet*>(nullptr), &few}) {
        options.others = given;
        const auto without = evaluate_images(reference, generated, none, none, nullptr, options);
        EXPECT_TRUE(std::isnan(value(without.generated, "pixels-pca64", "precision")));
        EXPECT_FALSE(std::isnan(value(without.generated, "random256", "precision")));
        EXPECT_NE(without.left_out.find("--count"), std::string::npos);
    }
}

// No labels, or those of other classes: no ceiling.
TEST(ImageEvaluation, CeilingNeedsTheClassifiersClasses) {
    const auto backend = make_backend("cpu", {});
    const auto model = classifier(*backend);
    ImageSet reference = discs(40, size, 1);
    const auto ceiling = [&](std::vector<std::string> names) {
        const auto evaluation =
            evaluate_images(reference, discs(40, size, 2), none, none, model.get(),
                            {.threads = 1, .floors = false, .class_names = std::move(names)});
        return value(evaluation.generated, "own12", "inception_score_ceiling");
    };
    EXPECT_TRUE(std::abs(ceiling({"small", "large"}) - 2) <= 1e-12);
    EXPECT_TRUE(std::isnan(ceiling({"ant", "bee"})));
    std::ranges::fill(reference.labels, -1);
    EXPECT_TRUE(std::isnan(ceiling({"small", "large"})));
    reference.labels.clear();
    EXPECT_TRUE(std::isnan(ceiling({"small", "large"})));
}

TEST(ImageEvaluation, AsksForTwentyImages) {
    const ImageSet enough = discs(20, size, 1), few = discs(19, size, 2);
    EXPECT_NO_THROW(evaluate_images(enough, enough, none, none, nullptr, {.floors = false}));
    for (const auto& [reference, generated] : {std::pair(enough, few), std::pair(few, enough)}) {
        try {
            evaluate_images(reference, generated, none, none, nullptr, {});
            ADD_FAILURE() << "not refused";
        } catch (const std::invalid_argument& error) {
            EXPECT_NE(std::string(error.what()).find("give at least 20 of each"), std::string::npos)
                << error.what();
        }
    }
}

} // namespace
} // namespace patchforge
