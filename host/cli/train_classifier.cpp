// patchforge train classifier: tells the classes of patches apart.
// patchforge train detector: tells adversarial patches from clean ones.
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <optional>

#include "data/equal_patches.h"
#include "data/escape.h"
#include "data/open_data_set.h"
#include "host/classifier/classifier_run.h"
#include "host/classifier/detector_task.h"
#include "host/cli/verbs.h"
#include "host/options/data_options.h"
#include "host/run/progress.h"
#include "host/session/open_set.h"

namespace patchforge {

namespace {

struct TrainClassifierCall {
    DataOptions data;
    std::string test;
    Part test_part = Part::usual;
    std::string extra;
    DetectorOptions detector;
    ClassifierOptions classifier;
    ClassifierRunOptions run;

    int threads() const { return run.run.device.backend.threads; }
};

void finish(const TrainClassifierCall& call, bool trained) {
    if (!trained) {
        print_line("Go on with the same command and --resume");
    } else if (call.run.ensemble == 1) {
        print_line(fmt::format("Look at {}/report.html", call.run.run.out.string()));
    }
}

// Data that brings a part to test on is trained on its train part and tested on that, unless patients
// are to be held out.
bool tests_on_part(const TrainClassifierCall& call) {
    if (!call.test.empty() || call.data.pack.folder.part != Part::usual ||
        call.classifier.test_patients != ClassifierOptions().test_patients) {
        return false;
    }
    const auto parts = data_parts(call.data.data, call.data.pack.folder);
    return parts.contains(Part::train) &&
           (parts.contains(Part::test) || parts.contains(Part::validation));
}

void warn_of_equal_patches(const PackedSet& set, const PackedSet& test) {
    const EqualPatches equal = equal_patches(set, test);
    if (equal.count == 0) {
        return;
    }
    print_line(fmt::format("warning: {} of the {} patches to test on are equal to patches to train "
                           "on, so the scores flatter:",
                           equal.count, test.count()));
    for (const auto& [tested, trained] : equal.named) {
        print_line(fmt::format("  {} = {}", terminal_text(tested), terminal_text(trained)));
    }
}

void train_classifier(const TrainClassifierCall& call) {
    call.classifier.validate();
    const PackedSet set = open_set(call.data, call.threads());
    // Read as the training set is, but for which part of the folder.
    const auto open_beside = [&](const std::string& folder, Part part) -> std::optional<PackedSet> {
        if (folder.empty()) {
            return std::nullopt;
        }
        DataOptions options = call.data;
        options.data = folder;
        options.usually(Part::test).pack.folder.part = part;
        options.pack.channels = set.channels();
        return open_set(options, call.threads());
    };
    const bool by_part = tests_on_part(call);
    std::optional<PackedSet> test =
        open_beside(by_part ? call.data.data : call.test, by_part ? Part::usual : call.test_part);
    if (by_part && std::ranges::max(test->labels()) < 0) {
        test.reset(); // its answers are kept back
    }
    if (test) {
        test = test->with_classes(set.class_names());
        warn_of_equal_patches(set, *test);
    }
    const std::optional<PackedSet> extra = open_beside(call.extra, Part::all);
    const ClassifierTask task = classifier_task(
        {&set, test ? &*test : nullptr, extra ? &*extra : nullptr}, call.classifier);
    finish(call, run_classifier_training(task, call.classifier, call.run));
}

void train_detector(TrainClassifierCall call) {
    call.classifier.validate();
    check_ranges(call.detector);
    const PackedSet set = open_set(call.data, call.threads());
    const ClassifierTask task =
        detector_task(set, call.detector, call.classifier, call.run.run.device);
    finish(call, run_classifier_training(task, call.classifier, call.run));
}

} // namespace

Verb train_classifier_verb() {
    auto call = std::make_shared<TrainClassifierCall>();
    Verb verb{"train classifier", "train a classifier"};
    Options& options = verb.options;
    describe_data(options, call->data.usually(Part::train));
    options.text("test", call->test, "FOLDER|FILE",
                 "a test set of its own, instead of patients held out");
    options.choice("test_part", call->test_part, part_choices, "part of --test to read")
        .beside("test");
    options.text("extra_data", call->extra, "FOLDER|FILE",
                 "more patches to train on, e.g. those of `attack --rows train --save`");
    describe(options, call->classifier);
    describe(options, call->run);
    verb.presets = classifier_presets();
    verb.standard_preset = "mlp";
    options.only_one_of({"test", "test_patients"});
    verb.examples = {
        "train classifier --data idc.pfs --preset cnn --test-patients 20 --out runs/c1",
        "train classifier --data idc.pfs --adversarial-training pgd-5 --adv-eps 4/255 "
        "--out runs/hard"};
    verb.in_ranks = true;
    verb.run = [call] { train_classifier(*call); };
    return verb;
}

Verb train_detector_verb() {
    auto call = std::make_shared<TrainClassifierCall>();
    Verb verb{"train detector", "train a detector of adversarial patches"};
    Options& options = verb.options;
    describe(options, call->detector);
    describe_data(options, call->data.usually(Part::train));
    describe_plain(options, call->classifier);
    describe(options, call->run.run);
    verb.examples = {"train detector --model runs/c1 --data idc.pfs --out runs/detector",
                     "train detector --model runs/c1 --data idc.pfs --attack fgsm --eps 8/255 "
                     "--out runs/detector"};
    verb.in_ranks = true;
    verb.run = [call] { train_detector(*call); };
    return verb;
}

} // namespace patchforge
