// patchforge train classifier: tells the classes of patches apart.
#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <memory>
#include <optional>

#include "host/cli/open_set.h"
#include "host/cli/options.h"
#include "host/cli/verbs.h"
#include "host/cli/widths.h"
#include "host/train/classifier_run.h"

namespace patchforge {

namespace {

struct Call {
    DataOptions data;
    DataOptions test;
    DeviceOptions device;
    ClassifierOptions classifier;
    ClassifierRunOptions run;
    std::string hidden_dims = "256,256";
    std::string head = "softmax";
    std::string class_weights = "none";
    std::string placement = "auto";
    std::string out;
};

void run(Call call) {
    call.classifier.hidden_dims = parse_widths(call.hidden_dims);
    call.classifier.binary_head = call.head == "binary";
    call.classifier.class_weights =
        call.class_weights == "balanced" ? ClassWeights::balanced : ClassWeights::none;
    call.run.out = call.out;
    call.run.device = call.device.device;
    call.run.threads = call.device.threads;
    call.run.placement = placement_from_name(call.placement);
    call.classifier.validate();
    call.run.validate();
    const PackedSet set = open_set(call.data, call.device.threads);
    std::optional<PackedSet> test;
    if (!call.test.data.empty()) {
        // Read as the training set is, but for which part of the folder.
        const std::string part = call.test.part;
        const std::string folder = call.test.data;
        call.test = call.data;
        call.test.data = folder;
        call.test.part = part;
        test = open_set(call.test, call.device.threads);
    }
    if (run_classifier_training(set, test ? &*test : nullptr, call.classifier, call.run)) {
        fmt::print("Look at {}/report.html\n", call.out);
    }
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
    add_choice(*verb, "--test-part", c.test.part, "part of --test to read", {"all", "train", "test"})
        ->group("Data");
    add_number<double>(*verb, "--test-patients", c.classifier.test_patients,
                       "patients held out for testing: a share below 1, or a number", 1e-6, 1e6)
        ->group("Data");

    add_text(*verb, "--hidden-dims", c.hidden_dims, "widths of the hidden layers", "LIST")
        ->group("Network");
    add_choice(*verb, "--head", c.head, "one logit a class, or one for two classes",
               {"softmax", "binary"})
        ->group("Network");
    add_number<double>(*verb, "--dropout", c.classifier.dropout, "behind each hidden layer", 0, 0.999)
        ->group("Network");
    add_number<double>(*verb, "--leaky-slope", c.classifier.leaky_slope, "of the leaky ReLU", 1e-6,
                       0.999999)
        ->group("Network");

    const char* training = "Training";
    add_number<std::int64_t>(*verb, "--epochs", c.classifier.epochs, "passes over the data", 1, 1000000)
        ->group(training);
    add_number<std::int64_t>(*verb, "--batch-size", c.classifier.batch_size, "patches a batch", 1, 65536)
        ->group(training);
    add_number<double>(*verb, "--lr", c.classifier.learning_rate, "Adam's learning rate", 1e-12, 1)
        ->group(training);
    add_number<double>(*verb, "--b1", c.classifier.beta1, "Adam's first decay", 0, 0.999999)
        ->group(training);
    add_number<double>(*verb, "--b2", c.classifier.beta2, "Adam's second decay", 0, 0.9999999)
        ->group(training);
    add_number<double>(*verb, "--adam-eps", c.classifier.adam_epsilon, "Adam's epsilon", 1e-30, 1)
        ->group(training);
    add_choice(*verb, "--class-weights", c.class_weights,
               "balanced: rare classes count more, by N / (K n_k)", {"none", "balanced"})
        ->group(training);
    add_number<std::int64_t>(*verb, "--patience", c.classifier.patience,
                             "epochs without a better score before stopping (0: never)", 0, 1000000)
        ->group(training);
    add_number<std::uint64_t>(*verb, "--seed", c.classifier.seed, "of everything random", 0,
                              ~std::uint64_t{0})
        ->group(training);

    add_text(*verb, "--out", c.out, "folder of the run, e.g. runs/c1 (required)", "FOLDER")
        ->required()
        ->group("Run");
    add_switch(*verb, "--resume", c.run.resume, "go on with the run in --out from its last checkpoint")
        ->group("Run");
    add_number<int>(*verb, "--keep", c.run.keep, "checkpoints kept", 1, 1000000)->group("Run");
    add_choice(*verb, "--placement", c.placement,
               "where the patches lie in training; auto: on the device if they fit",
               {"auto", "resident", "streamed"})
        ->group("Run");
    add_device_options(*verb, c.device);
    verb->callback([call] { run(*call); });
}

} // namespace patchforge
