// patchforge tour: everything on one data set, in one folder and on one page. What `make run` does.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <stdexcept>

#include "data/escape.h"
#include "host/classifier/classifier_report.h"
#include "host/classifier/classifier_run.h"
#include "host/cli/verbs.h"
#include "host/gan/gan_presets.h"
#include "host/gan/gan_report.h"
#include "host/gan/gan_run.h"
#include "host/options/data_options.h"
#include "host/options/option_table.h"
#include "host/page/report.h"
#include "host/run/parameters_file.h"
#include "host/run/progress.h"
#include "host/run/run_folder.h"
#include "host/session/open_set.h"
#include "host/session/session.h"
#include "host/translate/translate_family.h"
#include "host/translate/translate_report.h"
#include "host/trial/attack_job.h"
#include "host/trial/evasion.h"

namespace patchforge {

namespace {

namespace fs = std::filesystem;

struct TourCall {
    DataOptions data;
    DeviceOptions device;
    std::string out;
    std::string preset{}; // empty: convolutions where the patches are large enough for them
    std::int64_t steps = 0;
    std::int64_t epochs = 8;
    std::int64_t fakes = 2000;
    std::uint64_t seed = 0;
    bool full = false;
};

void heading(const std::string& text) {
    print_line("\n== " + text);
}

// Small pictures made large, pictures painted from their edges, and one class made of the other: what two
// cores do in minutes. False: a training was interrupted.
bool translate_pictures(const TourCall& call, const PackedSet& set, const fs::path& out,
                        Report& page) {
    struct Part {
        const char *preset, *heading;
        std::int64_t steps;
    };
    const Part parts[] = {{"super-resolution", "small pictures made large", 2000},
                          {"edges", "pictures painted from their edges", 1500},
                          {"cycle", "one class made of the other", 600}};
    for (const Part& part : parts) {
        TranslateOptions options = translate_preset(part.preset);
        if (options.mode == TranslationMode::cycle && set.class_names().size() < 2) {
            continue;
        }
        heading(part.heading);
        options.steps = call.steps > 0 ? std::min(call.steps, part.steps) : part.steps;
        options.seed = call.seed;
        TranslateRunOptions run;
        run.run.out = out / part.preset;
        run.run.device = call.device;
        run.intervals.log = std::clamp<std::int64_t>(options.steps / 20, 1, 100);
        run.intervals.sample = std::max<std::int64_t>(1, options.steps / 2);
        if (!run_translate_training({&set, nullptr}, options, run)) {
            return false;
        }
        add_translate_section(page, run.run.out);
    }
    return true;
}

void run(const TourCall& call) {
    const ResultsPlace place{"tour", call.out, {{"--data", call.data.data}}, Earlier::aside};
    place.check();
    heading("data");
    const PackedSet set = open_set(call.data, call.device.backend.threads);
    const bool squares = set.height() == set.width() && set.height() >= 16;
    if (call.full && !squares) {
        throw std::invalid_argument(fmt::format(
            "--full: translates pictures that are squares of at least 16 pixels a side, those of "
            "{} are {} x {}; leave it out",
            set.path().string(), set.height(), set.width()));
    }
    const std::string preset = !call.preset.empty() ? call.preset
                               : squares            ? "tissue"
                                                    : "components";
    GanOptions gan = gan_preset(preset);
    gan.seed = call.seed;
    if (call.steps > 0) {
        gan.steps = call.steps;
    } else if (preset == "tissue" && !call.full) {
        gan.steps = 1500; // under a minute on two cores
    }
    GanRunOptions gan_run;
    gan.validate();
    Session session(place);
    const fs::path out = (fs::path(call.out) / "").parent_path(); // without a slash at its end
    write_parameters(out,
                     encode_parameters("tour", {{"data", set.path().string()},
                                                {"preset", preset},
                                                {"steps", gan.steps},
                                                {"epochs", call.epochs},
                                                {"count", call.fakes},
                                                {"seed", static_cast<std::int64_t>(call.seed)}}));
    gan_run.run.out = out / "gan";
    gan_run.run.device = call.device;
    print_line(fmt::format("{}: {} patches of {} patients", set.path().string(), set.count(),
                           set.patient_names().size()));

    heading("a GAN");
    // A picture now and then, whatever the length of the run.
    const std::int64_t steps =
        gan.steps > 0 ? gan.steps : gan.epochs * (set.count() / gan.batch_size + 1);
    gan_run.intervals.sample = std::max<std::int64_t>(1, steps / 4);
    gan_run.intervals.log = std::clamp<std::int64_t>(steps / 20, 1, 200);
    const auto stop = [] { print_line("the tour ends here; the same command starts a new one"); };
    if (!run_gan_training(set, gan, gan_run)) {
        return stop();
    }

    heading("a classifier");
    ClassifierOptions classifier;
    classifier.epochs = call.epochs;
    classifier.seed = call.seed;
    ClassifierRunOptions classifier_run;
    classifier_run.run.out = out / "classifier";
    classifier_run.run.device = call.device;
    if (!run_classifier_training(classifier_task({.set = &set}, classifier), classifier,
                                 classifier_run)) {
        return stop();
    }
    std::vector<std::string> classifiers = {classifier_run.run.out.string()};
    if (squares) {
        heading("a convolutional classifier");
        ClassifierOptions cnn = classifier_preset("cnn");
        cnn.epochs = std::min<std::int64_t>(call.epochs, 4); // enough on a few thousand patches
        cnn.seed = call.seed;
        classifier_run.run.out = out / "cnn";
        if (!run_classifier_training(classifier_task({.set = &set}, cnn), cnn, classifier_run)) {
            return stop();
        }
        classifiers.push_back(classifier_run.run.out.string());
    }

    heading("fakes before the classifiers");
    Report page(
        "A tour of patchforge",
        fmt::format("{} patches: a GAN learns to make more of them, classifiers to tell them "
                    "apart, and both kinds of forgery are put before them.",
                    set.count()));
    std::vector<std::string> verdict;
    EvasionJob evasion;
    evasion.generator = gan_run.run.out.string();
    evasion.models = classifiers;
    evasion.count = call.fakes;
    evasion.real_or_fake = squares && call.fakes >= 40 && set.patient_names().size() >= 20;
    evasion.real_or_fake_iterations = 150; // of 64: seconds, and enough for the fakes of minutes
    evasion.seed = call.seed;
    evasion.out = out / "evasion";
    evasion.listeners.page = &page; // before all the rest: what came out stands first
    evasion.verdict = &verdict;
    evasion.device = call.device;
    try {
        run_evasion(&set, evasion);
    } catch (const std::invalid_argument& error) {
        // Few patches are held out of a small set: the rest of the tour is worth as much.
        if (!evasion.real_or_fake) {
            throw;
        }
        print_line(
            fmt::format("No network is trained to tell fakes: {}", terminal_text(error.what())));
        evasion.real_or_fake = false;
        run_evasion(&set, evasion);
    }
    add_gan_sections(page, gan_run.run.out);
    for (const std::string& one : classifiers) {
        add_classifier_sections(page, one);
    }

    heading("adversarial examples");
    AttackJob attack;
    attack.victims = {{classifiers.front()}};
    attack.methods = {attack_method("fgsm"), attack_method("pgd")};
    attack.options.steps = 10;
    attack.out = out / "attack";
    attack.count = 1000;
    attack.listeners.page = &page;
    attack.device = call.device;
    run_attack_job(set, attack);
    if (classifiers.size() > 1) {
        heading("do they pass from one classifier to the other?");
        attack.victims = {{classifiers[0]}, {classifiers[1]}};
        attack.methods = {attack_method("pgd")};
        attack.epsilons = {4 / 255.0};
        attack.transfer = true;
        attack.sanity = false;
        attack.count = 200;
        attack.out = out / "transfer";
        run_attack_job(set, attack);
    }

    if (call.full && !translate_pictures(call, set, out, page)) {
        return stop();
    }

    page.write(out / "report.html");
    session.complete();
    const Metrics metrics = read_metrics(gan_run.run.out / "metrics.csv");
    heading("what came out");
    for (const std::string& sentence : verdict) {
        print_line(terminal_text(sentence));
    }
    print_line(fmt::format("The losses ended at d_loss {:.4f}, g_loss {:.4f}.",
                           metrics.column("d_loss").back(), metrics.column("g_loss").back()));
    print_line("Look at");
    print_line(fmt::format("  {}/report.html           everything on one page", out.string()));
    print_line(fmt::format("  {}/gan/images/real.png   patches of the data set", out.string()));
    print_line(fmt::format("  {}/gan/images/final.png  fakes", out.string()));
    print_line(fmt::format("  {}/attack                adversarial examples", out.string()));
}

} // namespace

Verb tour_verb() {
    auto call = std::make_shared<TourCall>();
    Verb verb{"tour", "a GAN, a classifier, attacks on it and fakes before it, on one page"};
    Options& options = verb.options;
    describe_data(options, call->data.usually(Part::train));
    options.group("Tour");
    options
        .text("out", call->out, "FOLDER", "folder for all of it; an earlier tour there is replaced")
        .must_be_given();
    options.number(
        "steps", call->steps, {0, 1000000000},
        "of the GAN (0: the preset's, but 1,500 of tissue without --full), and at most so many of "
        "each training of --full");
    options.number("epochs", call->epochs, {1, 100000}, "of the classifier");
    options.number("count", call->fakes, {1, 1000000}, "fakes put before the classifier");
    options.number("seed", call->seed, any_seed, "of everything random");
    options.toggle("full", call->full,
                   "also pictures from pictures: small ones made large, edges painted, one class "
                   "made of the other; some minutes more");
    options.custom(
        "preset", preset_names(gan_presets(), "|"),
        "of the GAN (without: tissue where the patches are squares of at least 16 pixels a side, "
        "else components)",
        [&preset = call->preset](const std::string& text) {
            (void)gan_preset(text); // refuses an unknown name
            preset = text;
        },
        nullptr);
    describe(options, call->device);
    verb.examples = {"tour --data IDC_regular_ps50_idx5 --out runs/tour",
                     "tour --data IDC_regular_ps50_idx5 --full --out runs/full",
                     "tour --data digits --preset mnist --steps 2000 --out runs/digits"};
    verb.run = [call] { run(*call); };
    return verb;
}

} // namespace patchforge
