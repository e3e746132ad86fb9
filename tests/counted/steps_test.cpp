// What the kernels of whole steps declare against what they touch, at the sizes of the mission:
// patches of 7500 pixels, hidden layers of 256.
#include <gtest/gtest.h>

#include "host/classifier/classifier_trainer.h"
#include "host/gan/gan_trainer.h"
#include "host/plan/iteration_plan.h"
#include "tests/counted/counted_bytes.h"
#include "tests/host/attack/attacked_models.h"
#include "tests/host/train/random_patches.h"

namespace patchforge {
namespace {

constexpr double h100_l2 = 50e6;
constexpr unsigned seed = 1;

class CountedBytesTest : public ::testing::Test {
  protected:
    Backend& backend() { return *backend_; }
    std::vector<KernelTraffic> counted(const std::function<void()>& body) {
        return count_traffic(*backend_, body);
    }

  private:
    std::unique_ptr<Backend> backend_ = make_cuda_backend(0);
};

std::vector<KernelTraffic> counts_of(const IterationPlan& plan) {
    std::vector<KernelTraffic> counts;
    for (const PlannedKernel& kernel : plan.kernels) {
        counts.push_back(kernel.counted.value());
    }
    return counts;
}

TEST_F(CountedBytesTest, RoundedGanIterationTouchesWhatItDeclares) {
    const auto rounded = make_cuda_backend(0, {.precision = Precision::tf32});
    GanOptions options;
    options.batch_size = 13;
    testing::expect_declared(counts_of(plan_gan_iteration(*rounded, options, {}, h100_l2, true)));
}

// Two iterations in one kernel, which keeps the weights on chip in between; smaller, for many blocks
// that take turns are slow here.
TEST_F(CountedBytesTest, PersistentIterationsTouchWhatTheyDeclare) {
    const testing::RandomPatches patches(seed, 20, 3, 25, 25, 2);
    GanOptions options;
    options.batch_size = 10;
    options.hidden_dims = {128, 128};
    options.persistent = true;
    options.steps = 10;
    GanTrainer trainer(backend(), options, patches.rows, Placement::resident);
    testing::expect_declared(counted([&] { trainer.run(2); }));
}

// 13: a batch that no tile fits.
TEST_F(CountedBytesTest, GanIterationTouchesWhatItDeclares) {
    for (const std::int64_t batch : {1, 10, 13, 32, 64}) {
        SCOPED_TRACE(batch);
        GanOptions options;
        options.batch_size = batch;
        const IterationPlan plan = plan_gan_iteration(backend(), options, {}, h100_l2, true);
        ASSERT_TRUE(plan.counted);
        testing::expect_declared(counts_of(plan));
        // 24 bytes a parameter, and the patches of the batch.
        const double floor = plan.adam_bytes();
        EXPECT_TRUE(plan.counted_memory_bytes() >= floor &&
                    plan.counted_memory_bytes() <= 1.10 * floor)
            << plan.counted_memory_bytes() / floor;
        const KernelTraffic sum = plan.counted_sum();
        EXPECT_GE(sum.by_blocks, sum.bytes() + sum.partial);
        EXPECT_GE(sum.by_threads, sum.by_blocks);
    }
}

TEST_F(CountedBytesTest, ClassifierIterationTouchesWhatItDeclares) {
    const testing::RandomPatches patches(seed, 20, 3, 50, 50, 2);
    ClassifierOptions options;
    options.batch_size = 10;
    options.class_weights = ClassWeights::balanced;
    for (const bool defended : {false, true}) {
        SCOPED_TRACE(defended);
        if (defended) {
            set_adversarial_method(options.adversarial, "pgd-1");
            options.adversarial.pairing = 0.5;
            options.augmentation = Augmentation::flips;
            options.noise = 0.05;
        }
        ClassifierTrainer trainer(backend(), options, testing::format_of(3, 50, 50, 2),
                                  patches.rows, Placement::resident);
        testing::expect_declared(counted([&] { trainer.run(1); }));
    }
}

TEST_F(CountedBytesTest, AttacksTouchWhatTheyDeclare) {
    // Smaller patches, but of 2523 numbers: below that antithetic_gradient is too small to be judged.
    const auto model = testing::random_model(backend(), testing::format_of(3, 29, 29, 3), 11);
    const AttackSet set = testing::set_for(*model, 10, 12);
    for (const char* name : {"fgsm", "pgd", "mifgsm", "forge", "cw", "nes", "square"}) {
        for (const Norm norm : {Norm::linf, Norm::l2, Norm::l1}) {
            const AttackMethod* method = attack_method(name);
            if (!method->takes(norm) || (norm == Norm::l2 && method->asks())) {
                continue;
            }
            SCOPED_TRACE(std::string(name) + " norm " + std::to_string(static_cast<int>(norm)));
            AttackOptions options;
            options.method = method;
            options.norm = norm;
            options.batch_size = 10;
            options.steps = method->asks() ? 0 : 2;
            options.search_steps = 1;
            options.queries = 10;
            options.directions = 2;
            if (!method->bounded) {
                options.target = AttackOptions::Target::least_likely;
            }
            AttackRunner runner({model.get()}, nullptr, set, options);
            testing::expect_declared(counted([&] { runner.run(0.05); }));
        }
    }
}

// Smaller patches: the operations are the same.
TEST_F(CountedBytesTest, GanTricksTouchWhatTheyDeclare) {
    const std::pair<const char*, void (*)(GanOptions&)> variants[] = {
        {"wgan-gp", [](GanOptions& o) { choose_loss(o, "wgan-gp"); }},
        {"wgan", [](GanOptions& o) { choose_loss(o, "wgan"); }},
        {"batch normalisation",
         [](GanOptions& o) {
             o.normalisation_d = o.normalisation_g = Normalisation::batch;
             o.ema = 0.5;
         }},
        {"virtual batch normalisation",
         [](GanOptions& o) {
             o.normalisation_d = o.normalisation_g = Normalisation::virtual_batch;
             o.feature_matching = true;
         }},
        {"minibatch discrimination", [](GanOptions& o) { o.closeness_columns = 40; }},
        {"components, conditional", [](GanOptions& o) { o.components = 16, o.conditional = true; }},
        {"additions",
         [](GanOptions& o) {
             o.lambda_pixel = 5;
             o.lambda_history = 0.1;
             o.instance_noise = 0.2;
             o.latent = LatentDistribution::uniform;
         }},
    };
    const testing::RandomPatches patches(seed, 64, 3, 16, 16, 2);
    for (const auto& [name, apply] : variants) {
        SCOPED_TRACE(name);
        GanOptions options;
        options.batch_size = 21;
        options.latent_dim = 32;
        options.hidden_dims = {128, 96};
        options.steps = 10;
        apply(options);
        options.validate();
        GanTrainer trainer(backend(), options, patches.rows, Placement::resident);
        testing::expect_declared(counted([&] { trainer.run(1); }));
    }
}

} // namespace
} // namespace patchforge
