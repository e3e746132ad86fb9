// patchforge evade: do generated fakes fool classifiers?
#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <stdexcept>

#include "host/attack/evasion.h"
#include "host/cli/checkpoint_option.h"
#include "host/cli/open_set.h"
#include "host/cli/options.h"
#include "host/cli/verbs.h"

namespace patchforge {

namespace {

struct Call {
    DataOptions data;
    DeviceOptions device;
    EvasionJob job;
    std::string checkpoint = "latest";
    std::string models;
    std::string search;
    std::string against;
    std::string out;
};

void run(Call call) {
    EvasionJob& job = call.job;
    for (std::size_t begin = 0; begin < call.models.size();) {
        const std::size_t end = std::min(call.models.find(',', begin), call.models.size());
        if (end > begin) {
            job.models.push_back(call.models.substr(begin, end - begin));
        }
        begin = end + 1;
    }
    if (!call.search.empty()) {
        const std::string prefix = "target=";
        const std::string number =
            call.search.starts_with(prefix) ? call.search.substr(prefix.size()) : "";
        if (number.empty() || number.size() > 5 ||
            number.find_first_not_of("0123456789") != std::string::npos) {
            throw std::invalid_argument(fmt::format(
                "--search {}: is not understood; write target=K with a class number", call.search));
        }
        job.search_target = std::stoi(number);
    }
    if (!call.against.empty()) {
        const auto found = std::find(job.models.begin(), job.models.end(), call.against);
        job.search_against = found == job.models.end() ? -1 : found - job.models.begin();
    }
    job.checkpoint = checkpoint_from_name(call.checkpoint);
    job.out = call.out;
    job.device = call.device.device;
    job.backend = call.device.backend;
    job.validate();
    std::optional<PackedSet> set;
    if (!call.data.data.empty()) {
        set = open_set(call.data, call.device.backend.threads);
    }
    run_evasion(set ? &*set : nullptr, job);
}

} // namespace

void add_evade(CLI::App& app) {
    auto call = std::make_shared<Call>();
    Call& c = *call;
    CLI::App* verb = app.add_subcommand("evade", "ask classifiers about generated fakes");
    add_text(*verb, "--generator", c.job.generator, "a GAN's run folder or weights (required)",
             "FOLDER|FILE")
        ->required();
    add_checkpoint_option(*verb, c.checkpoint);
    add_text(*verb, "--models", c.models,
             "classifiers or ensembles, separated by commas (required)", "LIST")
        ->required();
    add_text(*verb, "--detector", c.job.detector, "a model that stops fakes (class 1)",
             "FOLDER|FILE");
    add_data_options(*verb, c.data, false);
    add_number<std::int64_t>(*verb, "--count", c.job.count, "fakes", 1, 10000000);
    add_number<std::uint64_t>(*verb, "--seed", c.job.seed, "of the latent codes", 0,
                              ~std::uint64_t{0});
    add_text(*verb, "--search", c.search, "target=K: optimise codes until --against says K",
             "target=K")
        ->group("Search");
    add_text(*verb, "--against", c.against, "one of --models; without it the first", "MODEL")
        ->group("Search");
    add_number<std::int64_t>(*verb, "--search-count", c.job.search_count, "codes", 1, 10000000)
        ->group("Search");
    add_number<std::int64_t>(*verb, "--search-steps", c.job.search_steps, "of Adam", 1, 1000000)
        ->group("Search");
    add_number<double>(*verb, "--search-lr", c.job.search_rate, "Adam's rate", 1e-9, 1000)
        ->group("Search");
    add_number<double>(*verb, "--search-prior", c.job.search_prior,
                       "weight of the codes' mean square", 0, 1e6)
        ->group("Search");
    for (const char* option :
         {"--against", "--search-count", "--search-steps", "--search-lr", "--search-prior"}) {
        only_beside(*verb, option, "--search");
    }
    add_text(*verb, "--out", c.out, "folder for tables and report", "FOLDER")->group("Output");
    add_device_options(*verb, c.device);
    verb->callback([call] { run(*call); });
}

} // namespace patchforge
