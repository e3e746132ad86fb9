// Our training against PyTorch's, from the same weights, patches, masks and random starts:
// classifier_trace.json was recorded in float64 by record_classifier_trace.py beside it.
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "host/classifier/classifier_trainer.h"
#include "host/files/safetensors.h"
#include "tests/host/train/trace.h"
#include "tests/kernels/backends.h"

namespace patchforge {
namespace {

class ClassifierTrace : public testing::BackendTest {};

ClassifierOptions options_of(const nlohmann::json& trace, const nlohmann::json& run) {
    ClassifierOptions options;
    options.batch_size = trace["batch_size"];
    options.hidden_dims = {trace["hidden"], trace["hidden"]};
    options.dropout = trace["dropout"];
    options.learning_rate = trace["lr"];
    options.seed = trace["seed"];
    options.binary_head = run["head"] == "binary";
    options.class_weights =
        run["weights"].get<bool>() ? ClassWeights::balanced : ClassWeights::none;
    options.augmentation = run["augment"].get<bool>() ? Augmentation::flips : Augmentation::none;
    options.noise = run["noise"];
    set_adversarial_method(options.adversarial, run["adversarial"]);
    options.adversarial.epsilon = run["eps"];
    options.adversarial.alpha = run["alpha"];
    options.adversarial.weight = run["adv_weight"];
    options.adversarial.pairing = run["pairing"];
    return options;
}

TEST_P(ClassifierTrace, FollowsPyTorch) {
    std::ifstream file("tests/host/classifier/classifier_trace.json");
    ASSERT_TRUE(file) << "run the tests from the repository's root";
    const nlohmann::json trace = nlohmann::json::parse(file);
    const int side = trace["side"];
    const int channels = trace["channels"];
    const std::int64_t count = trace["count"];
    const std::int64_t pixels = std::int64_t{channels} * side * side;
    const std::vector<std::uint8_t> bytes = testing::trace_patches(count, pixels);
    ASSERT_EQ(trace["runs"].size(), 7u);
    for (const nlohmann::json& run : trace["runs"]) {
        const ClassifierOptions options = options_of(trace, run);
        ClassifierFormat format{channels, side, side, {"a", "b", "c"}, options.binary_head};
        if (options.binary_head) {
            format.class_names.pop_back();
        }
        const std::vector<std::int32_t> labels =
            trace["labels"][std::to_string(format.class_count())];
        const PatchRows patches{bytes.data(), count, channels, side, side, labels, {}};
        ClassifierTrainer trainer(backend(), options, format, patches);
        const std::string name = run["head"].get<std::string>() + ", weights " +
                                 run["weights"].dump() + ", " + options.adversarial.name();
        const std::vector<ClassifierStep> ours = trainer.run(std::ssize(run["steps"]));
        for (std::size_t step = 0; step < ours.size(); ++step) {
            // Losses of order 1 in float32: a few dozen roundings of 6e-8.
            testing::expect_near(
                {ours[step].loss, ours[step].adversarial_loss, ours[step].logit_distance},
                run["steps"][step], 5e-6, name + ", step " + std::to_string(step));
        }
        // Adam moves a weight by up to 8 * 2e-3; a tolerance of 1/300 of that tells every error of
        // the update's form from rounding.
        testing::expect_near(
            testing::flat(trainer.model().weights(), trainer.model().network().shape()),
            run["classifier"], 5e-5, name + ", weights");
    }
}

PATCHFORGE_ON_EVERY_BACKEND(ClassifierTrace);

} // namespace
} // namespace patchforge
