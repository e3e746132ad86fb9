// The command line of all verbs, made from their descriptions. CLI11, whose headers take seconds to
// compile, is known here alone.
#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <new>
#include <sstream>
#include <stdexcept>

#include "data/escape.h"
#include "host/cli/config_file.h"
#include "host/cli/help/bash_completion.h"
#include "host/cli/help/manual_page.h"
#include "host/cli/help/option_page.h"
#include "host/cli/help/suggestion.h"
#include "host/cli/standard_streams.h"
#include "host/cli/verb.h"
#include "host/ranks/job.h"
#include "host/ranks/shared_rows.h"
#include "host/run/interrupt.h"
#include "host/run/version.h"

namespace patchforge {

namespace {

void print_error(const std::string& error) {
    std::fflush(stdout);
    // Not fmt::print, which throws where standard error cannot be written to.
    print_anyway(fmt::format("patchforge: error: {}\n", terminal_lines(error)));
}

// `told`: by another rank. A rank 0 that hung is woken by mpirun, which ends it: who found out has printed the reason.
int report(const std::string& error, int status, bool told = false) {
    void (*const print)(const std::string&) =
        told && interrupted() ? [](const std::string&) {} : print_error;
    if (!fail_job(error, status, told, print) && launch_of_environment().rank == 0) {
        print_error(error);
    }
    return status;
}

// What was printed counts: a table that a full disk cut is no success.
int finished() {
    const std::string fault = output_fault();
    return fault.empty()
               ? 0
               : report("standard output: cannot be written to: " + fault + "; check where it goes",
                        1);
}

// A verb's options, the two that every verb has by the command line, and what was given of them.
struct Line {
    Verb verb;
    std::string preset;
    std::filesystem::path config;
    Options own; // --preset, --config
    Given given;

    explicit Line(Verb of) : verb(std::move(of)), preset(verb.standard_preset) {
        if (!verb.presets.empty()) {
            Choices<std::string> names;
            for (const Preset& one : verb.presets) {
                names.push_back({one.name.c_str(), one.name});
            }
            own.choice("preset", preset, names,
                       "settings to start from; other options are laid over it");
        }
        own.path("config", config, "FILE",
                 "options from a file: name = value, or a run's params.json; options given here "
                 "are laid over it");
    }
    Line(const Line&) = delete;
    Line& operator=(const Line&) = delete;

    void add_to(CLI::App& app);
    void run();
};

std::string help_of(const Option& option) {
    const bool shown = option.placeholder.find('|') != std::string::npos; // auto|cpu
    std::string note = option.required && !option.positional ? "required"
                       : shown                               ? ""
                                                             : option.values;
    if (!option.standard.empty() && !option.placeholder.empty()) {
        note += (note.empty() ? "default " : "; default ") + shortened(option.standard);
    }
    return note.empty() ? option.help : fmt::format("{} ({})", option.help, note);
}

void Line::add_to(CLI::App& app) {
    for (const Options* options : {&own, &verb.options}) {
        for (const Option& option : options->all()) {
            CLI::Option* added = nullptr;
            std::vector<std::string>& texts = given[option.name]; // empty: not given
            if (option.placeholder.empty()) {
                added = app.add_flag(option.flag(), option.help);
                added->each(
                    [&texts](const std::string& text) { texts = {text}; }); // --option=false
            } else if (option.repeated) {
                added = app.add_option(option.flag(), texts, help_of(option))
                            ->required(option.required);
            } else {
                added = app.add_option_function<std::string>(
                               option.flag(), [&texts](const std::string& text) { texts = {text}; },
                               help_of(option))
                            ->option_text(option.placeholder)
                            ->required(option.positional);
            }
            added->group(option.group.empty() ? "Options" : option.group);
        }
    }
    std::string examples = "Examples:";
    for (const std::string& example : verb.examples) {
        examples += "\n  patchforge " + example;
    }
    app.footer(verb.examples.empty() ? "" : examples);
}

std::invalid_argument complaint(const std::filesystem::path& file, const std::string& error) {
    const std::string name = file.string() + ": "; // which may stand there already
    return std::invalid_argument("--config " + (error.starts_with(name) ? "" : name) + error);
}

// Calls `what`; its complaints begin with the file.
template <class F>
auto naming(const std::filesystem::path& file, F what) {
    try {
        return what();
    } catch (const std::runtime_error& error) { // CLI11's are such, too
        throw complaint(file, error.what());
    } catch (const std::invalid_argument& error) {
        throw complaint(file, error.what());
    }
}

// Sets an option of the command line's own, where it has that option, and takes it out of `given`.
void take(Given& given, Options& own, const std::string& name) {
    if (const auto found = given.find(name); found != given.end() && own.find(name)) {
        Given taken;
        taken.insert(given.extract(found));
        own.apply(taken);
    }
}

// The preset, the file and what was given are laid over each other, in this order.
void Line::run() {
    std::erase_if(given, [](const auto& one) { return one.second.empty(); });
    take(given, own, "config");
    FileOptions file;
    if (!config.empty()) {
        file = naming(config, [&] { return read_config(config, verb.options, own); });
        if (file.record) { // what it lacks is as it was before there was such an option
            preset.clear();
        }
        naming(config, [&] { take(file.given, own, "preset"); });
    }
    take(given, own, "preset");
    for (const Preset& one : verb.presets) {
        if (one.name == preset) {
            verb.options.refuse_without_use(given, one);
            naming(config, [&] { verb.options.refuse_without_use(file.given, one); });
            Given over = given;
            over.insert(file.given.begin(), file.given.end());
            verb.options.apply(one, over);
        }
    }
    verb.options.refuse_contradictions(given, file.given);
    verb.options.give_way(file.given, given);
    naming(config, [&] {
        if (!file.record) {
            verb.options.refuse_contradictions(file.given, given);
        }
        verb.options.apply(file.given);
    });
    verb.options.apply(given);
    for (const Option& option : verb.options.all()) {
        if (option.required && !given.contains(option.name) && !file.given.contains(option.name)) {
            throw std::invalid_argument(
                fmt::format("{}: is required: {}", option.flag(), option.help));
        }
    }
    const SharedRows shared(verb.shares_rows ? job_ranks() : nullptr);
    verb.run();
}

// The App that a call got to, and its name: "patchforge train gan".
std::pair<const CLI::App*, std::string> reached(const CLI::App& app) {
    std::string name = app.get_name();
    const CLI::App* at = &app;
    while (!at->get_subcommands().empty()) {
        at = at->get_subcommands().front();
        name += ' ' + at->get_name();
    }
    return {at, name};
}

// What CLI11 has against a call, with the nearest right word for a wrong one.
std::string explain(const CLI::App& app, const CLI::ParseError& error) {
    const auto [at, name] = reached(app);
    const std::vector<std::string> unknown = app.remaining(true);
    std::vector<std::string> known;
    for (const CLI::App* verb : at->get_subcommands([](const CLI::App*) { return true; })) {
        known.push_back(verb->get_name());
    }
    const bool verb_missing = !known.empty() && !unknown.empty();
    for (const CLI::Option* option : at->get_options()) {
        known.push_back(option->get_name());
    }
    std::string text = error.what();
    if (const std::size_t more = text.find(": At Most 1 required but received");
        more != std::string::npos) {
        text = text.substr(0, more) + ": is given more than once; leave one of them";
    }
    if (verb_missing) {
        text = unknown.front() + ": there is no such verb or option";
    } else if (!unknown.empty()) {
        text = unknown.front() + ": there is no such option";
    }
    if (!unknown.empty()) {
        const std::string& word = unknown.front();
        text += suggestion(word.substr(0, word.find('=')), known);
    }
    return fmt::format("{}; see {} --help", text, name);
}

// `patchforge help` and its words.
struct Help {
    std::vector<std::string> words;
    bool markdown = false;
    bool completion = false;
    std::string manuals; // a folder
    CLI::App* app;

    explicit Help(CLI::App& program)
        : app(program.add_subcommand("help", "explain a verb, as its --help does")) {
        app->add_option("verb", words, "for example train gan; without one, the list of verbs");
        app->add_flag("--markdown", markdown, "all verbs and their options as a page");
        app->add_flag("--bash-completion", completion, "a script that completes calls in bash");
        app->add_option("--manuals", manuals, "write pages for man into a folder")
            ->option_text("FOLDER");
    }
};

void print_help(const CLI::App& program, const Help& help,
                const std::vector<std::unique_ptr<Line>>& lines) {
    std::vector<const Verb*> verbs;
    for (const auto& line : lines) {
        verbs.push_back(&line->verb);
    }
    if (help.markdown || help.completion || !help.manuals.empty()) {
        fmt::print("{}{}", help.markdown ? option_page(verbs) : "",
                   help.completion ? bash_completion(verbs) : "");
        if (!help.manuals.empty()) {
            write_manuals(help.manuals, verbs);
        }
        return;
    }
    const CLI::App* at = &program;
    std::string name = program.get_name();
    for (const std::string& word : help.words) {
        std::vector<std::string> known;
        const CLI::App* next = nullptr;
        for (const CLI::App* one : at->get_subcommands([](const CLI::App*) { return true; })) {
            known.push_back(one->get_name());
            next = one->get_name() == word ? one : next;
        }
        if (!next) {
            throw std::invalid_argument(
                fmt::format("{}: there is no such verb{}; see patchforge --help", word,
                            suggestion(word, known)));
        }
        name += ' ' + word;
        at = next;
    }
    fmt::print("{}", at->get_formatter()->make_help(at, name, CLI::AppFormatMode::Normal));
}

} // namespace

std::vector<ConfigLine> config_lines(const std::string& text) {
    std::istringstream lines(text);
    std::vector<ConfigLine> found;
    for (const CLI::ConfigItem& item : CLI::ConfigTOML().from_config(lines)) {
        found.push_back({item.parents.empty() ? "" : item.parents.front(), item.name,
                         fmt::format("{}", fmt::join(item.inputs, ","))});
    }
    return found;
}

int run_command_line(std::vector<Verb> verbs, int argc, char** argv) {
    CLI::App app(
        "Trains GANs and classifiers on small image patches, and forges images that fool them.",
        "patchforge");
    app.get_formatter()->column_width(36);
    app.set_version_flag("--version", version_text());
    app.require_subcommand(1);
    app.failure_message([](const CLI::App*, const CLI::Error&) { return std::string(); });
    std::vector<std::unique_ptr<Line>> lines;
    Line* called = nullptr;
    std::map<std::string, CLI::App*> parents;
    for (Verb& verb : verbs) {
        // "train gan": a verb of its own within `train`.
        const std::size_t space = verb.name.find(' ');
        CLI::App* parent = &app;
        if (space != std::string::npos) {
            const std::string first = verb.name.substr(0, space);
            CLI::App*& group = parents[first];
            if (!group) {
                group = app.add_subcommand(first, first == "train"
                                                      ? "train a network"
                                                      : "walk through a generator's latent space");
                group->require_subcommand(1);
            }
            parent = group;
        }
        CLI::App* own = parent->add_subcommand(
            space == std::string::npos ? verb.name : verb.name.substr(space + 1), verb.summary);
        lines.push_back(std::make_unique<Line>(std::move(verb)));
        lines.back()->add_to(*own);
        own->callback([&called, line = lines.back().get()] { called = line; });
    }
    const Help help(app);
    open_standard_streams();
    handle_signals();
    try {
        // Before anything can fail on one rank alone.
        if (const Ranks* ranks = job_ranks(); ranks && ranks->rank() > 0) {
            silence_standard_streams();
        }
        app.parse(argc, argv);
        if (help.app->parsed()) {
            print_help(app, help, lines);
        } else {
            if (job_ranks() && !called->verb.in_ranks && !called->verb.shares_rows) {
                throw std::invalid_argument(
                    fmt::format("{}: is work for one process; start it without mpirun and srun",
                                called->verb.name));
            }
            called->run();
        }
        // What was saved because a signal came is no success: `&&` must not go on.
        const int status = interrupting_signal() != 0 ? 128 + interrupting_signal() : finished();
        leave_job();
        return status;
    } catch (const CLI::ParseError& error) {
        if (error.get_exit_code() == 0) { // --help and --version
            app.exit(error);
            leave_job();
            return finished();
        }
        return report(explain(app, error), 2);
    } catch (const std::invalid_argument& error) {
        return report(error.what(), 2);
    } catch (const RankFailure& error) {
        return report(error.what(), 1, true);
    } catch (const std::filesystem::filesystem_error& error) {
        return report(fmt::format("{}: {}; check the path and its permissions",
                                  error.path1().string(), error.code().message()),
                      1);
    } catch (const std::system_error& error) { // of fmt::print
        return report(fmt::format("standard output: cannot be written to: {}; check where it goes",
                                  error.code().message()),
                      1);
    } catch (const Interrupted&) {
        return 128 + interrupting_signal();
    } catch (const std::bad_alloc&) {
        return report("out of memory; use a smaller batch, network or set, or fewer --threads", 1);
    } catch (const std::exception& error) {
        return report(error.what(), 1);
    }
}

} // namespace patchforge
