#include "host/classifier/classifier_options.h"

#include <fmt/format.h>

#include <charconv>
#include <stdexcept>

#include "host/classifier/classifier_data.h"
#include "host/network/named_networks.h"

namespace patchforge {

double AdversarialTraining::step_size() const {
    if (method == Method::fgsm) {
        return epsilon;
    }
    return alpha > 0 ? alpha : 2.5 * epsilon / static_cast<double>(steps);
}

std::string AdversarialTraining::name() const {
    return method == Method::none   ? "none"
           : method == Method::fgsm ? "fgsm"
                                    : fmt::format("pgd-{}", steps);
}

void set_adversarial_method(AdversarialTraining& training, const std::string& name) {
    using Method = AdversarialTraining::Method;
    training.steps = 1;
    if (name == "none" || name == "fgsm") {
        training.method = name == "none" ? Method::none : Method::fgsm;
        return;
    }
    training.method = Method::pgd;
    const char* end = name.data() + name.size();
    if (name.starts_with("pgd-")) {
        const auto read = std::from_chars(name.data() + 4, end, training.steps);
        if (read.ec == std::errc() && read.ptr == end && training.steps >= 1 &&
            training.steps <= 1000) {
            return;
        }
    }
    throw std::invalid_argument(fmt::format(
        "--adversarial-training {}: no such attack; use none, fgsm or pgd-K with K from 1 to 1000, "
        "e.g. pgd-5",
        name));
}

void describe_plain(Options& options, ClassifierOptions& classifier) {
    ClassifierOptions& o = classifier;
    options.group("Data");
    describe_test_patients(options, o.test_patients, o.test_list, "patients held out for testing");
    options.number("validation_patients", o.validation_patients, {0, 1e6},
                   "of the others, to choose the best epoch by: a share below 1, or a number; 0: "
                   "the test patches choose");
    options.number("split_seed", o.split_seed, any_seed,
                   "of the choice of patients, whatever --seed is");

    options.group("Network");
    options.text("network", o.network, "NAME|TEXT",
                 fmt::format("{}, or layers as docs/formats.md says, e.g. '3x50x50; conv 3>8 k3 p1 "
                             "relu; pool global; linear 8>2' (without: a multilayer perceptron)",
                             fmt::join(named_classifiers(), ", ")));
    options.widths("hidden_dims", o.hidden_dims, "widths of the hidden layers");
    options.no_use_beside("hidden_dims", "network");
    options.no_use_beside("dropout", "network");
    options.no_use_beside("leaky_slope", "network");
    options.choice<bool>("head", o.binary_head, {{"softmax", false}, {"binary", true}},
                         "one logit a class, or one for two classes");
    options.number("dropout", o.dropout, {0, 0.999}, "behind each hidden layer");
    options.number("leaky_slope", o.leaky_slope, {1e-6, 0.999999}, "of the leaky ReLU");

    options.group("Training");
    options.number("epochs", o.epochs, {1, 1000000}, "passes over the data").changeable();
    options.number("batch_size", o.batch_size, {1, 65536}, "patches a batch");
    options.number("lr", o.learning_rate, {1e-12, 1}, "Adam's learning rate");
    describe_adam(options, o.beta1, o.beta2, o.adam_epsilon);
    describe_rates(options, o.rates);
    options.number("weight_decay", o.weight_decay, {0, 10},
                   "lambda of lambda / 2 ||w||^2, added to the loss");
    options.choice<ClassWeights>(
        "class_weights", o.class_weights,
        {{"none", ClassWeights::none}, {"balanced", ClassWeights::balanced}},
        "balanced: rare classes count more, by N / (K n_k)");
    options.choice<Augmentation>("augment", o.augmentation,
                                 {{"none", Augmentation::none}, {"flips", Augmentation::flips}},
                                 "flips: every patch mirrored and turned anew each time");
    options.number(
        "stain_jitter", o.stain_jitter, {0, 1},
        "reach of random factors and shifts of stains (colour pictures), e.g. 0.05; 0: none");
    options.number("translation", o.translation, {0, 65536},
                   "pixels that a patch is shifted by at most, each way; 0: none");
    options.number("cutout", o.cutout, {0, 65536},
                   "side of a square that is blanked out in a patch; 0: none");
    options.number("noise", o.noise, {0, 1},
                   "deviation of normal noise on training pixels, in [0, 1] units");
    options.number("ema", o.ema, {0, 0.9999999},
                   "decay of the averaged weights that are scored and kept as best (0: none)");
    options.custom(
        "threshold", "P|validation",
        "probability from which the second of two classes is called; validation: the one with the "
        "best balanced accuracy on the validation patients",
        [&o](const std::string& text) {
            o.choose_threshold = text == "validation";
            o.threshold = o.choose_threshold ? 0.5 : parse_fraction("--threshold", text);
        },
        [&o]() -> ParameterValue {
            return o.choose_threshold ? ParameterValue(std::string("validation"))
                                      : ParameterValue(o.threshold);
        });
    options
        .number("patience", o.patience, {0, 1000000},
                "epochs without a better score before stopping (0: never)")
        .changeable();
    options.number("seed", o.seed, any_seed, "of everything random but the split");
}

void describe(Options& options, ClassifierOptions& classifier) {
    describe_plain(options, classifier);
    options.group("Defences");
    AdversarialTraining& a = classifier.adversarial;
    options.custom(
        "adversarial_training", "ATTACK",
        "forge against the network in every step: none, fgsm, pgd-K",
        [&a](const std::string& text) { set_adversarial_method(a, text); },
        [&a]() -> ParameterValue { return a.name(); });
    options.fraction("adv_eps", a.epsilon, {1e-9, 1}, "its budget (L-infinity, [0, 1] units)")
        .beside("adversarial_training");
    options.fraction("adv_alpha", a.alpha, {0, 1}, "its step size; 0: 2.5 eps / K")
        .beside("adversarial_training")
        .recorded_as([&a]() -> ParameterValue { return a.step_size(); });
    options.number("adv_weight", a.weight, {0, 1000}, "w of L(x) + w L(x_adv)")
        .beside("adversarial_training");
    options
        .number("logit_pairing", a.pairing, {0, 1000},
                "lambda of lambda ||z(x) - z(x_adv)||^2, added to the loss")
        .beside("adversarial_training");
}

// Networks with the recipe that goes with them (docs/classifiers.md; what they reach:
// docs/measured/classifiers_splits.md). Chosen on one split, a; `digits` is for pictures that have an up
// and a down. `plain` leaves everything as it is described.
const std::vector<Preset>& classifier_presets() {
    using Settings = std::vector<std::pair<std::string, std::string>>;
    const auto recipe = [](const char* epochs, const char* rate, const Settings& more) {
        Settings settings = {{"epochs", epochs},
                             {"lr", rate},
                             {"lr_schedule", "cosine"},
                             {"weight_decay", "0.0001"}};
        settings.insert(settings.end(), more.begin(), more.end());
        return settings;
    };
    const auto tissue = [&](const char* network, const char* epochs, const char* rate) {
        Settings more = {{"augment", "flips"}, {"class_weights", "balanced"}};
        if (network) {
            more.emplace_back("network", network);
        }
        return recipe(epochs, rate, more);
    };
    static const std::vector<Preset> presets = {
        {"mlp", tissue(nullptr, "30", "0.001")},
        {"cnn", tissue("cnn", "8", "0.003")},
        {"resnet", tissue("resnet", "15", "0.003")},
        {"digits", recipe("6", "0.003", {{"network", "cnn"}, {"translation", "2"}})},
        {"plain", {}}};
    return presets;
}

ClassifierOptions classifier_preset(const std::string& name) {
    return described_by_preset<ClassifierOptions>(classifier_presets(), name);
}

void ClassifierOptions::validate() const {
    check_ranges(*this);
    if (!(threshold > 0 && threshold < 1)) {
        throw std::invalid_argument(
            fmt::format("--threshold {}: is no probability between 0 and 1", threshold));
    }
    if (choose_threshold && validation_patients == 0) {
        throw std::invalid_argument(
            "--threshold validation: there are no validation patients; give "
            "--validation-patients 0.15 too");
    }
    if (adversarial.pairing > 0 && !adversarial.active()) {
        throw std::invalid_argument(
            fmt::format("--logit-pairing {}: pairs logits of clean and adversarial patches, and "
                        "there are none; give --adversarial-training pgd-K too",
                        adversarial.pairing));
    }
}

} // namespace patchforge
