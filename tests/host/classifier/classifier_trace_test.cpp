// Our training against PyTorch's, from the same weights, patches, masks and random starts:
// classifier_trace.json was recorded in float64 by record_classifier_trace.py beside it.
#include <gtest/gtest.h>

#include <cmath>

#include "host/classifier/classifier_trainer.h"
#include "host/files/safetensors.h"
#include "tests/host/train/trace.h"
#include "tests/kernels/backends.h"

namespace patchforge {
namespace {

class ClassifierTrace : public testing::BackendTest {};

ClassifierOptions options_of(const Json& trace, const Json& run) {
    ClassifierOptions options;
    options.batch_size = trace.at("batch_size").integer();
    options.hidden_dims.assign(2, trace.at("hidden").integer());
    options.dropout = trace.at("dropout").number();
    options.learning_rate = trace.at("lr").number();
    options.seed = trace.at("seed").natural();
    options.binary_head = run.at("head").string() == "binary";
    options.class_weights =
        run.at("weights").boolean() ? ClassWeights::balanced : ClassWeights::none;
    options.augmentation = run.at("augment").boolean() ? Augmentation::flips : Augmentation::none;
    options.noise = run.at("noise").number();
    set_adversarial_method(options.adversarial, run.at("adversarial").string());
    options.adversarial.epsilon = run.at("eps").number();
    options.adversarial.alpha = run.at("alpha").number();
    options.adversarial.weight = run.at("adv_weight").number();
    options.adversarial.pairing = run.at("pairing").number();
    return options;
}

TEST_P(ClassifierTrace, FollowsPyTorch) {
    const Json trace = testing::read_trace("classifier/classifier_trace.json");
    const int side = trace.at("side").integer();
    const int channels = trace.at("channels").integer();
    const std::int64_t count = trace.at("count").integer();
    const std::int64_t pixels = std::int64_t{channels} * side * side;
    const std::vector<std::uint8_t> bytes = testing::trace_patches(count, pixels);
    ASSERT_EQ(trace.at("runs").size(), 7u);
    for (const Json& run : trace.at("runs").items()) {
        const ClassifierOptions options = options_of(trace, run);
        ClassifierFormat format{channels, side, side, {"a", "b", "c"}, options.binary_head};
        if (options.binary_head) {
            format.class_names.pop_back();
        }
        const std::vector<double> recorded =
            testing::numbers(trace.at("labels").at(std::to_string(format.class_count())));
        const std::vector<std::int32_t> labels(recorded.begin(), recorded.end());
        const PatchRows patches{bytes.data(), count, channels, side, side, labels, {}};
        ClassifierTrainer trainer(backend(), options, format, patches);
        const std::string name = run.at("head").string() + ", weights " + run.at("weights").dump() +
                                 ", " + options.adversarial.name();
        const std::vector<ClassifierStep> ours = trainer.run(std::ssize(run.at("steps").items()));
        for (std::size_t step = 0; step < ours.size(); ++step) {
            // Losses of order 1 in float32: a few dozen roundings of 6e-8.
            testing::expect_near(
                {ours[step].loss, ours[step].adversarial_loss, ours[step].logit_distance},
                run.at("steps").items()[step], 5e-6, name + ", step " + std::to_string(step));
        }
        // Adam moves a weight by up to 8 * 2e-3; a tolerance of 1/300 of that tells every error of
        // the update's form from rounding.
        testing::expect_near(
            testing::flat(trainer.model().weights(), trainer.model().network().shape()),
            run.at("classifier"), 5e-5, name + ", weights");
    }
}

PATCHFORGE_ON_EVERY_BACKEND(ClassifierTrace);

} // namespace
} // namespace patchforge
