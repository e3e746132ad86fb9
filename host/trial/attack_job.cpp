#include "host/trial/attack_job.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "host/trial/attack_table.h"

namespace patchforge {

namespace fs = std::filesystem;

fs::path AttackJob::save_folder(const AttackMethod& method, double epsilon, double lambda) const {
    std::string name = method.name;
    name += "_" + (method.bounded ? epsilon_text(epsilon) : fmt::format("lambda_{:g}", lambda));
    std::replace(name.begin(), name.end(), '/', '-');
    return out / "adversarial" / name;
}

std::vector<fs::path> AttackJob::save_folders() const {
    std::vector<fs::path> folders;
    for (const AttackMethod* method : methods) {
        for (const auto& [epsilon, lambda] : budgets(*method)) {
            folders.push_back(save_folder(*method, epsilon, lambda));
        }
    }
    return folders;
}

ResultsPlace AttackJob::place() const {
    ResultsPlace place{.verb = "attack", .out = out, .mark = "attack.json"};
    for (const std::string& model : models()) {
        place.inputs.emplace_back("--model", model);
    }
    return place;
}

double AttackJob::largest_epsilon() const {
    return *std::max_element(epsilons.begin(), epsilons.end());
}

std::string AttackJob::why_unchecked() const {
    const double epsilon = largest_epsilon();
    return !sanity                      ? "--no-sanity was given"
           : transfer                   ? "a transfer matrix judges pictures, not a defence"
           : options.norm != Norm::linf ? "they know L-infinity alone"
           : !(epsilon > 0)             ? "no budget is above 0"
           : epsilon >= 1               ? "the largest budget is not below 1"
                                        : "";
}

std::vector<std::string> AttackJob::models() const {
    std::vector<std::string> paths;
    for (const auto& victim : victims) {
        paths.insert(paths.end(), victim.begin(), victim.end());
    }
    if (!detector.empty()) {
        paths.push_back(detector);
    }
    return paths;
}

std::vector<std::pair<double, double>> AttackJob::budgets(const AttackMethod& method) const {
    std::vector<std::pair<double, double>> list;
    if (method.bounded) {
        for (const double epsilon : epsilons) {
            list.emplace_back(epsilon, 0);
        }
    } else if (method.heeds("lambda")) {
        for (const double lambda : options.lambdas) {
            list.emplace_back(0, lambda);
        }
    } else {
        list.emplace_back(0, 0);
    }
    return list;
}

namespace {

std::string methods_help() {
    std::string help = "one or several, with commas";
    for (const AttackMethod* method : attack_methods()) {
        help += fmt::format("; {}: {}", method->name, method->help);
    }
    return help;
}

} // namespace

void describe(Options& options, AttackJob& job) {
    options.group("Data");
    options.choice<std::string>(
        "rows", job.rows,
        {{"auto", "auto"},
         {"test", "test"},
         {"validation", "validation"},
         {"train", "train"},
         {"all", "all"}},
        "test: those that every model held out in its training; validation: by which it chose its "
        "epoch; train: which it saw; auto: test where runs say it, else all");
    options.number("count", job.count, {0, 1000000000}, "patches at most, evenly spaced; 0: all");
    options.group("Victim");
    const auto paths = [](const std::string& text) {
        std::error_code ignored; // a comma may stand in a path, too
        return std::filesystem::exists(text, ignored) ? std::vector<std::string>{text}
                                                      : split_at_commas(text);
    };
    options.custom("model", "LIST", "a run folder or weights; several: their mean logit",
                   [&job, paths](const std::string& text) { job.victims = {paths(text)}; }, {});
    options.custom("models", "LIST", "several victims: a table of defences",
                   [&job, paths](const std::string& text) {
                       job.victims.clear();
                       for (const std::string& path : paths(text)) {
                           job.victims.push_back({path});
                       }
                   },
                   {});
    options.only_one_of({"model", "models"});
    options.toggle("transfer", job.transfer,
                   "with --models: forge on each, test on all, for every method and budget");
    options.text("detector", job.detector, "FOLDER|FILE",
                 "a model in front (class 1: adversarial)");
    describe(options, job.reading);
    options.group("Attack");
    options.custom(
        "method", "LIST", methods_help(),
        [&job](const std::string& text) {
            job.methods.clear();
            for (const std::string& name : split_at_commas(text)) {
                job.methods.push_back(attack_method(name));
            }
        },
        [&job]() -> ParameterValue { return method_names(job.methods); });
    options.fractions("eps", job.epsilons, {0, 1e6}, "budgets in [0, 1] units (L2: any size)");
    describe(options, job.options);
    options.group("Output");
    options.path("out", job.out, "FOLDER", "folder for table, curve, sheets and report");
    options.toggle("save", job.save, "the 8-bit images as PNG files in class folders");
    options.custom(
        "no_sanity", "", "leave out the checks of the evaluation",
        [&job](const std::string& text) { job.sanity = text != "true"; },
        [&job]() -> ParameterValue { return !job.sanity; });
    describe(options, job.device);
}

void AttackJob::validate() const {
    const auto refuse = [](const std::string& what) { throw std::invalid_argument(what); };
    const auto unbounded = [](const AttackMethod* method) { return !method->bounded; };
    check_ranges(*this);
    if (victims.empty()) {
        refuse("--model, --models: give exactly one of them");
    }
    for (const auto& paths : victims) {
        if (paths.empty() || std::find(paths.begin(), paths.end(), "") != paths.end()) {
            refuse("--model, --models: an entry is empty; give names with commas between them");
        }
    }
    if (methods.empty() || epsilons.empty()) {
        refuse("attack: nothing to do; give --method and --eps");
    }
    for (const double epsilon : epsilons) {
        if (options.norm == Norm::linf && epsilon > 1) {
            refuse(
                fmt::format("--eps {}: pixels are in [0, 1]; give at most 1, e.g. 8/255", epsilon));
        }
    }
    const auto refuse_repeated = [&](auto values, const char* option) {
        std::sort(values.begin(), values.end());
        if (std::adjacent_find(values.begin(), values.end()) != values.end()) {
            refuse(fmt::format("{}: one of its values stands twice; give each once", option));
        }
    };
    refuse_repeated(methods, "--method");
    refuse_repeated(epsilons, "--eps");
    refuse_repeated(options.lambdas, "--lambda");
    options.refuse_foreign(methods);
    if (epsilons != AttackJob().epsilons &&
        std::all_of(methods.begin(), methods.end(), unbounded)) {
        refuse(fmt::format("--eps: {} has no budget; leave it out, or add a method that has one",
                           method_names(methods)));
    }
    if (save && out.empty()) {
        refuse("--save: needs a folder; give --out too");
    }
    if (save && victims.size() > 1) {
        refuse("--save: keeps the pictures of one victim; give --model instead of --models");
    }
    if (!detector.empty() && victims.size() > 1) {
        refuse("--detector: stands in front of one model; give --model with one victim");
    }
    if (transfer && victims.size() < 2) {
        refuse("--transfer: needs two models at least; give --models a,b");
    }
    if (transfer && std::any_of(methods.begin(), methods.end(), unbounded)) {
        refuse("--transfer: takes attacks with a budget; use " +
               method_names([&](const AttackMethod& method) { return !unbounded(&method); }));
    }
    if (transfer && *std::max_element(epsilons.begin(), epsilons.end()) <= 0) {
        refuse("--transfer: no budget of --eps is above 0; give one, e.g. 8/255");
    }
    place().check();
}

} // namespace patchforge
