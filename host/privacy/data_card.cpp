#include "host/privacy/data_card.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "data/atomic_file.h"
#include "data/packed_set.h"
#include "host/files/entries.h"
#include "host/files/json_file.h"
#include "host/gan/gan_options.h"
#include "host/page/figure_text.h"
#include "host/privacy/privacy.h"
#include "host/run/parameters_file.h"
#include "host/run/version.h"

namespace patchforge {

namespace {

namespace fs = std::filesystem;

// The options of the training, in the order of their description. Others name files.
Json options_of(const Parameters& began) {
    GanOptions gan;
    Options described;
    describe(described, gan);
    Json options = Json::object();
    for (const auto& [name, value] : began) {
        if (described.find(name)) {
            std::visit([&, key = name](const auto& held) { options[key] = held; }, value);
        }
    }
    return options;
}

Json number_or_null(const std::map<std::string, std::string>& began, const std::string& name) {
    const auto found = began.find(name);
    return found == began.end() ? Json() : Json(std::stoll(found->second));
}

// privacy.json of these weights; null: there is none.
Json privacy_of(const Release& release, const std::string& weights) {
    const fs::path file = release.run / "privacy.json";
    if (!fs::exists(file)) {
        return {};
    }
    Json measured = read_json(file);
    return reading_json(file.string(), [&] {
        return measured.at("generator").string() == weights ? measured : Json();
    });
}

// The last line of each measure and extractor that `evaluate` wrote of these weights.
Json evaluation_of(const Release& release, const std::string& weights) {
    std::map<std::pair<std::string, std::string>, Json> last;
    for (const fs::path& file : entries_of(release.run, "metric-", ".jsonl")) {
        for (const std::string& text : whole_lines(file)) {
            Json line = parse_json(text, file.string());
            reading_json(file.string(), [&] {
                if (line.value("generated_hash", "").string() != weights ||
                    line.contains("class")) {
                    return;
                }
                line.erase("generated");
                last[{line.at("metric").string(), line.at("extractor").at("name").string()}] = line;
            });
        }
    }
    Json lines = Json::array();
    for (auto& [key, line] : last) {
        lines.push_back(std::move(line));
    }
    return lines;
}

Json limits() {
    Json list = Json::array();
    list.push_back("Fakes are drawn, not photographed: unless one is a copy it shows nobody's "
                   "tissue, and none may serve a diagnosis.");
    list.push_back("They show what the generator learnt of its patients, and leave out what it did "
                   "not: a measure of their likeness says nothing of what is missing.");
    list.push_back("That no attack found anything is no proof that nothing is given away. Nothing "
                   "here is differentially private.");
    list.push_back("What was measured holds for this generator. More fakes than were measured may "
                   "give more away, and so does the generator itself.");
    list.push_back("A patient who looks like nobody else is at more risk than the figures, which "
                   "are of all patients together, tell.");
    return list;
}

Json card_of(const Release& release) {
    const Parameters parameters = read_parameters(release.run);
    std::map<std::string, std::string> began = parameter_texts(parameters);
    const std::string weights = file_fingerprint(release.weights);
    Json fakes = Json::object();
    std::int64_t count = 0;
    for (const auto& [folder, of_folder] : release.fakes) {
        fakes[folder] = of_folder;
        count += of_folder;
    }
    return {{"what", "synthetic patches drawn by a generative adversarial network"},
            {"program", version_text()},
            {"fakes",
             {{"count", count},
              {"folders", fakes},
              {"classes", release.format.classes},
              {"channels", release.format.channels},
              {"height", release.format.height},
              {"width", release.format.width},
              {"format", "PNG, 8 bits a channel"},
              {"seed", release.seed},
              {"truncation", release.truncation}}},
            {"generator", weights},
            {"training",
             {{"patients", number_or_null(began, "data_patients")},
              {"patches", number_or_null(began, "data_patches")},
              {"patients_held_out", number_or_null(began, "test_patients")},
              {"options", options_of(parameters)}}},
            {"privacy", privacy_of(release, weights)},
            {"evaluation", evaluation_of(release, weights)},
            {"limits", limits()}};
}

std::string known(const Json& number, const std::string& what) {
    return number.is_null() ? "an unrecorded number of " + what
                            : fmt::format("{} {}", number.integer(), what);
}

std::string table(const std::vector<std::string>& columns,
                  const std::vector<std::vector<std::string>>& rows) {
    const auto line = [](const std::vector<std::string>& cells) {
        return fmt::format("| {} |\n", fmt::join(cells, " | "));
    };
    std::string text = line(columns);
    text += line(std::vector<std::string>(columns.size(), "---"));
    for (const auto& row : rows) {
        text += line(row);
    }
    return text;
}

std::string text_of(const Json& value) {
    return value.is_string() ? value.string() : value.dump();
}

std::string privacy_text(const Json& privacy, std::int64_t count, double truncation) {
    if (privacy.is_null()) {
        return "Not measured. `patchforge privacy --run RUN --data SET` measures it; released "
               "again, it "
               "stands here.\n";
    }
    std::string text = privacy.at("verdict").string() + "\n\n";
    std::vector<std::vector<std::string>> rows;
    const auto interval = [](const Json& attack, const std::string& key, double factor,
                             int digits) {
        return fmt::format("{:.{}f} [{:.{}f}, {:.{}f}]", factor * attack.at(key).number(), digits,
                           factor * attack.at(key + "_low").number(), digits,
                           factor * attack.at(key + "_high").number(), digits);
    };
    for (const auto& [key, attack] : privacy.at("attacks").members()) {
        rows.push_back({attack.at("holds").string(), attack.at("by").string(),
                        interval(attack, "auc", 1, 3),
                        interval(attack, "found_at_1_percent", 100, 1)});
    }
    text += table({"attacker holds", "attack", "AUC [95 %]", "% found at 1 % false alarms [95 %]"},
                  rows);
    const auto measured = privacy.at("fakes").integer();
    text += fmt::format(
        "\n{} patches of {} patients trained on against {} patches of {} patients held out, {} "
        "fakes. AUC 0.5 and 1 % give nothing away.\n",
        privacy.at("members").at("patches").dump(), privacy.at("members").at("patients").dump(),
        privacy.at("strangers").at("patches").dump(), privacy.at("strangers").at("patients").dump(),
        measured);
    if (count > measured) {
        text += fmt::format("\n{} are released, more than were measured.\n", count);
    }
    if (truncation != 1) {
        text += "\nWhat was measured was drawn with truncation 1.\n";
    }
    if (privacy.contains("synthetic_training")) {
        text += "\n" + privacy.at("synthetic_training").at("verdict").string() + "\n";
    }
    return text;
}

std::string evaluation_text(const Json& evaluation) {
    if (evaluation.empty()) {
        return "Not measured. `patchforge evaluate --run RUN --data SET` measures it; released "
               "again, it "
               "stands here.\n";
    }
    std::vector<std::vector<std::string>> rows;
    for (const Json& line : evaluation.items()) {
        for (const auto& [name, value] : line.at("results").members()) {
            rows.push_back(
                {line.at("extractor").at("name").string(), name,
                 value.is_number() ? fmt::format("{:.5g}", value.number()) : std::string(undefined),
                 line.at("n_generated").dump(), line.at("n_reference").dump()});
        }
    }
    return table({"features", "measure", "value", "fakes", "patches"}, rows);
}

std::string markdown(const Json& card) {
    const Json &fakes = card.at("fakes"), &training = card.at("training");
    const auto count = fakes.at("count").integer();
    std::string text = fmt::format(
        "# Data card: {} synthetic patches\n\nDrawn by a generative adversarial network that was "
        "trained on {} of {}; {} were held out. data-card.json says the same to programs.\n",
        count, known(training.at("patches"), "patches"), known(training.at("patients"), "patients"),
        known(training.at("patients_held_out"), "patients"));
    text += fmt::format(
        "\n## The fakes\n\n{} x {} pixels, {} channels, {}; seed {}, truncation {}; "
        "generator {}; {}.\n\n",
        fakes.at("width").dump(), fakes.at("height").dump(), fakes.at("channels").dump(),
        text_of(fakes.at("format")), fakes.at("seed").dump(), fakes.at("truncation").dump(),
        text_of(card.at("generator")), text_of(card.at("program")));
    std::vector<std::vector<std::string>> rows;
    for (const auto& [folder, of_folder] : fakes.at("folders").members()) {
        rows.push_back({folder, of_folder.dump()});
    }
    text += table({"folder", "fakes"}, rows);
    if (!fakes.at("classes").empty()) {
        text += "\nClasses in the order of their folders: " +
                fmt::format("{}.\n", fmt::join(fakes.at("classes").strings(), ", "));
    }
    text += "\n## Privacy\n\n" +
            privacy_text(card.at("privacy"), count, fakes.at("truncation").number());
    text += "\n## Likeness\n\n" + evaluation_text(card.at("evaluation"));
    text += "\n## Limits\n\n";
    for (const Json& limit : card.at("limits").items()) {
        text += "- " + limit.string() + "\n";
    }
    text += "\n## Options of the training\n\n";
    rows.clear();
    for (const auto& [name, value] : training.at("options").members()) {
        if (text_of(value).empty()) {
            continue; // was not given
        }
        rows.push_back({name, "`" + text_of(value) + "`"});
    }
    return text + table({"option", "value"}, rows);
}

} // namespace

void check_release(const Release& release) {
    if (!is_run_folder(release.run) || read_run_kind(release.run) != "train gan") {
        throw std::invalid_argument(fmt::format(
            "--release: {} is not the folder of a `train gan` run, which says what was trained on; "
            "give one by --run",
            release.run.string()));
    }
    std::map<std::string, std::string> began = parameter_texts(read_parameters(release.run));
    const fs::path data = began["data"];
    if (release.format.classes.empty() || !is_packed_set(data)) {
        return;
    }
    const PackedSet set = PackedSet::open(data);
    for (const std::string& name : release.format.classes) {
        if (std::ranges::count(set.patient_names(), name) > 0) {
            throw std::invalid_argument(fmt::format(
                "--release: the class '{}' is named as a patient of {}: the release would name "
                "them; train with classes that say nothing of patients",
                name, data.string()));
        }
    }
}

void write_data_card(const fs::path& folder, const Release& release) {
    const Json card = card_of(release);
    write_file_atomically(folder / "data-card.json", card.dump(1) + "\n");
    write_file_atomically(folder / "DATA-CARD.md", markdown(card));
}

} // namespace patchforge
