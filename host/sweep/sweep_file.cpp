#include "host/sweep/sweep_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <stdexcept>

#include "host/files/json_file.h"

namespace patchforge {

namespace {

namespace fs = std::filesystem;
using Words = std::vector<std::string>;

// What a variant or a point of the grid brings.
struct Variant {
    std::string name;
    Words options;                             // for the first command
    std::map<std::string, std::string> values; // of placeholders
    Words commands, seeds;

    std::string told() const {
        std::string text = fmt::format("{}", fmt::join(options, " "));
        for (const auto& [name, value] : values) {
            text += fmt::format("{}{}={}", text.empty() ? "" : " ", name, value);
        }
        return text;
    }
};

class Reader {
  public:
    explicit Reader(const SweepRequest& call) : call_(call) { json_ = read_json(call.file, true); }

    Sweep read();

  private:
    [[noreturn]] void refuse(const std::string& entry, const std::string& what) const {
        throw std::invalid_argument(fmt::format("{}: {}: {}", call_.file.string(), entry, what));
    }
    void check_keys(const std::string& entry, const Json& object,
                    const std::vector<std::string>& keys) const;
    Json::Object entries(const std::string& name, const Json& object) const;
    std::string text(const std::string& entry, const Json& value) const;
    Words texts(const std::string& entry, const Json& value) const;
    Words split(const std::string& entry, const std::string& command) const;
    void assign(const std::string& entry, Variant& variant, const std::string& key,
                const Json& value) const;
    std::vector<Variant> variants() const;
    SweepRun run(const Variant& variant, const std::string& seed, const fs::path& folder) const;
    fs::path new_folder(const std::string& name);
    Figure figure(const std::string& name, const Json& value) const;

    const SweepRequest& call_;
    Json json_;
    std::map<std::string, std::string> values_; // placeholders that every command knows
    std::set<fs::path> folders_;
};

void Reader::check_keys(const std::string& entry, const Json& object,
                        const std::vector<std::string>& keys) const {
    for (const auto& [key, value] : object.members()) {
        if (std::find(keys.begin(), keys.end(), key) == keys.end()) {
            refuse(entry,
                   fmt::format("\"{}\" is not known; choose from {}", key, fmt::join(keys, ", ")));
        }
    }
}

// Those of object[name], none where it is not there.
Json::Object Reader::entries(const std::string& name, const Json& object) const {
    const Json* found = object.find(name);
    if (found && !found->is_object()) {
        refuse(name, "is no list of names; write { \"name\": ... }");
    }
    return found ? found->members() : Json::Object();
}

std::string Reader::text(const std::string& entry, const Json& value) const {
    if (!value.is_string() && !value.is_number()) {
        refuse(entry, fmt::format("{} is neither text nor a number", value.dump()));
    }
    return value.is_string() ? value.string() : value.dump();
}

// One text or a list of them.
Words Reader::texts(const std::string& entry, const Json& value) const {
    Words found;
    for (const Json& one : value.is_array() ? value.items() : Json::Array{value}) {
        found.push_back(text(entry, one));
    }
    return found;
}

// At blanks; "double quotes" hold words together.
Words Reader::split(const std::string& entry, const std::string& command) const {
    Words found;
    bool quoted = false;
    bool begun = false;
    for (const char c : command) {
        const bool blank = !quoted && (c == ' ' || c == '\t' || c == '\n');
        quoted ^= c == '"';
        if (!blank && !begun) {
            found.emplace_back();
        }
        begun = !blank;
        if (!blank && c != '"') {
            found.back() += c;
        }
    }
    if (quoted) {
        refuse(entry, fmt::format("a quotation mark is missing in: {}", command));
    }
    return found;
}

void Reader::assign(const std::string& entry, Variant& variant, const std::string& key,
                    const Json& value) const {
    if (key == "commands") {
        variant.commands = texts(entry + ": commands", value);
    } else if (key == "seeds") {
        variant.seeds = texts(entry + ": seeds", value);
    } else if (!key.starts_with("--")) {
        variant.values[key] = text(fmt::format("{}: {}", entry, key), value);
    } else if (!value.is_boolean()) {
        variant.options.insert(variant.options.end(),
                               {key, text(fmt::format("{}: {}", entry, key), value)});
    } else if (value.boolean()) {
        variant.options.push_back(key);
    }
}

// Every variant at every point of the grid.
std::vector<Variant> Reader::variants() const {
    Variant plain;
    plain.commands = texts("commands", json_.value("commands", Json::array()));
    plain.seeds = texts("seeds", json_.value("seeds", Json::array()));
    std::vector<Variant> found;
    for (const auto& [name, value] : entries("variants", json_)) {
        const std::string entry = "variants: " + name;
        found.push_back(plain);
        found.back().name = name;
        if (value.is_string()) {
            found.back().options = split(entry, value.string());
        } else if (value.is_object()) {
            for (const auto& [key, one] : value.members()) {
                assign(entry, found.back(), key, one);
            }
        } else {
            refuse(entry, "is neither options nor { \"--option\": value }");
        }
    }
    if (found.empty()) {
        found.push_back(plain);
    }
    for (const auto& [key, values] : entries("grid", json_)) {
        const std::string entry = "grid: " + key;
        if (!values.is_array() || values.empty()) {
            refuse(entry, "is no list of values; write [ first, second ]");
        }
        std::vector<Variant> crossed;
        for (const Variant& variant : found) {
            for (const Json& value : values.items()) {
                Variant point = variant;
                assign(entry, point, key, value);
                point.name +=
                    fmt::format("{}{} {}", point.name.empty() ? "" : ", ",
                                key.substr(std::min(key.find_first_not_of('-'), key.size())),
                                value.is_string() ? value.string() : value.dump());
                crossed.push_back(std::move(point));
            }
        }
        found = std::move(crossed);
    }
    for (Variant& variant : found) {
        if (variant.name.empty()) {
            variant.name = "as written";
        }
        if (variant.commands.empty()) {
            refuse("commands", "there is none; name what is to run, e.g. \"train gan --data set\"");
        }
        if (!call_.seeds.empty() && !variant.seeds.empty()) {
            variant.seeds = call_.seeds;
        }
        for (const std::string& seed : variant.seeds) { // a folder is named after it
            if (seed.empty() || seed.find_first_not_of("0123456789") != std::string::npos) {
                refuse("seeds", fmt::format("{} is no whole number", seed));
            }
        }
    }
    return found;
}

SweepRun Reader::run(const Variant& variant, const std::string& seed,
                     const fs::path& folder) const {
    SweepRun made{variant.name, seed, folder, {}, variant.told()};
    auto values = values_;
    for (const auto& [name, value] : variant.values) {
        values[name] = value;
    }
    values["out"] = folder.string();
    values["seed"] = seed;
    bool seed_used = false;
    for (const std::string& command : variant.commands) {
        Words words = split(variant.name, command);
        if (made.commands.empty()) {
            words.insert(words.end(), variant.options.begin(), variant.options.end());
            if (command.find("{out}") == std::string::npos) {
                words.insert(words.end(), {"--out", "{out}"});
            }
        }
        for (std::string& word : words) {
            for (std::size_t at = 0; (at = word.find('{', at)) != std::string::npos;) {
                const std::size_t length = word.find('}', at) - at;
                const std::string name = word.substr(at + 1, length - 1);
                const auto value = values.find(name);
                if (value == values.end()) {
                    refuse(variant.name, fmt::format("{{{}}} has no value; give --set {}=..., or "
                                                     "name it in \"settings\", the variants or "
                                                     "\"grid\"",
                                                     name, name));
                }
                seed_used |= name == "seed";
                word.replace(at, length + 1, value->second);
                at += value->second.size();
            }
        }
        made.commands.push_back(std::move(words));
    }
    if (!seed.empty() && !seed_used) {
        made.commands.front().insert(made.commands.front().end(), {"--seed", seed});
    }
    return made;
}

// <out>/<name in small letters, digits, points and dashes>
fs::path Reader::new_folder(const std::string& name) {
    std::string plain;
    for (const char c : name) {
        const char small = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
        const bool kept = (small >= 'a' && small <= 'z') || (c >= '0' && c <= '9') ||
                          (c == '.' && !plain.empty());
        if (kept || (!plain.empty() && plain.back() != '-')) {
            plain += kept ? small : '-';
        }
    }
    plain.erase(plain.find_last_not_of('-') + 1);
    if (plain.empty()) {
        refuse(name, "has no letter or digit that a folder could be named after");
    }
    fs::path folder = call_.out / plain;
    if (!folders_.insert(folder).second) {
        refuse(name, fmt::format("another entry has the folder {}, too; name it otherwise",
                                 folder.string()));
    }
    return folder;
}

// "metrics.csv g_loss", or an object.
Figure Reader::figure(const std::string& name, const Json& value) const {
    const std::string entry = "figures: " + name;
    Figure made;
    made.name = name;
    if (value.is_string()) {
        const Words words = split(entry, value.string());
        if (words.size() != 2) {
            refuse(entry, "is not \"FILE COLUMN\"; an object says more");
        }
        made.file = words[0];
        made.value = words[1];
    } else {
        check_keys(entry, value, {"file", "value", "of_largest", "where"});
        made.file = text(entry + ": file", value.value("file", Json()));
        made.value = text(entry + ": value", value.value("value", Json()));
        made.of_largest = value.value("of_largest", "").string();
        for (const auto& [key, wanted] : entries("where", value)) {
            made.where.emplace_back(key, wanted.is_null()
                                             ? std::nullopt
                                             : std::optional(text(entry + ": where", wanted)));
        }
    }
    if (!made.file.ends_with(".csv") && !made.file.ends_with(".json") &&
        !made.file.ends_with(".jsonl")) {
        refuse(entry, fmt::format("{}: is no .csv, .json or .jsonl file", made.file));
    }
    return made;
}

Sweep Reader::read() {
    if (!json_.is_object()) {
        refuse("the file", "is no object; write { \"commands\": ..., \"figures\": ... }");
    }
    check_keys("the file", json_,
               {"title", "about", "settings", "prepare", "commands", "variants", "grid", "seeds",
                "figures"});
    Sweep sweep;
    sweep.title = text("title", json_.value("title", call_.file.stem().string()));
    sweep.about = text("about", json_.value("about", ""));
    for (const auto& [name, value] : entries("settings", json_)) {
        values_[name] = text("settings: " + name, value);
    }
    for (const auto& [name, value] : call_.settings) {
        values_[name] = value;
    }
    for (const auto& [name, value] : entries("prepare", json_)) {
        Variant once;
        once.name = name;
        once.commands = texts("prepare: " + name, value);
        const fs::path folder = new_folder(name);
        sweep.preparations.push_back(run(once, "", folder));
        values_[name] = folder.string();
    }
    for (const Variant& variant : variants()) {
        const fs::path folder = new_folder(variant.name);
        for (const std::string& seed : variant.seeds.empty() ? Words{""} : variant.seeds) {
            sweep.runs.push_back(run(variant, seed, seed.empty() ? folder / "run" : folder / seed));
        }
    }
    for (const auto& [name, value] : entries("figures", json_)) {
        sweep.figures.push_back(figure(name, value));
    }
    if (sweep.figures.empty()) {
        refuse("figures",
               "there is none; name what to read, e.g. { \"loss\": \"metrics.csv g_loss\" }");
    }
    return sweep;
}

} // namespace

Sweep read_sweep(const SweepRequest& call) {
    try {
        return reading_json(call.file.string(), [&] { return Reader(call).read(); });
    } catch (const std::runtime_error& error) {
        throw std::invalid_argument(error.what());
    }
}

} // namespace patchforge
