// Any bytes are a name. Class and file names that are not UTF-8, colour a terminal, break lines, close HTML
// elements or are formulas go through every verb: what leaves it is harmless where it goes.
#include <gtest/gtest.h>

#include <cctype>
#include <filesystem>
#include <string>
#include <vector>

#include "data/escape.h"
#include "data/png.h"
#include "host/files/json_file.h"
#include "tests/host/end_to_end/program.h"

namespace patchforge::testing {
namespace {

namespace fs = std::filesystem;

// In the order of their bytes, in which classes are numbered.
const std::vector<std::string> class_names = {"=cmd|' calc'", "caf\xE9 \x1B[31mred",
                                              "line\nbreak,\"q\"<b>"};

void paint(const fs::path& folder) {
    for (std::size_t c = 0; c < class_names.size(); ++c) {
        fs::create_directories(folder / class_names[c]);
        for (int i = 0; i < 24; ++i) {
            const std::string kinds[] = {"=1+" + std::to_string(i),
                                         "\xFF\x1B[1m" + std::to_string(i),
                                         "n\n<b>" + std::to_string(i)};
            Image picture{8, 8, 3, std::vector<std::uint8_t>(192)};
            for (std::size_t p = 0; p < picture.pixels.size(); ++p) {
                picture.pixels[p] = static_cast<std::uint8_t>(60 * c + 40 + p * p * (i + 3) % 37);
            }
            write_png(folder / class_names[c] / (kinds[i % 3] + ".png"), picture);
        }
    }
}

// Rows of fields, by RFC 4180.
std::vector<std::vector<std::string>> rows_of_csv(const std::string& text) {
    std::vector<std::vector<std::string>> rows(1, std::vector<std::string>(1));
    bool quoted = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        std::string& field = rows.back().back();
        if (quoted && text[i] == '"' && text[i + 1] == '"') {
            field += text[++i];
        } else if (text[i] == '"') {
            quoted = !quoted;
        } else if (!quoted && text[i] == ',') {
            rows.back().emplace_back();
        } else if (!quoted && text[i] == '\n') {
            rows.emplace_back(1);
        } else {
            field += text[i];
        }
    }
    EXPECT_FALSE(quoted);
    rows.pop_back(); // behind the last line's end
    return rows;
}

bool holds_controls(const std::string& text) {
    for (const char letter : text) {
        if ((static_cast<unsigned char>(letter) < 0x20 && letter != '\n' && letter != '\t' &&
             letter != '\r') ||
            letter == 0x7F) {
            return true;
        }
    }
    return false;
}

void check_csv(const std::string& text, const std::string& name) {
    const auto rows = rows_of_csv(text);
    ASSERT_GT(rows.size(), 1u) << name;
    for (const auto& row : rows) {
        EXPECT_EQ(row.size(), rows.front().size()) << name;
        for (const std::string& field : row) {
            const bool number = field.size() > 1 && (std::isdigit(field[1]) || field[1] == '.');
            EXPECT_TRUE(field.empty() ||
                        std::string_view("=+-@").find(field[0]) == std::string_view::npos ||
                        (field[0] == '-' && number))
                << name << ": " << field;
        }
    }
}

// Every file for people or programs below the folder; how many of each kind.
std::map<std::string, int> check_files(const fs::path& folder) {
    std::map<std::string, int> kinds;
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
        const std::string kind = entry.path().extension();
        const std::string name = terminal_text(entry.path().string());
        if (kind != ".html" && kind != ".csv" && kind != ".json" && kind != ".jsonl" &&
            kind != ".txt") {
            continue;
        }
        ++kinds[kind];
        const std::string text = bytes_of_file(entry.path());
        EXPECT_EQ(utf8_text(text), text) << name;
        EXPECT_FALSE(holds_controls(text)) << name;
        if (kind == ".html") {
            // The pages' own: facts are <div><b>; the study tells its two parts.
            std::string others = text;
            for (const std::string own : {"<div><b>", "<li><b>At "}) {
                for (std::size_t at; (at = others.find(own)) != std::string::npos;) {
                    others.erase(at, own.size());
                }
            }
            const std::size_t at = others.find("<b>");
            EXPECT_EQ(at, std::string::npos)
                << name << ": " << others.substr(at < 40 ? 0 : at - 40, 80);
        } else if (kind == ".csv") {
            check_csv(text, name);
        } else if (kind == ".json") {
            EXPECT_NO_THROW(Json::parse(text)) << name;
        }
    }
    return kinds;
}

TEST(Names, AreHarmlessWhereverTheyGo) {
    const ScratchFolder folder("names");
    paint(folder / "set");
    const std::string set = folder / "set.pfs", model = folder / "classifier", gan = folder / "gan";
    const std::vector<std::string> training = {"--batch-size", "12", "--threads", "1"};
    const auto with = [&](std::vector<std::string> call) {
        call.insert(call.end(), training.begin(), training.end());
        return call;
    };
    const std::vector<std::vector<std::string>> calls = {
        {"pack", folder / "set", "--out", set},
        {"info", set},
        with({"train", "classifier", "--data", set, "--preset", "plain", "--epochs", "1",
              "--hidden-dims", "8", "--out", model}),
        with({"train", "gan", "--data", set, "--conditional", "--steps", "4", "--hidden-dim", "8",
              "--log-interval", "2", "--out", gan}),
        {"info", model},
        {"info", model + "/checkpoints/best/classifier.safetensors"},
        {"attack", "--model", model, "--data", set, "--method", "fgsm", "--eps", "64/255", "--save",
         "--rows", "all", "--out", folder / "attack"},
        {"evade", "--generator", gan, "--models", model, "--data", set, "--count", "24", "--search",
         "target=1", "--search-count", "8", "--search-steps", "2", "--out", folder / "evasion"},
        {"evaluate", "--run", gan, "--data", set, "--features", model, "--count", "72", "--out",
         folder / "evaluation"},
        {"classify", folder / "set", "--model", model, "--csv", folder / "classified.csv"},
        {"generate", "--run", gan, "--class", "all", "--count", "6", "--out", folder / "fakes"},
        {"latent", "interpolate", "--run", gan, "--model", model, "--out", folder / "latent.png"},
        {"study", "--run", gan, "--data", set, "--count", "10", "--out", folder / "study.html"}};
    const auto check_terminal = [](const Outcome& outcome, const std::string& call) {
        std::string text = outcome.output;
        std::erase(text, '\r'); // of the progress bar
        EXPECT_EQ(utf8_text(text), text) << call;
        EXPECT_FALSE(holds_controls(text)) << call << ": " << terminal_text(text);
        for (const char* broken : {"line\nbreak", "n\n<b>"}) {
            EXPECT_EQ(text.find(broken), std::string::npos) << call << ": " << text;
        }
    };
    for (const std::vector<std::string>& call : calls) {
        const Outcome outcome = run_program("patchforge-cpu", call);
        ASSERT_EQ(outcome.status, 0) << call[0] << ": " << outcome.output;
        check_terminal(outcome, call[0]);
    }
    // Errors that list names or begin with them, too.
    for (const std::vector<std::string>& call : std::vector<std::vector<std::string>>{
             {"generate", "--run", gan, "--class", "none\x1B[1m", "--out", folder / "x"},
             {"classify", folder / "\x1B[31m\xFF.png", "--model", model},
             {"info", folder / "a\nb"}}) {
        const Outcome outcome = run_program("patchforge-cpu", call);
        EXPECT_NE(outcome.status, 0) << call[0];
        EXPECT_EQ(utf8_text(outcome.output), outcome.output) << call[0];
        EXPECT_FALSE(holds_controls(outcome.output)) << terminal_text(outcome.output);
    }
    std::map<std::string, int> kinds = check_files(folder.path());
    EXPECT_GE(kinds[".html"], 6);
    EXPECT_GE(kinds[".csv"], 5);
    EXPECT_GE(kinds[".json"], 4);
    // Nothing was lost: as many classes as there were, each with its own folder.
    const Json evasion = read_json(folder / "evasion/evasion.json");
    const Json& called = evasion.items().at(0).at("called");
    EXPECT_EQ(called.size(), class_names.size());
    EXPECT_TRUE(called.contains(utf8_text(class_names[1])));
    EXPECT_EQ(rows_of_csv(bytes_of_file(folder / "classified.csv")).size(), 73u);
}

} // namespace
} // namespace patchforge::testing
