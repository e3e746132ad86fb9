#include "host/classifier/detector_task.h"

#include <fmt/format.h>

#include "host/attack/attack_runner.h"
#include "host/run/progress.h"
#include "host/session/loaded_models.h"
#include "host/session/open_set.h"

namespace patchforge {

namespace {

// Clean patches with label 0, then their adversarial examples with label 1.
std::shared_ptr<const OwnedPatches>
clean_and_forged(const std::vector<const ClassifierModel*>& members, const PatchRows& patches,
                 const AttackOptions& options, double epsilon, const std::string& title) {
    const AttackSet set{bytes_of(patches), labels_of(patches), {}};
    AttackRunner runner(members, nullptr, set, options);
    ProgressBar bar(title, set.count(), "patches");
    const AttackResult result =
        runner.run(epsilon, 0, [&](std::int64_t done) { bar.update(done); });
    auto owned = std::make_shared<OwnedPatches>();
    owned->bytes = set.levels;
    owned->bytes.insert(owned->bytes.end(), result.levels.begin(), result.levels.end());
    owned->labels.assign(set.labels.size(), 0);
    owned->labels.resize(2 * set.labels.size(), 1);
    return owned;
}

} // namespace

void describe(Options& options, DetectorOptions& detector) {
    Choices<const AttackMethod*> methods;
    for (const AttackMethod* method : attack_methods()) {
        if (method->trains_detectors) {
            methods.push_back({method->name, method});
        }
    }
    options.group("Detector");
    options
        .path("model", detector.model, "FOLDER|FILE", "the classifier that it stands in front of")
        .must_be_given()
        .unrecorded();
    options.choice("attack", detector.attack, methods, "what it learns to see").unrecorded();
    options.fraction("eps", detector.epsilon, {1e-9, 1}, "budget of that attack").unrecorded();
    options.number("steps", detector.steps, {0, 10000}, "0: the attack's own").unrecorded();
}

ClassifierTask detector_task(const PackedSet& set, const DetectorOptions& options,
                             ClassifierOptions& classifier, const DeviceOptions& device) {
    check_ranges(options);
    if (const auto split = split_of_run(options.model, set)) {
        if (!split->whole_set) {
            classifier.test_patients = split->test_patients;
            classifier.test_list = split->test_list;
        }
        classifier.validation_patients = split->validation_patients;
        classifier.split_seed = split->seed;
    }
    const auto backend = device.make();
    const LoadedVictim victim = load_victim(*backend, {options.model.string()});
    const ClassifierFormat& attacked = victim.format();
    require_pictures(set, attacked, "--model " + victim.name);
    AttackOptions attack;
    attack.method = options.attack;
    attack.steps = options.steps;
    attack.seed = classifier.seed;

    ClassifierTask task{"train detector", attacked, {}, {}};
    task.format.class_names = {"clean", "adversarial"};
    task.format.binary_head = classifier.binary_head;
    task.data = classifier_data(set, nullptr,
                                {classifier.test_patients, classifier.validation_patients,
                                 classifier.split_seed, classifier.test_list});
    const auto forge = [&](PatchRows& rows, const char* title) {
        task.data.owned.push_back(
            clean_and_forged(victim.members(), rows, attack, options.epsilon, title));
        rows = task.data.owned.back()->rows(rows);
    };
    forge(task.data.train, "attack, to train");
    if (task.data.validation) {
        forge(*task.data.validation, "attack, to choose");
    }
    forge(task.data.test, "attack, to test");
    task.about = {{"model", victim.name},
                  {"model_hash", victim.hashes()},
                  {"attack", attack.text(attacked.pixels())},
                  {"eps", fmt::format("{}", options.epsilon)},
                  {"data", set.path().string()},
                  {"data_hash", hash_of(set)},
                  {"test", std::string()}};
    return task;
}

} // namespace patchforge
