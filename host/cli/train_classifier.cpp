// patchforge train classifier: tells the classes of patches apart.
// patchforge train detector: tells adversarial patches from clean ones.
#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <memory>
#include <optional>

#include "host/cli/open_set.h"
#include "host/cli/options.h"
#include "host/cli/verbs.h"
#include "host/cli/widths.h"
#include "host/train/classifier_run.h"
#include "host/train/detector_task.h"

namespace patchforge {

namespace {

struct Call {
    DataOptions data;
    DataOptions test;
    DeviceOptions device;
    ClassifierOptions classifier;
    ClassifierRunOptions run;
    DetectorOptions detector;
    std::string extra;
    std::string hidden_dims = "256,256";
    std::string head = "softmax";
    std::string class_weights = "none";
    std::string augment = "none";
    std::string adversarial = "none";
    std::string placement = "auto";
    std::string out;
    std::string model;
    std::string attack = "pgd";
};

void settle(Call& call) {
    ClassifierOptions& classifier = call.classifier;
    classifier.hidden_dims = parse_widths(call.hidden_dims);
    classifier.binary_head = call.head == "binary";
    classifier.class_weights =
        call.class_weights == "balanced" ? ClassWeights::balanced : ClassWeights::none;
    classifier.augmentation = call.augment == "flips" ? Augmentation::flips : Augmentation::none;
    set_adversarial_method(classifier.adversarial, call.adversarial);
    call.run.out = call.out;
    call.run.device = call.device.device;
    call.run.backend = call.device.backend;
    call.run.placement = placement_from_name(call.placement);
    classifier.validate();
    call.run.validate();
}

void finish(const Call& call, bool trained) {
    if (!trained) {
        fmt::print("Go on with the same command and --resume\n");
    } else if (call.run.ensemble == 1) {
        fmt::print("Look at {}/report.html\n", call.out);
    }
}

void train_classifier(Call call) {
    settle(call);
    const PackedSet set = open_set(call.data, call.device.backend.threads);
    // Read as the training set is, but for which part of the folder.
    const auto open_beside = [&](const std::string& folder,
                                 const std::string& part) -> std::optional<PackedSet> {
        if (folder.empty()) {
            return std::nullopt;
        }
        DataOptions options = call.data;
        options.data = folder;
        options.part = part;
        return open_set(options, call.device.backend.threads);
    };
    const std::optional<PackedSet> test = open_beside(call.test.data, call.test.part);
    const std::optional<PackedSet> extra = open_beside(call.extra, "all");
    const ClassifierTask task = classifier_task(
        {&set, test ? &*test : nullptr, extra ? &*extra : nullptr}, call.classifier);
    finish(call, run_classifier_training(task, call.classifier, call.run));
}

void train_detector(Call call) {
    call.detector.model = call.model;
    call.detector.attack = attack_method_from_name(call.attack);
    settle(call);
    call.detector.validate();
    const PackedSet set = open_set(call.data, call.device.backend.threads);
    const ClassifierTask task =
        detector_task(set, call.detector, call.classifier, call.device.device, call.device.backend);
    finish(call, run_classifier_training(task, call.classifier, call.run));
}

// What both have in common.
void add_training_options(CLI::App& verb, Call& c) {
    ClassifierOptions& o = c.classifier;
    add_number<double>(verb, "--test-patients", o.test_patients,
                       "patients held out for testing: a share below 1, or a number", 1e-6, 1e6)
        ->group("Data");
    add_number<double>(verb, "--validation-patients", o.validation_patients,
                       "of the others, to choose the best epoch by: a share below 1, or a number; "
                       "0: the test patches choose",
                       0, 1e6)
        ->group("Data");
    add_number<std::uint64_t>(verb, "--split-seed", o.split_seed,
                              "of the choice of patients, whatever --seed is", 0, ~std::uint64_t{0})
        ->group("Data");

    const char* network = "Network";
    add_text(verb, "--hidden-dims", c.hidden_dims, "widths of the hidden layers", "LIST")
        ->group(network);
    add_choice(verb, "--head", c.head, "one logit a class, or one for two classes",
               {"softmax", "binary"})
        ->group(network);
    add_number<double>(verb, "--dropout", o.dropout, "behind each hidden layer", 0, 0.999)
        ->group(network);
    add_number<double>(verb, "--leaky-slope", o.leaky_slope, "of the leaky ReLU", 1e-6, 0.999999)
        ->group(network);

    const char* training = "Training";
    add_number<std::int64_t>(verb, "--epochs", o.epochs, "passes over the data", 1, 1000000)
        ->group(training);
    add_number<std::int64_t>(verb, "--batch-size", o.batch_size, "patches a batch", 1, 65536)
        ->group(training);
    add_number<double>(verb, "--lr", o.learning_rate, "Adam's learning rate", 1e-12, 1)
        ->group(training);
    add_number<double>(verb, "--b1", o.beta1, "Adam's first decay", 0, 0.999999)->group(training);
    add_number<double>(verb, "--b2", o.beta2, "Adam's second decay", 0, 0.9999999)->group(training);
    add_number<double>(verb, "--adam-eps", o.adam_epsilon, "Adam's epsilon", 1e-30, 1)
        ->group(training);
    add_choice(verb, "--class-weights", c.class_weights,
               "balanced: rare classes count more, by N / (K n_k)", {"none", "balanced"})
        ->group(training);
    add_choice(verb, "--augment", c.augment,
               "flips: every patch mirrored and turned anew each time", {"none", "flips"})
        ->group(training);
    add_number<double>(verb, "--noise", o.noise,
                       "deviation of normal noise on training pixels, in [0, 1] units", 0, 1)
        ->group(training);
    add_number<std::int64_t>(verb, "--patience", o.patience,
                             "epochs without a better score before stopping (0: never)", 0, 1000000)
        ->group(training);
    add_number<std::uint64_t>(verb, "--seed", o.seed, "of everything random but the split", 0,
                              ~std::uint64_t{0})
        ->group(training);

    const char* run = "Run";
    add_text(verb, "--out", c.out, "folder of the run, e.g. runs/c1 (required)", "FOLDER")
        ->required()
        ->group(run);
    add_switch(verb, "--resume", c.run.resume,
               "go on with the run in --out from its last checkpoint")
        ->group(run);
    add_number<int>(verb, "--keep", c.run.keep, "checkpoints kept", 1, 1000000)->group(run);
    add_choice(verb, "--placement", c.placement,
               "where the patches lie in training; auto: on the device if they fit",
               {"auto", "resident", "streamed"})
        ->group(run);
    add_device_options(verb, c.device);
}

} // namespace

void add_train_classifier(CLI::App& train) {
    auto call = std::make_shared<Call>();
    Call& c = *call;
    CLI::App* verb = train.add_subcommand("classifier", "train a classifier");
    add_data_options(*verb, c.data);
    add_text(*verb, "--test", c.test.data, "a test set of its own, instead of patients held out",
             "FOLDER|FILE")
        ->group("Data");
    add_choice(*verb, "--test-part", c.test.part, "part of --test to read",
               {"all", "train", "test", "validation"})
        ->group("Data");
    add_text(*verb, "--extra-data", c.extra,
             "more patches to train on, e.g. those of `attack --rows train --save`", "FOLDER|FILE")
        ->group("Data");
    add_training_options(*verb, c);

    const char* defences = "Defences";
    AdversarialTraining& a = c.classifier.adversarial;
    add_text(*verb, "--adversarial-training", c.adversarial,
             "forge against the network in every step: none, fgsm, pgd-K", "ATTACK")
        ->group(defences);
    add_fraction(*verb, "--adv-eps", a.epsilon, "its budget (L-infinity, [0, 1] units)", 1e-9, 1)
        ->group(defences);
    add_fraction(*verb, "--adv-alpha", a.alpha, "its step size; 0: 2.5 eps / K", 0, 1)
        ->group(defences);
    add_number<double>(*verb, "--adv-weight", a.weight, "w of L(x) + w L(x_adv)", 0, 1000)
        ->group(defences);
    add_number<double>(*verb, "--logit-pairing", a.pairing,
                       "lambda of lambda ||z(x) - z(x_adv)||^2, added to the loss", 0, 1000)
        ->group(defences);
    add_number<std::int64_t>(*verb, "--ensemble", c.run.ensemble,
                             "members, with seeds from --seed on; they answer with the mean logit",
                             1, 100)
        ->group(defences);
    only_one_of(*verb, {"--test", "--test-patients"});
    only_beside(*verb, "--test-part", "--test");
    for (const char* option : {"--adv-eps", "--adv-alpha", "--adv-weight", "--logit-pairing"}) {
        only_beside(*verb, option, "--adversarial-training");
    }
    verb->callback([call] { train_classifier(*call); });
}

void add_train_detector(CLI::App& train) {
    auto call = std::make_shared<Call>();
    Call& c = *call;
    CLI::App* verb = train.add_subcommand("detector", "train a detector of adversarial patches");
    add_text(*verb, "--model", c.model, "the classifier that it stands in front of (required)",
             "FOLDER|FILE")
        ->required();
    add_choice(*verb, "--attack", c.attack, "what it learns to see", {"fgsm", "pgd", "mifgsm"});
    add_fraction(*verb, "--eps", c.detector.epsilon, "budget of that attack", 1e-9, 1);
    add_number<std::int64_t>(*verb, "--steps", c.detector.steps, "0: the attack's own", 0, 10000);
    add_data_options(*verb, c.data);
    add_training_options(*verb, c);
    verb->callback([call] { train_detector(*call); });
}

} // namespace patchforge
