#include "host/train/classifier_options.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <stdexcept>

namespace patchforge {

double AdversarialTraining::step_size() const {
    if (method == Method::fgsm) {
        return epsilon;
    }
    return alpha > 0 ? alpha : 2.5 * epsilon / static_cast<double>(steps);
}

std::string AdversarialTraining::name() const {
    return method == Method::none   ? "none"
           : method == Method::fgsm ? "fgsm"
                                    : fmt::format("pgd-{}", steps);
}

void set_adversarial_method(AdversarialTraining& training, const std::string& name) {
    using Method = AdversarialTraining::Method;
    training.steps = 1;
    if (name == "none" || name == "fgsm") {
        training.method = name == "none" ? Method::none : Method::fgsm;
        return;
    }
    training.method = Method::pgd;
    const char* end = name.data() + name.size();
    if (name.starts_with("pgd-")) {
        const auto read = std::from_chars(name.data() + 4, end, training.steps);
        if (read.ec == std::errc() && read.ptr == end && training.steps >= 1 &&
            training.steps <= 1000) {
            return;
        }
    }
    throw std::invalid_argument(fmt::format(
        "--adversarial-training {}: no such attack; use none, fgsm or pgd-K with K from 1 to 1000, "
        "e.g. pgd-5",
        name));
}

void ClassifierOptions::validate() const {
    const auto require = [](bool holds, const char* option, double value, const char* range) {
        if (!holds || !std::isfinite(value)) {
            throw std::invalid_argument(
                fmt::format("{} {}: out of range; give a value {}", option, value, range));
        }
    };
    const auto number = [](std::int64_t value) { return static_cast<double>(value); };
    require(hidden_dims.size() <= 16, "--hidden-dims", number(std::ssize(hidden_dims)),
            "list of at most 16 widths");
    for (const std::int64_t width : hidden_dims) {
        require(width >= 1 && width <= 65536, "--hidden-dims", number(width), "from 1 to 65536");
    }
    require(dropout >= 0 && dropout < 1, "--dropout", dropout, "from 0 to below 1");
    require(leaky_slope > 0 && leaky_slope < 1, "--leaky-slope", leaky_slope, "between 0 and 1");
    require(epochs >= 1, "--epochs", number(epochs), "of at least 1");
    require(batch_size >= 1 && batch_size <= 65536, "--batch-size", number(batch_size),
            "from 1 to 65536");
    require(learning_rate > 0 && learning_rate <= 1, "--lr", learning_rate, "above 0, up to 1");
    require(beta1 >= 0 && beta1 < 1, "--b1", beta1, "from 0 to below 1");
    require(beta2 >= 0 && beta2 < 1, "--b2", beta2, "from 0 to below 1");
    require(adam_epsilon > 0 && adam_epsilon <= 1, "--adam-eps", adam_epsilon, "above 0, up to 1");
    require(noise >= 0 && noise <= 1, "--noise", noise, "from 0 to 1");
    const AdversarialTraining& a = adversarial;
    require(a.epsilon > 0 && a.epsilon <= 1, "--adv-eps", a.epsilon, "above 0, up to 1");
    require(a.alpha >= 0 && a.alpha <= 1, "--adv-alpha", a.alpha, "from 0 (2.5 eps / steps) to 1");
    require(a.weight >= 0 && a.weight <= 1000, "--adv-weight", a.weight, "from 0 to 1000");
    require(a.pairing >= 0 && a.pairing <= 1000, "--logit-pairing", a.pairing, "from 0 to 1000");
    if (a.pairing > 0 && !a.active()) {
        throw std::invalid_argument(
            fmt::format("--logit-pairing {}: pairs logits of clean and adversarial patches, and "
                        "there are none; give --adversarial-training pgd-K too",
                        a.pairing));
    }
    require(patience >= 0, "--patience", number(patience), "of at least 0 (0: never stop early)");
    require(test_patients > 0, "--test-patients", test_patients,
            "above 0: a share below 1, or a number of patients");
    require(validation_patients >= 0, "--validation-patients", validation_patients,
            "from 0 (none) on: a share below 1, or a number of patients");
}

std::vector<std::pair<std::string, std::string>> ClassifierOptions::listed() const {
    const auto text = [](const auto& value) { return fmt::format("{}", value); };
    return {{"hidden_dims", fmt::format("{}", fmt::join(hidden_dims, ","))},
            {"dropout", text(dropout)},
            {"leaky_slope", text(leaky_slope)},
            {"head", binary_head ? "binary" : "softmax"},
            {"epochs", text(epochs)},
            {"batch_size", text(batch_size)},
            {"lr", text(learning_rate)},
            {"b1", text(beta1)},
            {"b2", text(beta2)},
            {"adam_eps", text(adam_epsilon)},
            {"class_weights", class_weights == ClassWeights::balanced ? "balanced" : "none"},
            {"augment", augmentation == Augmentation::flips ? "flips" : "none"},
            {"noise", text(noise)},
            {"adversarial_training", adversarial.name()},
            {"adv_eps", text(adversarial.epsilon)},
            {"adv_alpha", text(adversarial.step_size())},
            {"adv_weight", text(adversarial.weight)},
            {"logit_pairing", text(adversarial.pairing)},
            {"patience", text(patience)},
            {"test_patients", text(test_patients)},
            {"validation_patients", text(validation_patients)},
            {"split_seed", text(split_seed)},
            {"seed", text(seed)}};
}

} // namespace patchforge
