#include "host/attack/attack_options.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

namespace patchforge {

namespace {

const Choices<VictimLoss> losses = {{"ce", VictimLoss::cross_entropy},
                                    {"margin", VictimLoss::margin},
                                    {"l1", VictimLoss::probability_l1},
                                    {"l2", VictimLoss::probability_l2}};
const Choices<Norm> norms = {{"linf", Norm::linf}, {"l2", Norm::l2}, {"l1", Norm::l1}};

[[noreturn]] void refuse(const std::string& what) {
    throw std::invalid_argument(what);
}

// The methods that heed an option, or one value of it ("loss=margin"); empty: it is for all.
std::string heeding(const std::string& option) {
    return method_names([&](const AttackMethod& method) { return method.heeds(option); });
}

// Behind the help of an option: whose it is.
std::string of(const std::string& option) {
    return " [" + heeding(option) + "]";
}

void set_target(AttackOptions& attack, const std::string& text) {
    using Target = AttackOptions::Target;
    if (text == "none") {
        attack.target = Target::none;
    } else if (text == "least-likely") {
        attack.target = Target::least_likely;
    } else if (text == "random") {
        attack.target = Target::random;
    } else if (!text.empty() && text.size() < 6 &&
               text.find_first_not_of("0123456789") == std::string::npos) {
        attack.target = Target::fixed;
        attack.target_class = std::stoi(text);
    } else {
        refuse(fmt::format(
            "--target {}: is not known; give a class number, least-likely, random or none", text));
    }
}

std::string target_text(const AttackOptions& attack) {
    switch (attack.target) {
    case AttackOptions::Target::none:
        return "none";
    case AttackOptions::Target::least_likely:
        return "least-likely";
    case AttackOptions::Target::random:
        return "random";
    case AttackOptions::Target::fixed:
        break;
    }
    return std::to_string(attack.target_class);
}

} // namespace

void describe(Options& options, AttackOptions& attack) {
    using Start = AttackOptions::Start;
    options.group("Attack");
    options.choice("norm", attack.norm, norms, "of the budget");
    options.custom(
        "target", "K", "wanted class: a number, least-likely, random, or none" + of("target"),
        [&attack](const std::string& text) { set_target(attack, text); },
        [&attack]() -> ParameterValue { return target_text(attack); });
    options.number("steps", attack.steps, {0, 10000000}, "0: the method's own" + of("steps"));
    options.fraction("alpha", attack.alpha, {0, 1e6},
                     "step size; 0: the method's own, by eps and steps" + of("alpha"));
    options.custom(
        "no_random_start", "", "from the sample itself (BIM)" + of("no_random_start"),
        [&attack](const std::string& text) { attack.random_start = text != "true"; },
        [&attack]() -> ParameterValue { return !attack.random_start; });
    options.number("restarts", attack.restarts, {1, 10000},
                   "a sample keeps its first success" + of("restarts"));
    options.number("decay", attack.decay, {0, 10}, "of the momentum" + of("decay"));
    std::string loss_help = "what is climbed or descended";
    for (const auto& [name, loss] : losses) {
        const std::string entry = std::string("loss=") + name;
        loss_help += heeding(entry).empty() ? "" : fmt::format("; {}{}", name, of(entry));
    }
    options.choice("loss", attack.loss, losses, loss_help);
    options.fractions("lambda", attack.lambdas, {0, 1e9},
                      "weights of the squared distance" + of("lambda"));
    options.choice<Start>("start", attack.start,
                          {{"self", Start::self}, {"other", Start::other}, {"noise", Start::noise}},
                          "where it begins: the patch, another of its class, noise" + of("start"));
    options.number("within", attack.within, {0, 1e6},
                   "success also means an L2 distance of at most this; 0: any" + of("within"));
    options.choice<bool>("optimiser", attack.by_adam, {{"adam", true}, {"gd", false}},
                         "or gradient descent" + of("optimiser"));
    options.number("lr", attack.learning_rate, {1e-9, 1000}, "learning rate" + of("lr"));
    options.number("search_steps", attack.search_steps, {1, 100},
                   "of the binary search over the weight of success" + of("search_steps"));
    options.number("confidence", attack.confidence, {0, 1e6},
                   "lead of the wrong logit" + of("confidence"));
    options.number("queries", attack.queries, {1, 100000000}, "at most, a sample" + of("queries"));
    options.number("directions", attack.directions, {1, 4096}, "pairs a step" + of("directions"));
    options.number("sigma", attack.sigma, {1e-6, 1}, "reach of a pair" + of("sigma"));
    options.number("block", attack.block, {1, 1000000}, "pixels moved at once" + of("block"));
    options.custom(
        "transform", "CHANGES",
        "none, physical, or some of scale=0.1,shift=2,blur=1,brightness=0.2,jpeg=50: what becomes "
        "of pictures on their way to the classifier; success is told before and after",
        [&attack](const std::string& text) { attack.change = parse_physical_change(text); },
        [&attack]() -> ParameterValue { return attack.change.text(); });
    options
        .number("transform_draws", attack.change_draws, {0, 1024},
                "changes that each step averages its gradient over; 0: the attack knows nothing of "
                "them" +
                    of("transform_draws"))
        .beside("transform");
    options.number("batch_size", attack.batch_size, {1, 4096}, "samples attacked together");
    options.number("seed", attack.seed, any_seed, "of everything random");
}

std::int64_t AttackOptions::steps_of(std::int64_t pixels) const {
    if (steps > 0 && method->heeds("steps")) {
        return steps;
    }
    // A pair is two questions, and one more a step sees whether it is done.
    return method->pairs
               ? std::max<std::int64_t>(queries / (2 * method->pairs(*this, pixels) + 1), 1)
               : method->steps;
}

double AttackOptions::alpha_of(double epsilon, std::int64_t pixels) const {
    return alpha > 0 && method->heeds("alpha")
               ? alpha
               : std::min(method->stride * epsilon / static_cast<double>(steps_of(pixels)),
                          epsilon);
}

bool AttackOptions::climbs_changes() const {
    return change.active() && change_draws > 0 && method->heeds("transform_draws");
}

VictimLoss AttackOptions::loss_of() const {
    return method->heeds("loss=" + choice_name(losses, loss)) ? loss : VictimLoss::cross_entropy;
}

StepRule AttackOptions::rule() const {
    return norm == Norm::linf ? StepRule::sign
           : norm == Norm::l2 ? StepRule::unit_l2
                              : StepRule::unit_l1;
}

Ball AttackOptions::ball() const {
    return norm == Norm::linf ? Ball::linf : norm == Norm::l2 ? Ball::l2 : Ball::l1;
}

void AttackOptions::validate(std::int64_t classes) const {
    check_ranges(*this);
    if (!method->takes(norm)) {
        std::string taken;
        for (const Norm one : method->norms) {
            taken += (taken.empty() ? "" : ", ") + choice_name(norms, one);
        }
        refuse(fmt::format("--norm {}: {} takes {}; give one of these, or another method",
                           choice_name(norms, norm), method->name, taken));
    }
    if (target == Target::fixed && (target_class < 0 || target_class >= classes)) {
        refuse(fmt::format("--target {}: the model has classes 0 to {}; choose one of them",
                           target_class, classes - 1));
    }
    if (method->needs_target && !targeted()) {
        refuse(fmt::format("--method {}: needs a target; give --target K, least-likely or random",
                           method->name));
    }
    if (targeted() && !method->heeds("target")) {
        refuse(fmt::format("--method {}: is untargeted; leave --target out", method->name));
    }
}

void AttackOptions::refuse_foreign(const std::vector<const AttackMethod*>& methods) const {
    AttackOptions own = *this, standard;
    Options given, defaults;
    describe(given, own);
    describe(defaults, standard);
    for (const Option& option : given.all()) {
        const std::string value = parameter_text(option.get());
        if (value == parameter_text(defaults.find(option.name)->get())) {
            continue;
        }
        for (const std::string& entry : {option.name, option.name + "=" + value}) {
            const std::string heeders = heeding(entry);
            if (!heeders.empty() &&
                std::none_of(methods.begin(), methods.end(),
                             [&](const AttackMethod* method) { return method->heeds(entry); })) {
                refuse(fmt::format("{}{}: belongs to {}, not to --method {}; leave it out",
                                   option.flag(), entry == option.name ? "" : " " + value, heeders,
                                   method_names(methods)));
            }
        }
    }
    if (restarts > 1 && !random_start) {
        refuse("--restarts: without a random start each would be the same; leave "
               "--no-random-start out");
    }
}

std::string AttackOptions::text(std::int64_t pixels) const {
    std::string line = method->name;
    if (method->bounded) {
        line += " " + choice_name(norms, norm);
    }
    if (method->sight == Sight::scores) {
        line += fmt::format(", at most {} queries", queries);
    } else if (steps_of(pixels) > 1) {
        line += fmt::format(", {} steps", steps_of(pixels));
    }
    if (loss_of() != VictimLoss::cross_entropy) {
        line += loss_of() == VictimLoss::margin ? ", on the margin"
                                                : ", loss " + choice_name(losses, loss);
    }
    line += method->text ? method->text(*this) : "";
    if (climbs_changes()) {
        line += fmt::format(", over {} changes", change_draws);
    }
    switch (target) {
    case Target::none:
        break;
    case Target::fixed:
        line += fmt::format(", towards class {}", target_class);
        break;
    case Target::least_likely:
        line += ", towards the least likely class";
        break;
    case Target::random:
        line += ", towards a random other class";
        break;
    }
    return line;
}

} // namespace patchforge
