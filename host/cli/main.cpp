// The program: finds the verb, runs it, and turns what goes wrong into one line and an exit status
// (2 for a wrong call, 1 for a failed job).
#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <cstdio>
#include <stdexcept>

#include "host/cli/verbs.h"
#include "host/run/version.h"

namespace {

int report(const std::string& error, int status) {
    std::fflush(stdout);
    fmt::print(stderr, "patchforge: error: {}\n", error);
    return status;
}

// "patchforge train gan" as far as the call got.
std::string called(const CLI::App& app) {
    std::string name = app.get_name();
    for (const CLI::App* at = &app; !at->get_subcommands().empty();) {
        at = at->get_subcommands().front();
        name += ' ' + at->get_name();
    }
    return name;
}

} // namespace

int main(int argc, char** argv) {
    CLI::App app(
        "Trains GANs and classifiers on small image patches, and forges images that fool them.",
        "patchforge");
    app.get_formatter()->column_width(36);
    app.set_version_flag("--version", patchforge::version_text());
    app.require_subcommand(1);
    app.failure_message([](const CLI::App*, const CLI::Error&) { return std::string(); });

    patchforge::add_tissue(app);
    patchforge::add_pack(app);
    CLI::App* train = app.add_subcommand("train", "train a network");
    train->require_subcommand(1);
    patchforge::add_train_gan(*train);
    patchforge::add_train_classifier(*train);
    patchforge::add_train_detector(*train);
    patchforge::add_generate(app);
    patchforge::add_classify(app);
    patchforge::add_evaluate(app);
    patchforge::add_latent(app);
    patchforge::add_study(app);
    patchforge::add_attack(app);
    patchforge::add_evade(app);
    patchforge::add_tour(app);
    patchforge::add_plan(app);
    patchforge::add_info(app);
    patchforge::add_doctor(app);

    try {
        app.parse(argc, argv);
        return 0;
    } catch (const CLI::ParseError& error) {
        if (error.get_exit_code() == 0) { // --help and --version
            return app.exit(error);
        }
        // An unknown verb counts as a missing one; naming it helps more.
        const auto unknown = app.remaining(true);
        const bool verb_missing = error.get_name() == "RequiredError" && !unknown.empty();
        return report(fmt::format("{}; see {} --help",
                                  verb_missing
                                      ? unknown.front() + ": there is no such verb or option"
                                      : error.what(),
                                  called(app)),
                      2);
    } catch (const std::invalid_argument& error) {
        return report(error.what(), 2);
    } catch (const std::exception& error) {
        return report(error.what(), 1);
    }
}
