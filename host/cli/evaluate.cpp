// patchforge evaluate: fakes against real patches, with floors and ceilings.
#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <stdexcept>

#include "data/split.h"
#include "host/cli/open_set.h"
#include "host/cli/options.h"
#include "host/cli/verbs.h"
#include "host/evaluate/evaluation_report.h"
#include "host/evaluate/image_evaluation.h"
#include "host/model/classifier_model.h"
#include "host/model/load_generator.h"
#include "host/run/progress.h"
#include "host/run/report.h"
#include "kernels/shuffle.h"

namespace patchforge {

namespace {

struct Call {
    DataOptions data;
    DeviceOptions device;
    std::string run;
    std::string generated;
    std::string features;
    std::string out;
    std::int64_t count = 2000;
    std::int64_t test_patients = 0;
    std::uint64_t seed = 2020;
    std::uint64_t split_seed = 0;
    bool without_floors = false;
};

// At most `count` of the rows, in an order of the seed.
ImageSet images_of(const PackedSet& set, const std::vector<std::int32_t>& rows, std::int64_t count,
                   std::uint64_t seed) {
    ImageSet images{{set.channels(), set.height(), set.width()}, {}, {}};
    const auto available = static_cast<std::uint32_t>(rows.size());
    const std::uint32_t taken = std::min(available, static_cast<std::uint32_t>(count));
    for (std::uint32_t i = 0; i < taken; ++i) {
        const std::int32_t row = rows[shuffled_row(seed, 0, i, available)];
        const auto patch = set.patch(row);
        images.bytes.insert(images.bytes.end(), patch.begin(), patch.end());
        images.labels.push_back(set.labels()[static_cast<std::size_t>(row)]);
    }
    return images;
}

std::vector<std::int32_t> all_rows(const PackedSet& set) {
    std::vector<std::int32_t> rows(static_cast<std::size_t>(set.count()));
    for (std::size_t i = 0; i < rows.size(); ++i) {
        rows[i] = static_cast<std::int32_t>(i);
    }
    return rows;
}

void run(const Call& call) {
    if (call.run.empty() == call.generated.empty()) {
        throw std::invalid_argument("--run, --generated: give one of them, a GAN's run folder or a "
                                    "folder of generated PNG files");
    }
    const std::string out = call.out.empty() ? call.run : call.out;
    if (out.empty()) {
        throw std::invalid_argument("--out: missing; name a folder for the results");
    }
    const PackedSet set = open_set(call.data, call.device.threads);
    const auto backend =
        make_backend(call.device.device, {call.device.threads, call.device.precision});

    Split split{all_rows(set), {}, {}};
    if (call.test_patients > 0) {
        split =
            split_by_patient(set, {.test_patients = call.test_patients, .seed = call.split_seed});
    }
    const ImageSet training = images_of(set, split.train, call.count, call.seed);
    const ImageSet held_out = images_of(set, split.test, call.count, call.seed + 1);

    ImageSet generated{training.shape, {}, {}};
    if (!call.run.empty()) {
        LoadedGenerator generator(*backend, call.run);
        const std::int64_t count = std::min<std::int64_t>(call.count, training.count());
        generated.bytes = generator.images().bytes(generator.images().latents(count, call.seed));
        const GeneratorFormat& format = generator.images().format();
        generated.shape = {format.channels, format.height, format.width};
    } else {
        DataOptions options = call.data;
        options.data = call.generated;
        const PackedSet fakes = open_set(options, call.device.threads);
        generated = images_of(fakes, all_rows(fakes), call.count, call.seed);
    }
    const ImageShape& a = generated.shape;
    const ImageShape& b = training.shape;
    if (a.channels != b.channels || a.height != b.height || a.width != b.width) {
        throw std::runtime_error(fmt::format(
            "the fakes are {} x {} x {}, the patches {} x {} x {}; compare images of one size",
            a.channels, a.height, a.width, b.channels, b.height, b.width));
    }
    std::unique_ptr<ClassifierModel> classifier;
    if (!call.features.empty()) {
        classifier = ClassifierModel::load(*backend, call.features);
    }
    const ImageEvaluation evaluation = evaluate_images(
        training, generated, training, held_out, classifier.get(),
        {.seed = call.seed, .threads = call.device.threads, .floors = !call.without_floors},
        [](const std::string& what) { print_line(what); });

    fmt::print("{} generated against {} real patches\n{}", generated.count(), training.count(),
               evaluation_table(evaluation));
    for (const MetricResult& result : evaluation.generated) {
        append_metric_line(out, result);
    }
    Report report("Generated against real patches",
                  fmt::format("{} generated, {} real, seed {}.", generated.count(),
                              training.count(), call.seed));
    add_evaluation_sections(report, evaluation, generated, training, held_out);
    report.write(std::filesystem::path(out) / "evaluation.html");
    fmt::print("Look at {}/evaluation.html\n", out);
}

} // namespace

void add_evaluate(CLI::App& app) {
    auto call = std::make_shared<Call>();
    CLI::App* verb = app.add_subcommand("evaluate", "measure how good fakes are");
    add_text(*verb, "--run", call->run, "a GAN's run folder or a generator's weights",
             "FOLDER|FILE");
    add_text(*verb, "--generated", call->generated, "a folder of generated PNG files instead",
             "FOLDER");
    add_data_options(*verb, call->data);
    add_text(*verb, "--features", call->features,
             "a classifier whose features are used too; train it on other patients", "FOLDER|FILE");
    add_number<std::int64_t>(*verb, "--count", call->count, "images of each kind, at most", 20,
                             1000000);
    add_number<std::int64_t>(*verb, "--test-patients", call->test_patients,
                             "patients that the GAN did not see, for memorisation (0: none)", 0,
                             1000000);
    add_number<std::uint64_t>(*verb, "--split-seed", call->split_seed,
                              "the --seed of the training that held them out", 0,
                              ~std::uint64_t{0});
    add_number<std::uint64_t>(*verb, "--seed", call->seed, "of the choice of images and of subsets",
                              0, ~std::uint64_t{0});
    add_switch(*verb, "--without-floors", call->without_floors,
               "leave out the comparisons that say what good and bad look like");
    add_text(*verb, "--out", call->out, "folder for the results (the run's, unless given)",
             "FOLDER");
    add_device_options(*verb, call->device);
    verb->callback([call] { run(*call); });
}

} // namespace patchforge
