// Losses on logits against the oracle, published values, and logits far out.
#include "tests/oracle/loss.h"

#include "tests/kernels/backends.h"
#include "tests/kernels/comparison.h"
#include "tests/kernels/guarded_array.h"

namespace patchforge::testing {
namespace {

const std::vector<GanLoss> every_loss{
    GanLoss::non_saturating, GanLoss::minimax, GanLoss::least_squares,     GanLoss::hinge,
    GanLoss::wasserstein,    GanLoss::pearson, GanLoss::maximum_likelihood};

class LossTest : public BackendTest {
  protected:
    struct Result {
        std::vector<float> metrics, d_logit;
    };

    Result discriminator(const std::vector<float>& logit, std::int64_t real_count, GanLoss loss,
                         float real_label, int shift = 0) {
        const auto on_device = GuardedArray<float>::input(backend(), logit, shift);
        const auto d_logit = GuardedArray<float>::output(backend(), on_device.size(), shift);
        const auto metrics =
            GuardedArray<float>::output(backend(), DiscriminatorMetrics::count, shift);
        backend().discriminator_loss(d_logit.view(), metrics.view(), on_device.view(), real_count,
                                     loss, real_label);
        return {metrics.values(), d_logit.values()};
    }

    Result generator(const std::vector<float>& logit, GanLoss loss, int shift = 0) {
        const auto on_device = GuardedArray<float>::input(backend(), logit, shift);
        const auto d_logit = GuardedArray<float>::output(backend(), on_device.size(), shift);
        const auto metrics = GuardedArray<float>::output(backend(), GeneratorMetrics::count, shift);
        backend().generator_loss(d_logit.view(), metrics.view(), on_device.view(), loss);
        return {metrics.values(), d_logit.values()};
    }

    // Every term is a few roundings of itself or of 1; a mean adds the roundings of its sum.
    static void compare(const Result& actual, const oracle::LossAndGradient& expected,
                        double scale) {
        const double rows = static_cast<double>(actual.d_logit.size());
        const double mean = unit_roundoff * (8 + std::sqrt(rows) / 4) * scale;
        expect_close(actual.metrics, expected.metrics, mean, "metrics");
        std::vector<double> tolerance;
        double largest = 0;
        for (const double d : expected.d_logit) {
            largest = std::max(largest, std::fabs(d));
        }
        for (const double d : expected.d_logit) {
            tolerance.push_back(unit_roundoff * (8 * std::fabs(d) + 4 * largest));
        }
        expect_close(actual.d_logit, expected.d_logit, tolerance, 1, "d_logit");
    }
};
PATCHFORGE_ON_EVERY_BACKEND(LossTest);

TEST_P(LossTest, DiscriminatorAgreesWithTheOracle) {
    const std::vector<std::pair<std::int64_t, std::int64_t>> rows{
        {1, 1}, {1, 2}, {3, 7}, {8, 8}, {10, 10}, {31, 33}, {100, 64}, {129, 200}, {257, 255}};
    for (const auto& [reals, fakes] : rows) {
        for (const GanLoss loss : every_loss) {
            for (const float label : {1.0f, 0.9f}) {
                const int shift = static_cast<int>(reals % 3);
                SCOPED_TRACE(describe("reals", reals, "fakes", fakes, "loss",
                                      static_cast<int>(loss), "label", label, "shift", shift));
                const auto logit = random_values(11 + reals, reals + fakes, -6, 6);
                compare(discriminator(logit, reals, loss, label, shift),
                        oracle::discriminator_loss(oracle::to_double(logit), reals, loss, label),
                        25);
            }
        }
    }
}

TEST_P(LossTest, GeneratorAgreesWithTheOracle) {
    for (const std::int64_t fakes : {1, 2, 3, 8, 10, 31, 33, 64, 129, 200, 257, 1025}) {
        for (const GanLoss loss : every_loss) {
            SCOPED_TRACE(describe("fakes", fakes, "loss", static_cast<int>(loss)));
            const auto logit = random_values(12 + fakes, fakes, -6, 6);
            compare(generator(logit, loss, fakes % 2),
                    oracle::generator_loss(oracle::to_double(logit), loss),
                    loss == GanLoss::maximum_likelihood ? 400 : 25); // exp(6)
        }
    }
}

// torchgan's own test (tests/torchgan/test_losses.py), recomputed in float64. Its least-squares and
// Wasserstein losses stand on raw outputs, as ours do.
TEST_P(LossTest, ValuesPublishedByTorchgan) {
    const std::vector<float> real{1.3f, 2.9f, 8.4f, 6.3f};
    const std::vector<float> fake{4.8f, 1.2f, -3.5f, 5.9f};
    std::vector<float> both = real;
    both.insert(both.end(), fake.begin(), fake.end());
    const auto total = [&](GanLoss loss, float label) {
        const Result result = discriminator(both, 4, loss, label);
        return double{result.metrics[DiscriminatorMetrics::loss_real]} +
               double{result.metrics[DiscriminatorMetrics::loss_fake]};
    };
    const auto forged = [&](GanLoss loss) {
        return double{generator(fake, loss).metrics[GeneratorMetrics::loss]};
    };
    EXPECT_NEAR(total(GanLoss::non_saturating, 1), 3.1251488, 1e-6);
    EXPECT_NEAR(total(GanLoss::minimax, 1), 3.1251488, 1e-6);
    EXPECT_NEAR(total(GanLoss::non_saturating, 0.9f), 3.5976488, 1e-6);
    EXPECT_NEAR(total(GanLoss::wasserstein, 1), -2.625, 1e-6);
    EXPECT_NEAR(total(GanLoss::least_squares, 1), 19.76125, 4e-6);
    EXPECT_NEAR(forged(GanLoss::non_saturating), 0.9509911, 1e-6);
    EXPECT_NEAR(forged(GanLoss::minimax), -3.0509912, 1e-6);
    EXPECT_NEAR(forged(GanLoss::wasserstein), -2.1, 1e-6);
    EXPECT_NEAR(forged(GanLoss::least_squares), 7.3425, 2e-6);
}

// Where the generator has won, D is half the real label, and both losses are known numbers.
TEST_P(LossTest, Equilibrium) {
    struct Known {
        float label;
        double probability, discriminator, generator;
    };
    for (const Known& known :
         {Known{1, 0.5, 1.386294361, 0.693147181}, Known{0.9f, 0.45, 1.376277627, 0.798507696},
          Known{0.75f, 0.375, 1.323126476, 0.980829253}}) {
        SCOPED_TRACE(describe("label", known.label));
        const auto logit =
            static_cast<float>(std::log(known.probability / (1 - known.probability)));
        const Result d =
            discriminator(std::vector<float>(20, logit), 10, GanLoss::non_saturating, known.label);
        EXPECT_NEAR(d.metrics[DiscriminatorMetrics::loss_real] +
                        d.metrics[DiscriminatorMetrics::loss_fake],
                    known.discriminator, 4e-7);
        EXPECT_NEAR(d.metrics[DiscriminatorMetrics::probability_real], known.probability, 2e-7);
        EXPECT_NEAR(d.metrics[DiscriminatorMetrics::probability_fake], known.probability, 2e-7);
        const Result g = generator(std::vector<float>(10, logit), GanLoss::non_saturating);
        EXPECT_NEAR(g.metrics[GeneratorMetrics::loss], known.generator, 3e-7);
        double pull = 0; // at the optimum the gradients of a real and a fake at one place cancel
        for (const float d_logit : d.d_logit) {
            pull += d_logit;
        }
        EXPECT_NEAR(pull, 0, 5e-7);
    }
}

// By hand: logits 3 and -1 of patches, 0 and -2 of fakes. At rest all are 0.
TEST_P(LossTest, LeastSquaresAroundZero) {
    const Result d = discriminator({3, -1, 0, -2}, 2, GanLoss::pearson, 1);
    EXPECT_FLOAT_EQ(d.metrics[DiscriminatorMetrics::loss_real], 2);
    EXPECT_FLOAT_EQ(d.metrics[DiscriminatorMetrics::loss_fake], 0.5F);
    EXPECT_EQ(d.d_logit, (std::vector<float>{1, -1, 0.5F, -0.5F}));
    const Result g = generator({3, -1}, GanLoss::pearson);
    EXPECT_FLOAT_EQ(g.metrics[GeneratorMetrics::loss], 2.5F);
    EXPECT_EQ(g.d_logit, (std::vector<float>{1.5F, -0.5F}));
    const Result rest = discriminator({0, 0}, 1, GanLoss::pearson, 1);
    EXPECT_EQ(rest.d_logit, (std::vector<float>{-1, 1}));
}

TEST_P(LossTest, FarLogitsStayFiniteAndKeepTheirGradient) {
    for (const float far : {50.0f, 200.0f, 1e30f}) {
        for (const GanLoss loss : {GanLoss::non_saturating, GanLoss::minimax}) {
            SCOPED_TRACE(describe("logit", far, "loss", static_cast<int>(loss)));
            const std::vector<float> logit{far, -far, far, -far};
            const Result d = discriminator(logit, 2, loss, 1);
            EXPECT_EQ(d.metrics[DiscriminatorMetrics::loss_real], far / 2);
            EXPECT_EQ(d.metrics[DiscriminatorMetrics::loss_fake], far / 2);
            EXPECT_EQ(d.metrics[DiscriminatorMetrics::accuracy], 0.5f);
            const std::vector<double> pull{0, -0.5, 0.5, 0};
            expect_close(d.d_logit, pull, 1e-7, "d_logit");
            const Result g = generator({far, -far}, loss);
            EXPECT_EQ(g.metrics[GeneratorMetrics::loss],
                      loss == GanLoss::minimax ? -far / 2 : far / 2);
            const std::vector<double> generator_pull = loss == GanLoss::minimax
                                                           ? std::vector<double>{-0.5, 0}
                                                           : std::vector<double>{0, -0.5};
            expect_close(g.d_logit, generator_pull, 1e-7, "generator d_logit");
        }
    }
}

// By hand: exp(0) and exp(ln 3); beyond 20 the loss is a straight line and the gradient stays.
TEST_P(LossTest, MaximumLikelihood) {
    const Result g = generator({0, std::log(3.0f)}, GanLoss::maximum_likelihood);
    EXPECT_FLOAT_EQ(g.metrics[GeneratorMetrics::loss], -1);
    EXPECT_FLOAT_EQ(g.d_logit[0], -0.25F);
    EXPECT_FLOAT_EQ(g.d_logit[1], -0.75F);
    const auto most = static_cast<float>(-0.5 * std::exp(20.0));
    for (const float far : {20.0f, 200.0f, 1e20f}) {
        const Result high = generator({far}, GanLoss::maximum_likelihood);
        EXPECT_NEAR(high.d_logit[0] / most, 1, 1e-6);
        EXPECT_NEAR(high.metrics[GeneratorMetrics::loss] / (double{most} * (double{far} - 19)), 1,
                    1e-6);
        const Result low = generator({-far}, GanLoss::maximum_likelihood);
        EXPECT_LE(std::fabs(low.d_logit[0]), 1.1e-9f);
    }
}

TEST_P(LossTest, AccuracyCountsAnUndecidedRowAsFake) {
    const Result d = discriminator({0, 1, 0, -1, 1}, 2, GanLoss::non_saturating, 1);
    EXPECT_FLOAT_EQ(d.metrics[DiscriminatorMetrics::accuracy], 3 / 5.0f);
}

TEST_P(LossTest, BinaryCrossEntropyByRow) {
    for (const std::int64_t rows : {1, 2, 7, 10, 33, 100, 257}) {
        for (const bool weighted : {false, true}) {
            const int shift = static_cast<int>(rows % 3);
            SCOPED_TRACE(describe("rows", rows, "weighted", weighted));
            auto logit = random_values(21, rows, -8, 8);
            logit[0] = 200;
            std::vector<std::int32_t> label(rows);
            for (std::int64_t row = 0; row < rows; ++row) {
                label[row] = row * 7 % 3 == 0;
            }
            const std::vector<float> weight =
                weighted ? std::vector<float>{0.7f, 2.5f} : std::vector<float>{};
            const float scale = 1 / static_cast<float>(rows);

            const auto logit_on_device = GuardedArray<float>::input(backend(), logit, shift);
            const auto label_on_device = GuardedArray<std::int32_t>::input(backend(), label, shift);
            const auto weight_on_device = GuardedArray<float>::input(backend(), weight, shift);
            const auto d_logit = GuardedArray<float>::output(backend(), rows, shift);
            const auto loss = GuardedArray<float>::output(backend(), rows, shift);
            const auto d_alone = GuardedArray<float>::output(backend(), rows, shift);
            const auto loss_alone = GuardedArray<float>::output(backend(), rows, shift);
            const auto run = [&](Vector<float> d, Vector<float> l) {
                backend().binary_cross_entropy(d, l, logit_on_device.view(), label_on_device.view(),
                                               weight_on_device.view(), scale);
            };
            run(d_logit.view(), loss.view());
            run(d_alone.view(), {});
            run({}, loss_alone.view());

            std::vector<double> expected_loss, expected_d, loss_tolerance, d_tolerance;
            for (std::int64_t row = 0; row < rows; ++row) {
                const double l = logit[row];
                const double w = weighted ? weight[label[row]] : 1.0;
                expected_loss.push_back(oracle::binary_cross_entropy(l, label[row]));
                expected_d.push_back(scale * w * (oracle::sigmoid(l) - label[row]));
                loss_tolerance.push_back(unit_roundoff * (4 * std::fabs(expected_loss.back()) + 4));
                d_tolerance.push_back(unit_roundoff * 6 * scale * w);
            }
            expect_close(loss.values(), expected_loss, loss_tolerance, 1, "loss");
            expect_close(d_logit.values(), expected_d, d_tolerance, 1, "d_logit");
            EXPECT_EQ(d_alone.values(), d_logit.values());
            EXPECT_EQ(loss_alone.values(), loss.values());
        }
    }
}

TEST_P(LossTest, SoftmaxCrossEntropyByRow) {
    for (const std::int64_t classes : {2, 3, 10, 31, 33, 257, 1000}) {
        for (const std::int64_t rows : {1, 3, 10, 33}) {
            const bool weighted = rows % 2;
            const int shift = static_cast<int>(rows % 3);
            SCOPED_TRACE(describe("rows", rows, "classes", classes, "weighted", weighted));
            auto logit = random_values(22, rows * classes, -8, 8);
            logit[0] = 300;
            logit[1] = -300;
            std::vector<std::int32_t> label(rows);
            for (std::int64_t row = 0; row < rows; ++row) {
                label[row] = static_cast<std::int32_t>((row * 5 + 1) % classes);
            }
            const auto weight = random_values(23, weighted ? classes : 0, 0.5f, 2);
            const float scale = 1 / static_cast<float>(rows);

            const auto logit_on_device = GuardedArray<float>::input(backend(), logit, shift);
            const auto label_on_device = GuardedArray<std::int32_t>::input(backend(), label, shift);
            const auto weight_on_device = GuardedArray<float>::input(backend(), weight, shift);
            const auto d_logit = GuardedArray<float>::output(backend(), rows * classes, shift);
            const auto loss = GuardedArray<float>::output(backend(), rows, shift);
            const auto d_alone = GuardedArray<float>::output(backend(), rows * classes, shift);
            const auto loss_alone = GuardedArray<float>::output(backend(), rows, shift);
            const auto run = [&](Matrix<float> d, Vector<float> l) {
                backend().softmax_cross_entropy(d, l, logit_on_device.matrix(rows, classes),
                                                label_on_device.view(), weight_on_device.view(),
                                                scale);
            };
            run(d_logit.matrix(rows, classes), loss.view());
            run(d_alone.matrix(rows, classes), {});
            run({}, loss_alone.view());

            std::vector<double> expected_loss, expected_d, loss_tolerance, d_tolerance;
            for (std::int64_t row = 0; row < rows; ++row) {
                const std::vector<double> one(logit.begin() + row * classes,
                                              logit.begin() + (row + 1) * classes);
                const oracle::LossAndGradient exact =
                    oracle::softmax_cross_entropy(one, label[row]);
                expected_loss.push_back(exact.metrics[0]);
                // The log of a sum of exponentials, beside the largest logit.
                loss_tolerance.push_back(unit_roundoff *
                                         (16 + 4 * std::fabs(exact.metrics[0]) +
                                          std::fabs(one[0]) / 16 + std::log(classes)));
                const double factor = scale * (weighted ? weight[label[row]] : 1.0);
                for (const double d : exact.d_logit) {
                    expected_d.push_back(factor * d);
                    // exp(l - highest) loses as many roundings as its argument is large.
                    d_tolerance.push_back(unit_roundoff * factor *
                                          ((24 + std::sqrt(classes) / 4) * std::fabs(d) + 2));
                }
            }
            expect_close(loss.values(), expected_loss, loss_tolerance, 1, "loss");
            expect_close(d_logit.values(), expected_d, d_tolerance, classes, "d_logit");
            EXPECT_EQ(d_alone.values(), d_logit.values());
            EXPECT_EQ(loss_alone.values(), loss.values());
        }
    }
}

} // namespace
} // namespace patchforge::testing
