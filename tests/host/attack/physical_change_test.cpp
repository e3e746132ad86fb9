// Attacks on pictures that change on their way to the classifier.
#include "host/attack/physical_change.h"

#include <gtest/gtest.h>

#include <cmath>

#include "host/files/json.h"
#include "host/trial/attack_table.h"
#include "tests/host/attack/attacked_models.h"
#include "tests/kernels/backends.h"

namespace patchforge::testing {
namespace {

class PhysicalChangeTest : public BackendTest {};
PATCHFORGE_ON_EVERY_BACKEND(PhysicalChangeTest);

constexpr PhysicalChange smooth{0.2, 1.5, 1, 0.1, 0};

// The slope of the mean loss over changes, by differences of what is computed, along the gradient
// that attacks follow: of a linear victim, whose loss is smooth.
TEST_P(PhysicalChangeTest, GradientOfTheMeanLoss) {
    const ClassifierFormat format = format_of(2, 7, 6, 3);
    constexpr std::int64_t rows = 2, pixels = 84;
    std::vector<float> weight, x;
    for (std::int64_t e = 0; e < 3 * pixels; ++e) {
        weight.push_back(0.3f * std::sin(static_cast<float>(e * e % 97)));
    }
    for (std::int64_t e = 0; e < rows * pixels; ++e) {
        x.push_back(0.5f + 0.25f * std::sin(static_cast<float>(e * 7 % 31)));
    }
    const auto model =
        model_of(backend(), classifier_shape(format, {}, 0), format, {weight, {0.1f, 0, -0.1f}});
    WhiteBoxVictim victim({model.get()}, rows);
    Camera camera(backend(), {2, 7, 6}, rows, smooth);
    DeviceArray<float> device_x(backend(), rows * pixels), by_seen(backend(), rows * pixels),
        by_pixels(backend(), rows * pixels), loss(backend(), rows);
    DeviceArray<std::int32_t> label(backend(), rows);
    const std::int32_t labels[rows] = {2, 0};
    label.upload(labels, rows);
    std::vector<double> gradient(x.size());
    const auto mean_loss = [&](const std::vector<float>& at, bool wanted) {
        constexpr int draws = 3;
        double sum = 0;
        device_x.upload(at.data(), std::ssize(at));
        for (int draw = 0; draw < draws; ++draw) {
            const RandomStream random = attack_stream(5, AttackStream::changes, draw);
            victim.gradient(by_seen.matrix(rows, pixels), loss.view(),
                            camera.see(device_x.matrix(rows, pixels), random), label.view(), {});
            float losses[rows];
            loss.download(losses, rows);
            sum += (double{losses[0]} + losses[1]) / draws;
            camera.gradient(by_pixels.matrix(rows, pixels), by_seen.matrix(rows, pixels), random);
            std::vector<float> one(x.size());
            by_pixels.download(one.data(), std::ssize(one));
            for (std::size_t e = 0; wanted && e < one.size(); ++e) {
                gradient[e] += double{one[e]} / draws;
            }
        }
        return sum;
    };
    mean_loss(x, true);
    for (int direction = 0; direction < 6; ++direction) {
        constexpr double h = 0.02; // pixels stay within [0, 1]
        std::vector<float> above = x, below = x;
        double claimed = 0;
        for (std::size_t e = 0; e < x.size(); ++e) {
            const double along = direction == 0 ? (gradient[e] > 0 ? 1 : -1)
                                                : std::sin(static_cast<double>(e) * direction);
            above[e] = static_cast<float>(x[e] + h * along);
            below[e] = static_cast<float>(x[e] - h * along);
            claimed += gradient[e] * (double{above[e]} - below[e]) / (2 * h);
        }
        const double measured = (mean_loss(above, false) - mean_loss(below, false)) / (2 * h);
        EXPECT_FALSE(!(std::fabs(measured - claimed) <= 2e-3 * (0.05 + std::fabs(measured))))
            << direction << ": " << measured << ", claimed " << claimed;
    }
    double largest = 0;
    for (const double g : gradient) {
        largest = std::max(largest, std::fabs(g));
    }
    EXPECT_GT(largest, 1e-3);
}

AttackOptions pgd_options(const PhysicalChange& change, std::int64_t draws) {
    AttackOptions options;
    options.method = attack_method("pgd");
    options.steps = 5;
    options.batch_size = 8;
    options.change = change;
    options.change_draws = draws;
    return options;
}

// An attack that knows nothing of changes makes the same images, which then are judged by them.
TEST_P(PhysicalChangeTest, JudgingChangesNoAttack) {
    const auto model = random_model(backend(), format_of(3, 9, 8, 2), 11);
    const AttackSet set = set_for(*model, 13, 12);
    const AttackResult plain =
        AttackRunner({model.get()}, nullptr, set, pgd_options({}, 8)).run(0.02);
    const PhysicalChange physical = parse_physical_change("physical");
    const AttackOptions options = pgd_options(physical, 0);
    const AttackResult judged = AttackRunner({model.get()}, nullptr, set, options).run(0.02);
    EXPECT_EQ(plain.levels, judged.levels);
    EXPECT_FALSE(plain.changed);
    const AttackSummary s = summarise(judged, set, options, {"0", "1"}, 216);
    EXPECT_TRUE(s.changed_accuracy > 0 && s.changed_accuracy < 1) << s.changed_accuracy;
    EXPECT_TRUE(summaries_json({s}).back().contains("changed_asr"));
    const AttackSummary before = summarise(plain, set, pgd_options({}, 8), {"0", "1"}, 216);
    EXPECT_EQ(summaries_json({before}).dump().find("changed"), std::string::npos);
    EXPECT_EQ(table_columns({before}).size() + 2, table_columns({before, s}).size());

    const AttackOptions climbing = pgd_options(physical, 2);
    const AttackResult climbed = AttackRunner({model.get()}, nullptr, set, climbing).run(0.02);
    EXPECT_NE(climbed.levels, plain.levels);
    EXPECT_EQ(climbed.violations.ball + climbed.violations.box + climbed.violations.not_finite, 0);
    EXPECT_EQ(climbed.levels, AttackRunner({model.get()}, nullptr, set, climbing).run(0.02).levels);
}

// Noise that a classifier with fine detail falls for is washed out by a camera; what was climbed over
// changes is not.
TEST(PhysicalChange, ClimbingOverChangesOutlivesThem) {
    const auto backend = make_backend("cpu");
    const auto model = random_model(*backend, format_of(1, 16, 16, 2), 3);
    AttackSet set = set_for(*model, 64, 5);
    AttackOptions options = pgd_options({0.1, 1, 1, 0.1, 0}, 0);
    options.steps = 20;
    const auto success = [&](std::int64_t draws) {
        options.change_draws = draws;
        const AttackResult result = AttackRunner({model.get()}, nullptr, set, options).run(0.1);
        return summarise(result, set, options, {"0", "1"}, 256);
    };
    const AttackSummary blind = success(0), knowing = success(12);
    EXPECT_GT(blind.success_rate(), 0.9);
    EXPECT_LT(blind.changed_success_rate, blind.success_rate() - 0.1);
    EXPECT_GT(knowing.changed_success_rate, blind.changed_success_rate + 0.1);
}

TEST(PhysicalChange, IsReadAndRefusedByName) {
    EXPECT_EQ(parse_physical_change("none"), PhysicalChange());
    const PhysicalChange change = parse_physical_change("shift=2,brightness=1/4,jpeg=60");
    EXPECT_EQ(change, (PhysicalChange{0, 2, 0, 0.25, 60}));
    EXPECT_EQ(parse_physical_change(change.text()), change);
    EXPECT_EQ(parse_physical_change(parse_physical_change("physical").text()),
              parse_physical_change("physical"));
    for (const char* wrong : {"", "zoom=1", "scale", "scale=1", "scale=-1", "shift=nan", "jpeg=0",
                              "jpeg=101", "jpeg=50.5", "shift=2,", "blur=x"}) {
        try {
            parse_physical_change(wrong);
            ADD_FAILURE() << "'" << wrong << "' was taken";
        } catch (const std::invalid_argument& error) {
            EXPECT_EQ(std::string(error.what()).find("--transform"), 0u) << error.what();
        }
    }
    AttackOptions options = pgd_options(change, 3);
    options.method = attack_method("cw");
    EXPECT_THROW(options.refuse_foreign({options.method}), std::invalid_argument);
    options.change_draws = 8;
    EXPECT_NO_THROW(options.refuse_foreign({options.method})); // judged by them all the same
}

} // namespace
} // namespace patchforge::testing
