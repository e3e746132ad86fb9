#include "host/cli/help/option_page.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "host/gan/gan_options.h"
#include "host/network/named_networks.h"
#include "host/network/network_shape.h"
#include "host/options/option_table.h"

namespace patchforge {

namespace {

// The groups that at least three verbs have in the same words, "Device" for example.
std::vector<OptionGroup> shared_groups(const std::vector<std::vector<OptionGroup>>& of_verbs) {
    std::vector<OptionGroup> shared;
    for (const std::vector<OptionGroup>& groups : of_verbs) {
        for (const OptionGroup& group : groups) {
            const auto same = [&](const OptionGroup& other) {
                return other.name == group.name && other.rows == group.rows;
            };
            const auto verbs =
                std::count_if(of_verbs.begin(), of_verbs.end(), [&](const auto& others) {
                    return std::any_of(others.begin(), others.end(), same);
                });
            const bool named =
                std::any_of(shared.begin(), shared.end(),
                            [&](const OptionGroup& other) { return other.name == group.name; });
            if (!group.name.empty() && verbs >= 3 && !named) {
                shared.push_back(group);
            }
        }
    }
    return shared;
}

// As pages in Markdown make one of a heading.
std::string anchor(std::string heading) {
    for (char& c : heading) {
        c = c == ' ' ? '-' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    }
    return heading;
}

// 227587 as 227,587.
std::string with_commas(std::int64_t number) {
    std::string text = std::to_string(number);
    for (std::ptrdiff_t at = std::ssize(text) - 3; at > 0; at -= 3) {
        text.insert(static_cast<std::size_t>(at), ",");
    }
    return text;
}

// The networks that --network knows by name, with what is trained of each.
std::string named_network_table() {
    constexpr Extent pictures{3, 50, 50};
    const auto count = [](const std::string& text) {
        return with_commas(network_shape_from_description(text).parameter_count());
    };
    const std::int64_t codes = GanOptions().latent_dim;
    std::string page = fmt::format(
        "\n## Networks by name\n\nNumbers that are trained for pictures of {}; GANs begin with "
        "codes of {} numbers, classifiers end in two classes.\n\n"
        "| `train gan --network` | generator | discriminator |\n|---|--:|--:|\n",
        pictures.text(), codes);
    for (const std::string& name : named_gans()) {
        const GanTexts texts = gan_texts(name, pictures, codes);
        page += fmt::format("| `{}` | {} | {} |\n", name, count(texts.generator),
                            count(texts.discriminator));
    }
    page += "\n| `train classifier --network` | parameters |\n|---|--:|\n";
    for (const std::string& name : named_classifiers()) {
        page += fmt::format("| `{}` | {} |\n", name, count(classifier_text(name, pictures, 2)));
    }
    return page;
}

} // namespace

std::string option_page(const std::vector<const Verb*>& verbs) {
    std::vector<std::vector<OptionGroup>> of_verbs;
    for (const Verb* verb : verbs) {
        of_verbs.push_back(option_groups(verb->options, verb->presets));
    }
    const std::vector<OptionGroup> shared = shared_groups(of_verbs);
    std::string page =
        "# Options\n\n"
        "Every verb with its options, as the program describes them; `make option-tables` writes "
        "this page, and `patchforge help VERB` shows one of them.\n\n"
        "Every verb takes `--help` and `--config FILE`: a file with a line `name = value` an "
        "option (`lr_d = 0.0002`, `strict = true`, `hidden_dims = [256, 256]`), or the "
        "params.json of a run. Settings are laid over each other: defaults, `--preset` where a "
        "verb has presets, the file, the command line.\n";
    for (const OptionGroup& group : shared) {
        page += fmt::format("\n## {}\n\nOptions of several verbs.\n\n{}", group.name,
                            option_table({{"", group.rows}}));
    }
    for (std::size_t i = 0; i < verbs.size(); ++i) {
        const Verb& verb = *verbs[i];
        page += fmt::format("\n## patchforge {}\n\n{}{}.\n\n", verb.name,
                            static_cast<char>(std::toupper(verb.summary.front())),
                            verb.summary.substr(1));
        for (const std::string& example : verb.examples) {
            page += fmt::format("    patchforge {}\n", example);
        }
        if (!verb.presets.empty()) {
            page += fmt::format("\n`--preset` starts from the settings of one of {} ({}); other "
                                "options are laid over them.\n",
                                preset_names(verb.presets, ", "), verb.standard_preset);
        }
        std::vector<OptionGroup> rest;
        std::string elsewhere;
        for (const OptionGroup& group : of_verbs[i]) {
            const bool once =
                std::any_of(shared.begin(), shared.end(), [&](const OptionGroup& other) {
                    return other.name == group.name && other.rows == group.rows;
                });
            if (once) {
                elsewhere += fmt::format("{}[{}](#{})", elsewhere.empty() ? "" : ", ", group.name,
                                         anchor(group.name));
            } else {
                rest.push_back(group);
            }
        }
        if (!rest.empty()) {
            page += '\n' + option_table(rest);
        }
        if (!elsewhere.empty()) {
            page += fmt::format("\nAnd the options of {}.\n", elsewhere);
        }
    }
    return page + named_network_table();
}

} // namespace patchforge
