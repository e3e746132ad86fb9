// patchforge latent arithmetic: the difference of two groups' means, added to codes.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <stdexcept>

#include "data/escape.h"
#include "host/cli/latent_sheet.h"
#include "host/cli/verbs.h"
#include "host/session/named_file.h"

namespace patchforge {

namespace {

struct LatentArithmeticCall {
    LatentSheetOptions sheet;
    std::string from_class;
    std::string to_class;
    std::string from_group;
    std::string to_group;
    std::string base_group;
    std::string from_name;
    std::string to_name;
    std::string save_groups;
    std::int64_t draws = 2000;
    double confidence = 0.7;
    double strength = 1.5;
};

std::size_t class_number(const ClassifierFormat& format, const std::string& name,
                         const std::string& option) {
    const auto found = std::ranges::find(format.class_names, name);
    if (found == format.class_names.end()) {
        throw std::invalid_argument(
            fmt::format("{} {}: the classifier has no such class; it has {}", option, name,
                        terminal_list(format.class_names)));
    }
    return static_cast<std::size_t>(found - format.class_names.begin());
}

// The drawn codes whose patches the classifier calls `class_name` with the asked confidence.
LatentGroup group_by_verdict(const LatentArithmeticCall& call, LatentSheet& sheet,
                             const std::vector<LatentCode>& codes, const std::string& class_name,
                             const std::string& option) {
    if (!sheet.classifier()) {
        throw std::invalid_argument(fmt::format(
            "{}: groups are picked by a classifier; give --model, or a saved group", option));
    }
    const ClassifierFormat& format = sheet.classifier()->format();
    const std::size_t number = class_number(format, class_name, option);
    const std::vector<float> p = sheet.probabilities(codes);
    const auto classes = static_cast<std::size_t>(format.class_count());
    LatentGroup group{class_name, {}};
    for (std::size_t i = 0; i < codes.size(); ++i) {
        if (p[i * classes + number] >= call.confidence) {
            group.codes.push_back(codes[i]);
        }
    }
    return group;
}

void run(const LatentArithmeticCall& call) {
    LatentSheet sheet(call.sheet);
    const std::vector<LatentCode> codes = sheet.draw(call.draws, call.sheet.seed);
    const auto group = [&](const std::string& file, std::string class_name, bool last,
                           const char* option) {
        if (!file.empty()) {
            return load_group(file);
        }
        if (class_name.empty() && sheet.classifier()) {
            const auto& names = sheet.classifier()->format().class_names;
            class_name = last ? names.back() : names.front();
        }
        return group_by_verdict(call, sheet, codes, class_name, option);
    };
    LatentGroup from = group(call.from_group, call.from_class, false, "--from");
    LatentGroup to = group(call.to_group, call.to_class, true, "--to");
    const LatentGroup base = call.base_group.empty() ? from : load_group(call.base_group);
    from.name = call.from_name.empty() ? from.name : call.from_name;
    to.name = call.to_name.empty() ? to.name : call.to_name;
    const LatentCode from_mean = from.mean();
    const LatentCode to_mean = to.mean();
    const std::string from_words = terminal_text(from.name), to_words = terminal_text(to.name);
    fmt::print("{}: {} codes, {}: {} codes\n", from_words, from.codes.size(), to_words,
               to.codes.size());
    if (!call.save_groups.empty()) {
        std::filesystem::create_directories(call.save_groups);
        for (const LatentGroup& saved : {from, to}) {
            if (saved.name.find('/') != std::string::npos) {
                throw std::invalid_argument(fmt::format(
                    "--save-groups: '{}' cannot be the name of a file; give another one "
                    "with --from-name or --to-name",
                    saved.name));
            }
            const std::filesystem::path path =
                std::filesystem::path(call.save_groups) / (saved.name + ".safetensors");
            check_named_file("--save-groups", path, group_mark);
            save_group(path, saved);
            fmt::print("group {} saved in {}\n", terminal_text(saved.name),
                       terminal_text(path.string()));
        }
    }
    // The mean of the base group first, then codes of its own.
    std::vector<LatentCode> starts = {base.mean()};
    for (std::size_t i = 0;
         i < base.codes.size() && starts.size() < static_cast<std::size_t>(call.sheet.rows); ++i) {
        starts.push_back(base.codes[i]);
    }
    std::vector<std::string> row_names(starts.size());
    row_names[0] = "mean";
    std::vector<std::vector<LatentCode>> rows(starts.size());
    std::vector<std::string> columns;
    for (std::int64_t s = 0; s < call.sheet.steps; ++s) {
        const double strength = sheet.at_column(s, call.strength);
        columns.push_back(fmt::format("+{:.2f}", strength));
        for (std::size_t r = 0; r < rows.size(); ++r) {
            rows[r].push_back(moved(starts[r], from_mean, to_mean, strength));
        }
    }
    fmt::print("each row: the mean or a code of '{}' plus so many times ('{}' - '{}')\n",
               terminal_text(base.name), to_words, from_words);
    sheet.write(rows, columns, row_names);
}

} // namespace

Verb latent_arithmetic_verb() {
    auto call = std::make_shared<LatentArithmeticCall>();
    Verb verb{.name = "latent arithmetic",
              .summary = "add the difference of two groups' means to codes: base - from + to"};
    Options& options = verb.options;
    options.group("Groups");
    options.text("from", call->from_class, "CLASS",
                 "class of the first group (the first, unless given)");
    options.text("to", call->to_class, "CLASS",
                 "class of the second group (the last, unless given)");
    options.text("from_group", call->from_group, "FILE", "a saved group instead");
    options.text("to_group", call->to_group, "FILE", "a saved group instead");
    options.text("base_group", call->base_group, "FILE",
                 "a saved group to start from (the first, unless given): G' - M' + W'");
    options.text("from_name", call->from_name, "NAME", "what to call the first group (its class)");
    options.text("to_name", call->to_name, "NAME", "what to call the second group (its class)");
    options.text("save_groups", call->save_groups, "FOLDER",
                 "folder for the groups, as <name>.safetensors");
    options.number("draws", call->draws, {10, 1000000}, "codes drawn to find the groups in");
    options.number("confidence", call->confidence, {0, 1}, "of the classifier, to be in a group");
    options.number("strength", call->strength, {-100, 100}, "of the last column's step");
    describe(options, call->sheet);
    verb.examples = {"latent arithmetic --run runs/gan --model runs/classifier --from 0 --to 1 "
                     "--save-groups groups --out sum.png",
                     "latent arithmetic --run runs/gan --from-group groups/0.safetensors "
                     "--to-group groups/1.safetensors --strength 3 --out stronger.png"};
    verb.run = [call] { run(*call); };
    return verb;
}

} // namespace patchforge
