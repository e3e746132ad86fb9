// Recordings whose kernels may be started while the one before still runs: all of them say so, and
// nothing that they compute changes by a bit. The executor checks that they wait, a GPU that it is
// enough.
#include <gtest/gtest.h>

#include "host/classifier/classifier_trainer.h"
#include "host/gan/gan_trainer.h"
#include "kernels/cuda/device.h"
#include "kernels/launch_trace.h"
#include "tests/host/attack/attacked_models.h"
#include "tests/host/train/random_patches.h"
#include "tests/kernels/backends.h"

namespace patchforge {
namespace {

constexpr unsigned seed = 93;

class OverlapTest : public ::testing::Test {
  protected:
    void SetUp() override {
        if (const std::string reason = testing::why_missing("cuda"); !reason.empty()) {
            GTEST_SKIP() << reason;
        }
        if (const std::string reason = cuda::why_no_overlap(0); !reason.empty()) {
            GTEST_SKIP() << reason;
        }
    }

    const PatchRows& rows() const { return patches_.rows; }

    // The executor is slow, and runs one launch after another: a few show that nothing else changes.
    // On a GPU launches do overlap, and every one of many could go wrong.
    static std::int64_t steps() {
        const bool executor = make_cuda_backend(0)->description().starts_with("CPU executor");
        return executor ? 2 : 500;
    }

    // What `work` returns without and with overlapping launches.
    template <class Work>
    void expect_same_bytes(Work work) {
        const auto in_turn = make_cuda_backend(0);
        const auto overlapping = make_cuda_backend(0, {.overlap_launches = true});
        EXPECT_TRUE(work(*in_turn) == work(*overlapping));
    }

  private:
    const testing::RandomPatches patches_{seed, 40, 3, 50, 50, 2};
};

TEST_F(OverlapTest, EveryKernelOfAnIterationMayOverlap) {
    for (const bool overlap : {false, true}) {
        const auto backend = make_cuda_backend(0, {.overlap_launches = overlap});
        GanTrainer trainer(*backend, {}, rows());
        for (const KernelLaunch& launch : trace_launches([&] { trainer.record_iteration(); })) {
            EXPECT_EQ(launch.overlaps, overlap) << launch.name;
        }
    }
}

TEST_F(OverlapTest, ChangesNoBitOfAGan) {
    for (const std::int64_t batch : {1, 10}) {
        SCOPED_TRACE(batch);
        GanOptions options;
        options.batch_size = batch;
        options.seed = seed;
        expect_same_bytes([&](Backend& backend) {
            GanTrainer trainer(backend, options, rows());
            trainer.run(steps());
            return trainer.checkpoint();
        });
    }
}

TEST_F(OverlapTest, ChangesNoBitOfAClassifierTrainedOnAttacks) {
    ClassifierOptions options;
    options.batch_size = 10;
    options.seed = seed;
    set_adversarial_method(options.adversarial, "pgd-2");
    expect_same_bytes([&](Backend& backend) {
        ClassifierTrainer trainer(backend, options, {3, 50, 50, {"a", "b"}, false}, rows());
        trainer.run(steps());
        return trainer.checkpoint();
    });
}

TEST_F(OverlapTest, ChangesNoBitOfAnAttack) {
    for (const char* method : {"fgsm", "pgd"}) {
        AttackOptions options;
        options.method = attack_method(method);
        options.batch_size = 4;
        options.steps = steps(); // of pgd
        expect_same_bytes([&](Backend& backend) {
            const auto model =
                testing::random_model(backend, testing::format_of(3, 50, 50, 2), seed);
            const AttackSet set = testing::set_for(*model, 5, seed);
            return AttackRunner({model.get()}, nullptr, set, options).run(8.0 / 255).levels;
        });
    }
}

} // namespace
} // namespace patchforge
