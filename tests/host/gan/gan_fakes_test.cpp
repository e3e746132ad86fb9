// The fakes of both steps from one pass, against the same run that draws them step by step.
#include <gtest/gtest.h>

#include "host/gan/gan_trainer.h"
#include "tests/host/train/random_patches.h"
#include "tests/kernels/backends.h"

namespace patchforge::testing {
namespace {

class GanFakesTest : public BackendTest {};
PATCHFORGE_ON_EVERY_BACKEND(GanFakesTest);

TEST_P(GanFakesTest, OnePassForBothStepsChangesNothing) {
    const unsigned seed = 5;
    const RandomPatches patches(seed, 37, 3, 4, 4);
    GanOptions options;
    options.batch_size = 10; // the epoch's last batch has 7 rows
    options.latent_dim = 6;
    options.hidden_dims = {32, 20};
    options.learning_rate_d = options.learning_rate_g = 1e-3;
    options.seed = seed;
    options.steps = 100;
    GanTrainer together(backend(), options, patches.rows);
    // A term that vanishes in float32, but looks at the patches beside G's fakes: step by step.
    options.lambda_pixel = 1e-40;
    GanTrainer apart(backend(), options, patches.rows);
    const auto a = together.run(9);
    const auto b = apart.run(9);
    for (std::size_t i = 0; i < a.size(); ++i) {
        SCOPED_TRACE(::testing::Message() << "iteration " << i << ", seed " << seed);
        const auto expect_close = [](double x, double y) {
            EXPECT_TRUE(std::abs(x - y) <= 1e-4 * std::abs(y)) << x << " and " << y;
        };
        expect_close(a[i].loss_d_real, b[i].loss_d_real);
        expect_close(a[i].loss_d_fake, b[i].loss_d_fake);
        expect_close(a[i].loss_g, b[i].loss_g);
    }
    // And they did move: a step that is left out would show.
    EXPECT_GT(std::abs(a.front().loss_g - a.back().loss_g), 1e-3);
}

} // namespace
} // namespace patchforge::testing
