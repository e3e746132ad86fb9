// patchforge evaluate: fakes against real patches, with floors and ceilings.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>
#include <stdexcept>

#include "data/split.h"
#include "host/classifier/classifier_data.h"
#include "host/classifier/real_or_fake.h"
#include "host/classifier/synthetic_training.h"
#include "host/cli/json_output.h"
#include "host/cli/verbs.h"
#include "host/evaluate/compared_images.h"
#include "host/evaluate/evaluation_report.h"
#include "host/evaluate/image_evaluation.h"
#include "host/model/classifier_model.h"
#include "host/model/load_generator.h"
#include "host/options/device_options.h"
#include "host/page/report.h"
#include "host/ranks/shared_rows.h"
#include "host/run/parameters_file.h"
#include "host/run/progress.h"
#include "host/session/loaded_models.h"
#include "host/session/open_set.h"
#include "host/session/session.h"

namespace patchforge {

namespace {

struct EvaluateCall {
    DataOptions data;
    DeviceOptions device;
    std::string run;
    CheckpointChoice checkpoint = CheckpointChoice::latest;
    std::string generated;
    std::string features;
    ModelReading reading; // of `features`
    std::string out;
    std::int64_t count = 2000;
    std::int64_t test_patients = 0;
    std::uint64_t seed = 2020;
    std::uint64_t split_seed = 0;
    bool without_floors = false;
    bool tstr = false;
    std::int64_t tstr_epochs = 15;
    bool real_or_fake = false;
    std::int64_t real_or_fake_iterations = 400;
};

// What is measured, and where it came from.
struct Fakes {
    ImageSet images; // labels as in the set of real patches, or none
    std::string source;
    std::string weights{}; // fingerprint of a generator's; pictures of a folder have none
};

Fakes fakes_of_run(Backend& backend, const EvaluateCall& call, const PackedSet& set,
                   const ImageSet& reference) {
    LoadedGenerator generator(backend, call.run, call.checkpoint);
    return {fakes_like(generator.images(), set.class_names(), reference,
                       std::min<std::int64_t>(call.count, reference.count()), call.seed),
            generator.weights().string(), file_fingerprint(generator.weights())};
}

Fakes fakes_of_folder(const EvaluateCall& call, const PackedSet& set) {
    const PackedSet folder = open_all_parts(call.generated, call.data, call.device.backend.threads);
    return {fakes_of(folder, set.class_names(), call.count, call.seed), call.generated};
}

SyntheticTraining teach_with_fakes(Backend& backend, const EvaluateCall& call, const PackedSet& set,
                                   const Split& split, const ImageSet& training,
                                   const ImageSet& generated) {
    if (generated.labels.empty()) {
        throw std::invalid_argument(
            fmt::format("--tstr: the fakes of {} have no classes, or not those of --data; give a "
                        "run of `train gan --conditional` or a folder as `generate --class all` "
                        "writes it",
                        call.run.empty() ? call.generated : call.run));
    }
    return train_on_fakes(backend, set, split.test, training, generated, call.tstr_epochs,
                          call.seed, print_line);
}

// Real patches of patients that were held out, or of any where none were.
RealOrFake tell_apart(Backend& backend, const EvaluateCall& call, const PackedSet& set,
                      const Split& split, const ImageSet& generated) {
    if (split.test.empty()) {
        print_line("warning: --real-or-fake: no patients are held out, so the real patches are "
                   "those that the fakes were made after; train with --test-patients");
    }
    const std::vector<std::int32_t>& rows = split.test.empty() ? split.train : split.test;
    const ImageSet real = subjects_at(set, shuffled_rows(rows, generated.count(), call.seed));
    return real_or_fake(backend, real.shape, real.bytes, real.patients, generated.bytes,
                        {.seed = call.seed, .iterations = call.real_or_fake_iterations},
                        print_line);
}

// Takes the patients that the run held out from its own parameters; other ones are refused, since
// the generator has seen them.
void settle_split(EvaluateCall& call, const PackedSet& set) {
    if (call.run.empty() || !is_run_folder(call.run) || read_run_kind(call.run) != "train gan") {
        return;
    }
    const HeldOut held_out = held_out_by(call.run, set);
    if (!held_out.same_data) {
        if (call.test_patients > 0) {
            print_line(fmt::format("{} was trained on other data ({}): whether the patients held "
                                   "out here are new to it is not known",
                                   call.run, held_out.data));
        }
        return;
    }
    if (call.test_patients > 0 &&
        (call.test_patients != held_out.patients || call.split_seed != held_out.seed)) {
        throw std::invalid_argument(fmt::format(
            "--test-patients {}, --split-seed {}: {} held out {} patients by seed {}; leave these "
            "options out, and those are taken",
            call.test_patients, call.split_seed, call.run, held_out.patients, held_out.seed));
    }
    call.test_patients = held_out.patients;
    call.split_seed = held_out.seed;
}

void run(EvaluateCall call, const Tell& tell) {
    if (call.run.empty() == call.generated.empty()) {
        throw std::invalid_argument("--run, --generated: give one of them, a GAN's run folder or a "
                                    "folder of generated PNG files");
    }
    const std::string out = call.out.empty() ? call.run : call.out;
    if (out.empty()) {
        throw std::invalid_argument("--out: missing; name a folder for the results");
    }
    if (!call.run.empty() && call.out.empty() && !std::filesystem::is_directory(call.run)) {
        throw std::invalid_argument(
            "--out: missing; weights have no folder of their own, name one for the results");
    }
    const ResultsPlace place{.verb = "evaluate", .out = out};
    place.check();
    const PackedSet set = open_set(call.data, call.device.backend.threads);
    settle_split(call, set);
    if (call.tstr && call.test_patients == 0) {
        throw std::invalid_argument(
            "--tstr: needs real patches that the GAN did not see; train it with --test-patients, "
            "or give --test-patients for pictures of --generated");
    }
    const auto backend = call.device.make();
    std::unique_ptr<ClassifierModel> classifier;
    if (!call.features.empty()) {
        classifier = load_classifier(*backend, "--features", call.features, set.pixels_per_patch(),
                                     "the patches have", call.reading);
        call.reading.refuse_unheeded();
    }

    Split split{all_rows(set), {}, {}};
    if (call.test_patients > 0) {
        split =
            split_by_patient(set, {.test_patients = call.test_patients, .seed = call.split_seed});
    }
    PatchRows compared = rows_of(set);
    compared.subset = split.train;
    const std::string seen =
        classifier ? patients_seen(call.features, set, compared) : std::string();
    if (!seen.empty()) {
        print_line("warning: --features " + seen);
    }
    const ImageSet training = images_of(set, split.train, call.count, call.seed);
    const ImageSet others = images_of(set, split.train, call.count, call.seed, call.count);
    const ImageSet held_out = images_of(set, split.test, call.count, call.seed + 1);
    const Fakes fakes =
        call.run.empty() ? fakes_of_folder(call, set) : fakes_of_run(*backend, call, set, training);
    const ImageSet& generated = fakes.images;
    require_one_size(fakes.source, generated.shape, extent_of(set));

    std::optional<SyntheticTraining> taught;
    if (call.tstr) {
        taught = teach_with_fakes(*backend, call, set, split, training, generated);
    }
    std::optional<RealOrFake> told;
    if (call.real_or_fake) {
        told = tell_apart(*backend, call, set, split, generated);
    }
    const std::vector<std::string> class_names(set.class_names().begin(), set.class_names().end());
    const ImageEvaluation evaluation =
        evaluate_images(training, generated, training, held_out, classifier.get(),
                        {.seed = call.seed,
                         .threads = call.device.backend.threads,
                         .floors = !call.without_floors,
                         .class_names = class_names,
                         .others = &others},
                        print_line);

    fmt::print("{}: {} generated against {} real patches\n{}", fakes.source, generated.count(),
               training.count(), evaluation_table(evaluation));
    if (!SharedRows::writes()) {
        return;
    }
    Session session(place);
    std::vector<MetricResult> lines = evaluation.lines();
    if (taught) {
        fmt::print("\n{}", synthetic_training_table(*taught));
        lines.push_back(synthetic_training_line(*taught));
    }
    if (told) {
        fmt::print("\n{}", real_or_fake_text(*told));
        lines.push_back(real_or_fake_line(*told));
    }
    Json measures = Json::array();
    for (MetricResult& line : lines) {
        if (line.compared.empty()) {
            line.generated = fakes.source;
            line.generated_hash = fakes.weights;
        }
        append_metric_line(out, line);
        measures.push_back(metric_json(line));
    }
    Report report("Generated against real patches",
                  fmt::format("{}: {} fakes beside {} real patches of {}.", fakes.source,
                              generated.count(), training.count(), call.data.data));
    add_evaluation_sections(report, evaluation, {generated, training, held_out, class_names});
    if (!seen.empty()) {
        report.note("Of the classifier's features: " + seen + ".");
    }
    if (taught) {
        add_synthetic_training_section(report, *taught);
    }
    if (told) {
        add_real_or_fake_section(report, *told);
    }
    report.settings("Settings of the evaluation",
                    {{"fakes", fakes.source},
                     {"real patches", call.data.data},
                     {"patients held out", std::to_string(call.test_patients)},
                     {"their seed", std::to_string(call.split_seed)},
                     {"images of each kind, at most", std::to_string(call.count)},
                     {"features of", call.features},
                     {"seed", std::to_string(call.seed)},
                     {"device", backend->description()}});
    session.complete(report, "evaluation.html");
    tell({{"generated", fakes.source},
          {"n_generated", generated.count()},
          {"n_reference", training.count()},
          {"measures", measures}});
}

} // namespace

Verb evaluate_verb() {
    auto call = std::make_shared<EvaluateCall>();
    Verb verb{.name = "evaluate", .summary = "measure how good fakes are"};
    Options& options = verb.options;
    options.text("run", call->run, "FOLDER|FILE", "a GAN's run folder or a generator's weights");
    describe_checkpoint(options, call->checkpoint).beside("run");
    options.text("generated", call->generated, "FOLDER",
                 "generated PNG files instead, perhaps in class folders");
    options.only_one_of({"run", "generated"});
    options.text("features", call->features, "FOLDER|FILE",
                 "a classifier whose features are used too; train it on other patients");
    options.number("count", call->count, {20, 1000000}, "images of each kind, at most");
    options.number("test_patients", call->test_patients, {0, 1000000},
                   "patients that the fakes' maker did not see, for memorisation and --tstr (a "
                   "run's own, unless given)");
    options
        .number("split_seed", call->split_seed, any_seed,
                "the --seed of the training that held them out")
        .beside("test_patients");
    options.number("seed", call->seed, any_seed, "of the choice of images and of subsets");
    options.toggle("without_floors", call->without_floors,
                   "leave out the comparisons that say what good and bad look like");
    options.toggle("tstr", call->tstr,
                   "train a classifier on labelled fakes, test it on the patients left out");
    options
        .number("tstr_epochs", call->tstr_epochs, {1, 100000},
                "passes of that classifier over its patches")
        .beside("tstr");
    answer_in_json(verb, [call](const Tell& tell) { run(*call, tell); });
    options.toggle("real_or_fake", call->real_or_fake,
                   "train small networks to tell fakes from real patches, beside real from real");
    options
        .number("real_or_fake_iterations", call->real_or_fake_iterations, {1, 1000000},
                "batches of 64 that each of them is trained on")
        .beside("real_or_fake");
    options.text("out", call->out, "FOLDER", "folder for the results (the run's, unless given)");
    describe(options, call->reading).beside("features");
    describe_data(options, call->data);
    describe(options, call->device);
    verb.examples = {"evaluate --run runs/gan --data patches",
                     "evaluate --generated fakes --data patches --features runs/classifier "
                     "--test-patients 20 --tstr --out results"};
    verb.shares_rows = true;
    return verb;
}

} // namespace patchforge
