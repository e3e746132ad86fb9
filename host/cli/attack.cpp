// patchforge attack: forges images that fool a classifier, and says how many.
#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <memory>
#include <stdexcept>

#include "host/attack/attack_job.h"
#include "host/cli/open_set.h"
#include "host/cli/options.h"
#include "host/cli/verbs.h"

namespace patchforge {

namespace {

struct Call {
    DataOptions data;
    DeviceOptions device;
    AttackJob job;
    std::string model;
    std::string models;
    std::string methods = "pgd";
    std::string norm = "linf";
    std::string target;
    std::string loss = "ce";
    std::string start = "self";
    std::string optimiser = "adam";
    std::string out;
    bool no_random_start = false;
    bool no_sanity = false;
};

std::vector<std::string> split(const std::string& text) {
    std::vector<std::string> parts;
    for (std::size_t begin = 0; begin < text.size();) {
        const std::size_t end = std::min(text.find(',', begin), text.size());
        if (end > begin) {
            parts.push_back(text.substr(begin, end - begin));
        }
        begin = end + 1;
    }
    return parts;
}

void set_target(AttackOptions& options, const std::string& text) {
    using Target = AttackOptions::Target;
    if (text.empty()) {
        options.target = Target::none;
    } else if (text == "least-likely") {
        options.target = Target::least_likely;
    } else if (text == "random") {
        options.target = Target::random;
    } else if (text.find_first_not_of("0123456789") == std::string::npos && text.size() < 6) {
        options.target = Target::fixed;
        options.target_class = std::stoi(text);
    } else {
        throw std::invalid_argument(fmt::format(
            "--target {}: is not known; give a class number, least-likely or random", text));
    }
}

void run(Call call) {
    AttackJob& job = call.job;
    AttackOptions& options = job.options;
    if (call.model.empty() == call.models.empty()) {
        throw std::invalid_argument("--model, --models: give exactly one of them");
    }
    if (!call.model.empty()) {
        job.victims = {split(call.model)};
    } else {
        for (const std::string& path : split(call.models)) {
            job.victims.push_back({path});
        }
    }
    job.methods.clear();
    for (const std::string& name : split(call.methods)) {
        job.methods.push_back(attack_method_from_name(name));
    }
    options.norm = call.norm == "linf" ? Norm::linf : call.norm == "l2" ? Norm::l2 : Norm::l1;
    set_target(options, call.target);
    options.random_start = !call.no_random_start;
    options.on_margin = call.loss == "margin";
    options.forge_loss = call.loss == "l1"   ? VictimLoss::probability_l1
                         : call.loss == "l2" ? VictimLoss::probability_l2
                                             : VictimLoss::cross_entropy;
    options.start = call.start == "self"    ? AttackOptions::Start::self
                    : call.start == "other" ? AttackOptions::Start::other
                                            : AttackOptions::Start::noise;
    options.forge_adam = call.optimiser == "adam";
    job.sanity = !call.no_sanity;
    job.out = call.out;
    job.device = call.device.device;
    job.backend = call.device.backend;
    job.validate();
    run_attack_job(open_set(call.data, call.device.backend.threads), job);
}

} // namespace

void add_attack(CLI::App& app) {
    auto call = std::make_shared<Call>();
    Call& c = *call;
    AttackJob& job = c.job;
    AttackOptions& o = job.options;
    CLI::App* verb = app.add_subcommand("attack", "forge images that fool a classifier");
    add_text(*verb, "--model", c.model, "a run folder or weights; several: their mean logit",
             "LIST");
    add_text(*verb, "--models", c.models, "several victims: a table of defences", "LIST");
    add_switch(*verb, "--transfer", job.transfer,
               "with --models: forge on each, test on all, for every method and budget");
    add_text(*verb, "--detector", job.detector, "a model in front (class 1: adversarial)",
             "FOLDER|FILE");
    add_data_options(*verb, c.data);
    add_choice(
        *verb, "--rows", job.rows,
        "test: those that every model held out in its training; validation: by which it chose "
        "its epoch; train: which it saw; auto: test where runs say it, else all",
        {"auto", "test", "validation", "train", "all"})
        ->group("Data");
    add_number<std::int64_t>(*verb, "--count", job.count, "patches at most, evenly spaced; 0: all",
                             0, 1000000000)
        ->group("Data");

    const char* attack = "Attack";
    add_text(*verb, "--method", c.methods,
             "fgsm, pgd, mifgsm, forge, cw, numeric, nes, spsa, square, worst; several with commas",
             "LIST")
        ->group(attack);
    add_fractions(*verb, "--eps", job.epsilons, "budgets in [0, 1] units (L2: any size)", 0, 1e6)
        ->group(attack);
    add_choice(*verb, "--norm", c.norm, "of the budget", {"linf", "l2", "l1"})->group(attack);
    add_text(*verb, "--target", c.target, "wanted class: K, least-likely or random", "K")
        ->group(attack);
    add_number<std::int64_t>(*verb, "--steps", o.steps, "0: the method's own", 0, 10000000)
        ->group(attack);
    add_fraction(*verb, "--alpha", o.alpha, "step size; 0: 2.5 eps / steps", 0, 1e6)->group(attack);
    add_switch(*verb, "--no-random-start", c.no_random_start, "pgd from the sample itself (BIM)")
        ->group(attack);
    add_number<std::int64_t>(*verb, "--restarts", o.restarts, "of pgd", 1, 10000)->group(attack);
    add_number<double>(*verb, "--decay", o.decay, "of mifgsm's momentum", 0, 10)->group(attack);
    add_choice(*verb, "--loss", c.loss, "ce, margin (fgsm, pgd, mifgsm); ce, l1, l2 (forge)",
               {"ce", "margin", "l1", "l2"})
        ->group(attack);
    add_fractions(*verb, "--lambda", o.lambdas, "forge: weights of the squared distance", 0, 1e9)
        ->group(attack);
    add_choice(*verb, "--start", c.start,
               "forge: where it begins: the patch, another of its class, noise",
               {"self", "other", "noise"})
        ->group(attack);
    add_number<double>(*verb, "--within", o.within,
                       "forge: success also means an L2 distance of at most this; 0: any", 0, 1e6)
        ->group(attack);
    add_choice(*verb, "--optimiser", c.optimiser, "of forge", {"adam", "gd"})->group(attack);
    add_number<double>(*verb, "--lr", o.learning_rate, "of forge and cw", 1e-9, 1000)
        ->group(attack);
    add_number<std::int64_t>(*verb, "--search-steps", o.search_steps, "cw: binary search over c", 1,
                             100)
        ->group(attack);
    add_number<double>(*verb, "--confidence", o.confidence, "cw, forge: lead of the wrong logit", 0,
                       1e6)
        ->group(attack);
    add_number<std::int64_t>(*verb, "--queries", o.queries, "black boxes: at most, a sample", 1,
                             100000000)
        ->group(attack);
    add_number<std::int64_t>(*verb, "--directions", o.directions, "nes, spsa: pairs a step", 1,
                             4096)
        ->group(attack);
    add_number<double>(*verb, "--sigma", o.sigma, "nes, spsa, numeric: reach of a pair", 1e-6, 1)
        ->group(attack);
    add_number<std::int64_t>(*verb, "--block", o.block, "numeric: coordinates moved at once", 1,
                             1000000)
        ->group(attack);
    add_number<std::int64_t>(*verb, "--batch-size", o.batch_size, "samples attacked together", 1,
                             4096)
        ->group(attack);
    add_number<std::uint64_t>(*verb, "--seed", o.seed, "of everything random", 0, ~std::uint64_t{0})
        ->group(attack);

    add_text(*verb, "--out", c.out, "folder for table, curve, sheets and report", "FOLDER")
        ->group("Output");
    add_switch(*verb, "--save", job.save, "the 8-bit images as PNG files in class folders")
        ->group("Output");
    add_switch(*verb, "--no-sanity", c.no_sanity, "leave out the checks of the evaluation")
        ->group("Output");
    add_device_options(*verb, c.device);
    verb->callback([call] { run(*call); });
}

} // namespace patchforge
