// What `evade` takes, and what it refuses.
#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "host/trial/evasion.h"

namespace patchforge {

namespace {

// What --search takes.
std::int32_t searched_class(const std::string& text) {
    const std::string prefix = "target=";
    const std::string number = text.starts_with(prefix) ? text.substr(prefix.size()) : "";
    if (number.empty() || number.size() > 5 ||
        number.find_first_not_of("0123456789") != std::string::npos) {
        throw std::invalid_argument(fmt::format(
            "--search {}: is not understood; write target=K with a class number", text));
    }
    return std::stoi(number);
}

} // namespace

void describe(Options& options, EvasionJob& job) {
    options.group("Fakes and models");
    options.text("generator", job.generator, "FOLDER|FILE", "a GAN's run folder or weights")
        .must_be_given();
    describe_checkpoint(options, job.checkpoint);
    options.list("models", job.models, "LIST", "classifiers or ensembles, separated by commas")
        .must_be_given();
    options.text("detector", job.detector, "FOLDER|FILE", "a model that stops fakes (class 1)");
    options.number("count", job.count, {1, 10000000}, "fakes");
    options.toggle(
        "real_or_fake", job.real_or_fake,
        "also train a network to tell fakes from real patches, and count those it tells");
    options
        .number("real_or_fake_iterations", job.real_or_fake_iterations, {1, 1000000},
                "batches of 64 that it is trained on")
        .beside("real_or_fake");
    options.number("seed", job.seed, any_seed, "of the latent codes");
    describe(options, job.reading);
    options.group("Search");
    options.custom("search", "target=K", "optimise codes until --against says K",
                   [&job](const std::string& text) { job.search_target = searched_class(text); },
                   {});
    options.text("against", job.search_against, "MODEL", "one of --models; without it the first")
        .beside("search");
    options.number("search_count", job.search_count, {1, 10000000}, "codes").beside("search");
    options.number("search_steps", job.search_steps, {1, 1000000}, "of Adam").beside("search");
    options.number("search_lr", job.search_rate, {1e-9, 1000}, "Adam's rate").beside("search");
    options.number("search_prior", job.search_prior, {0, 1e6}, "weight of the codes' mean square")
        .beside("search");
    options.group("Output");
    options.path("out", job.out, "FOLDER", "folder for tables and report");
    describe(options, job.device);
}

ResultsPlace EvasionJob::place() const {
    return {.verb = "evade", .out = out, .mark = "evasion.json"};
}

void EvasionJob::validate() const {
    const auto refuse = [](const std::string& what) { throw std::invalid_argument(what); };
    check_ranges(*this);
    if (generator.empty() || models.empty()) {
        refuse("evade: give --generator and --models");
    }
    if (!search_against.empty() &&
        std::find(models.begin(), models.end(), search_against) == models.end()) {
        refuse("--against: names none of --models; give one of them");
    }
    std::vector<std::string> sorted = models;
    std::sort(sorted.begin(), sorted.end());
    if (std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end()) {
        refuse("--models: one of them stands twice; give each once");
    }
    place().check();
}

} // namespace patchforge
