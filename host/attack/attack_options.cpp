#include "host/attack/attack_options.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <stdexcept>

namespace patchforge {

namespace {

constexpr std::array<const char*, 10> method_names = {
    "fgsm", "pgd", "mifgsm", "forge", "cw", "numeric", "nes", "spsa", "square", "worst"};

[[noreturn]] void refuse(const std::string& what) {
    throw std::invalid_argument(what);
}

// Which methods an option belongs to, and how to tell that it was given.
struct Belonging {
    const char* option;
    bool (*given)(const AttackOptions& options, const AttackOptions& standard);
    std::vector<AttackMethod> methods;
};

const std::vector<Belonging>& belongings() {
    using enum AttackMethod;
    using Given = const AttackOptions&;
    static const std::vector<Belonging> table = {
        {"--target",
         [](Given o, Given) { return o.targeted(); },
         {fgsm, pgd, mifgsm, forge, cw, numeric, nes, spsa, square}},
        {"--steps",
         [](Given o, Given s) { return o.steps != s.steps; },
         {pgd, mifgsm, forge, cw, numeric, nes, spsa, worst}},
        {"--alpha",
         [](Given o, Given s) { return o.alpha != s.alpha; },
         {pgd, mifgsm, numeric, nes, spsa}},
        {"--no-random-start", [](Given o, Given) { return !o.random_start; }, {pgd}},
        {"--restarts", [](Given o, Given s) { return o.restarts != s.restarts; }, {pgd}},
        {"--decay", [](Given o, Given s) { return o.decay != s.decay; }, {mifgsm}},
        {"--loss margin", [](Given o, Given) { return o.on_margin(); }, {fgsm, pgd, mifgsm}},
        {"--loss l1, l2",
         [](Given o, Given s) { return o.forge_loss() != s.forge_loss(); },
         {forge}},
        {"--lambda", [](Given o, Given s) { return o.lambdas != s.lambdas; }, {forge}},
        {"--start", [](Given o, Given s) { return o.start != s.start; }, {forge}},
        {"--within", [](Given o, Given s) { return o.within != s.within; }, {forge}},
        {"--optimiser", [](Given o, Given s) { return o.forge_adam != s.forge_adam; }, {forge}},
        {"--lr", [](Given o, Given s) { return o.learning_rate != s.learning_rate; }, {forge, cw}},
        {"--search-steps", [](Given o, Given s) { return o.search_steps != s.search_steps; }, {cw}},
        {"--confidence",
         [](Given o, Given s) { return o.confidence != s.confidence; },
         {forge, cw}},
        {"--queries",
         [](Given o, Given s) { return o.queries != s.queries; },
         {numeric, nes, spsa, square, worst}},
        {"--directions",
         [](Given o, Given s) { return o.directions != s.directions; },
         {nes, spsa}},
        {"--sigma", [](Given o, Given s) { return o.sigma != s.sigma; }, {numeric, nes, spsa}},
        {"--block", [](Given o, Given s) { return o.block != s.block; }, {numeric}},
    };
    return table;
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
    options.choice<Norm>("norm", attack.norm,
                         {{"linf", Norm::linf}, {"l2", Norm::l2}, {"l1", Norm::l1}},
                         "of the budget");
    options.custom(
        "target", "K", "wanted class: a number, least-likely, random, or none",
        [&attack](const std::string& text) { set_target(attack, text); },
        [&attack]() -> ParameterValue { return target_text(attack); });
    options.number("steps", attack.steps, {0, 10000000}, "0: the method's own");
    options.fraction("alpha", attack.alpha, {0, 1e6}, "step size; 0: 2.5 eps / steps");
    options.custom(
        "no_random_start", "", "pgd from the sample itself (BIM)",
        [&attack](const std::string& text) { attack.random_start = text != "true"; },
        [&attack]() -> ParameterValue { return !attack.random_start; });
    options.number("restarts", attack.restarts, {1, 10000}, "of pgd");
    options.number("decay", attack.decay, {0, 10}, "of mifgsm's momentum");
    options.choice<VictimLoss>("loss", attack.loss,
                               {{"ce", VictimLoss::cross_entropy},
                                {"margin", VictimLoss::margin},
                                {"l1", VictimLoss::probability_l1},
                                {"l2", VictimLoss::probability_l2}},
                               "ce, margin (fgsm, pgd, mifgsm); ce, l1, l2 (forge)");
    options.fractions("lambda", attack.lambdas, {0, 1e9}, "forge: weights of the squared distance");
    options.choice<Start>("start", attack.start,
                          {{"self", Start::self}, {"other", Start::other}, {"noise", Start::noise}},
                          "forge: where it begins: the patch, another of its class, noise");
    options.number("within", attack.within, {0, 1e6},
                   "forge: success also means an L2 distance of at most this; 0: any");
    options.choice<bool>("optimiser", attack.forge_adam, {{"adam", true}, {"gd", false}},
                         "of forge");
    options.number("lr", attack.learning_rate, {1e-9, 1000}, "of forge and cw");
    options.number("search_steps", attack.search_steps, {1, 100}, "cw: binary search over c");
    options.number("confidence", attack.confidence, {0, 1e6}, "cw, forge: lead of the wrong logit");
    options.number("queries", attack.queries, {1, 100000000}, "black boxes: at most, a sample");
    options.number("directions", attack.directions, {1, 4096}, "nes, spsa: pairs a step");
    options.number("sigma", attack.sigma, {1e-6, 1}, "nes, spsa, numeric: reach of a pair");
    options.number("block", attack.block, {1, 1000000}, "numeric: coordinates moved at once");
    options.number("batch_size", attack.batch_size, {1, 4096}, "samples attacked together");
    options.number("seed", attack.seed, any_seed, "of everything random");
}

AttackMethod attack_method_from_name(const std::string& name) {
    const auto found = std::find(method_names.begin(), method_names.end(), name);
    if (found == method_names.end()) {
        refuse(fmt::format("--method {}: is not known; choose one of {}", name,
                           fmt::join(method_names, ", ")));
    }
    return static_cast<AttackMethod>(found - method_names.begin());
}

std::string attack_method_name(AttackMethod method) {
    return method_names.at(static_cast<std::size_t>(method));
}

bool is_black_box(AttackMethod method) {
    return method == AttackMethod::numeric || method == AttackMethod::nes ||
           method == AttackMethod::spsa || method == AttackMethod::square;
}

bool is_unbounded(AttackMethod method) {
    return method == AttackMethod::forge || method == AttackMethod::cw;
}

std::int64_t AttackOptions::steps_of(std::int64_t pixels) const {
    if (method == AttackMethod::fgsm) {
        return 1;
    }
    if (steps > 0) {
        return steps;
    }
    switch (method) {
    case AttackMethod::pgd:
        return 40;
    case AttackMethod::mifgsm:
        return 10;
    case AttackMethod::forge:
        return 500;
    case AttackMethod::cw:
        return 200;
    case AttackMethod::worst:
        return 100;
    case AttackMethod::numeric: // and one query a step to see whether it is done
        return std::max<std::int64_t>(queries / (2 * ((pixels + block - 1) / block) + 1), 1);
    case AttackMethod::nes:
    case AttackMethod::spsa:
        return std::max<std::int64_t>(queries / (2 * directions + 1), 1);
    case AttackMethod::fgsm:
    case AttackMethod::square:
        break;
    }
    return queries;
}

double AttackOptions::alpha_of(double epsilon, std::int64_t pixels) const {
    if (method == AttackMethod::fgsm) {
        return epsilon;
    }
    if (alpha > 0) {
        return alpha;
    }
    const auto count = static_cast<double>(steps_of(pixels));
    return method == AttackMethod::mifgsm ? epsilon / count
                                          : std::min(2.5 * epsilon / count, epsilon);
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
    const std::string name = attack_method_name(method);
    if (norm == Norm::l1 && method != AttackMethod::fgsm) {
        refuse(fmt::format("--norm l1: {} has no L1 form; use fgsm, or another norm", name));
    }
    if (norm != Norm::linf && (method == AttackMethod::square || method == AttackMethod::worst)) {
        refuse(fmt::format("--norm: {} is for linf alone; leave it out", name));
    }
    if (is_unbounded(method) && norm == Norm::l1) {
        refuse(fmt::format("--norm l1: {} measures L2; leave it out", name));
    }
    if (target == Target::fixed && (target_class < 0 || target_class >= classes)) {
        refuse(fmt::format("--target {}: the model has classes 0 to {}; choose one of them",
                           target_class, classes - 1));
    }
    if (method == AttackMethod::forge && !targeted()) {
        refuse(
            "--method forge: needs to know what to forge; give --target K, least-likely or random");
    }
    if (method == AttackMethod::worst && targeted()) {
        refuse("--method worst: is untargeted; leave --target out");
    }
    if (lambdas.empty()) {
        refuse("--lambda: is empty; give at least one number, e.g. 0,0.1,1");
    }
}

void AttackOptions::refuse_foreign(const std::vector<AttackMethod>& methods) const {
    const AttackOptions standard;
    const auto listed = [&](const std::vector<AttackMethod>& some) {
        std::vector<std::string> names(some.size());
        std::transform(some.begin(), some.end(), names.begin(), attack_method_name);
        return fmt::format("{}", fmt::join(names, ", "));
    };
    for (const Belonging& one : belongings()) {
        const bool known = std::any_of(methods.begin(), methods.end(), [&](AttackMethod method) {
            return std::find(one.methods.begin(), one.methods.end(), method) != one.methods.end();
        });
        if (one.given(*this, standard) && !known) {
            refuse(fmt::format("{}: belongs to {}, not to --method {}; leave it out", one.option,
                               listed(one.methods), listed(methods)));
        }
    }
    if (restarts > 1 && !random_start) {
        refuse("--restarts: without a random start each would be the same; leave "
               "--no-random-start out");
    }
}

std::string AttackOptions::text(std::int64_t pixels) const {
    std::string line = attack_method_name(method);
    if (!is_unbounded(method)) {
        line += norm == Norm::linf ? " linf" : norm == Norm::l2 ? " l2" : " l1";
    }
    const std::int64_t count = steps_of(pixels);
    if (is_black_box(method)) {
        line += fmt::format(", at most {} queries", queries);
    } else if (count > 1) {
        line += fmt::format(", {} steps", count);
    }
    if (on_margin() && (method == AttackMethod::fgsm || method == AttackMethod::pgd ||
                        method == AttackMethod::mifgsm)) {
        line += ", on the margin";
    }
    if (method == AttackMethod::pgd) {
        line += random_start ? ", random start" : " (no random start: BIM)";
        line += restarts > 1 ? fmt::format(", {} restarts", restarts) : "";
    }
    if (method == AttackMethod::forge) {
        line += forge_loss() == VictimLoss::probability_l1   ? ", loss l1"
                : forge_loss() == VictimLoss::probability_l2 ? ", loss l2"
                                                             : "";
        line += start == Start::other   ? ", from another patch"
                : start == Start::noise ? ", from noise"
                                        : "";
        line += within > 0 ? fmt::format(", within {:g}", within) : "";
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
