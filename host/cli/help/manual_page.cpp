#include "host/cli/help/manual_page.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "data/atomic_file.h"
#include "host/options/option_table.h"
#include "host/run/version.h"

namespace patchforge {

namespace {

// Text of roff: no backslash, no line that begins as a request does, hyphens that can be copied.
std::string roff(const std::string& text) {
    std::string result;
    bool line_begins = true;
    for (const char c : text) {
        if (line_begins && (c == '.' || c == '\'')) {
            result += "\\&";
        }
        result += c == '\\' ? "\\e" : c == '-' ? "\\-" : std::string(1, c);
        line_begins = c == '\n';
    }
    return result;
}

std::string upper(std::string text) {
    std::ranges::transform(text, text.begin(), [](unsigned char c) { return std::toupper(c); });
    return text;
}

std::string title(const std::string& name) {
    return fmt::format(".TH {} 1 \"\" \"patchforge {}\" \"patchforge\"\n.nh\n", upper(roff(name)),
                       version());
}

std::string option_entry(const Option& option) {
    std::string entry = fmt::format(".TP\n\\fB{}\\fR", roff(option.flag()));
    if (!option.positional && !option.placeholder.empty()) {
        entry += fmt::format(" \\fI{}\\fR", roff(option.placeholder));
    }
    entry += '\n' + roff(option.help);
    std::vector<std::string> notes;
    const bool shown = option.placeholder.find('|') != std::string::npos; // auto|cpu
    if (option.required && !option.positional) {
        notes.emplace_back("required");
    } else if (!shown && !option.values.empty()) {
        notes.push_back(option.values);
    }
    if (!option.standard.empty() && !option.placeholder.empty()) {
        notes.push_back("default " + shortened(option.standard));
    }
    for (const std::string& other : option.needs) {
        notes.push_back("only beside " + flag_of(other));
    }
    if (!notes.empty()) {
        entry += fmt::format(" ({})", roff(fmt::format("{}", fmt::join(notes, "; "))));
    }
    return entry + '\n';
}

constexpr const char* exit_status = ".SH EXIT STATUS\n0: done; 1: the job failed; 2: the call was "
                                    "wrong. Errors say what is wrong and what to do.\n";

} // namespace

std::string manual_name(const Verb& verb) {
    std::string name = "patchforge-" + verb.name;
    std::ranges::replace(name, ' ', '-');
    return name;
}

std::string program_manual(const std::vector<const Verb*>& verbs) {
    std::string page = title("patchforge");
    page += ".SH NAME\npatchforge \\- GANs, classifiers and adversarial examples on small image "
            "patches\n.SH SYNOPSIS\n\\fBpatchforge\\fR \\fIverb\\fR [\\fIoptions\\fR]\n"
            ".SH DESCRIPTION\nTrains generative adversarial networks and classifiers on small "
            "image patches, and forges images that fool the classifiers, on a CUDA device or on "
            "the CPU.\n.SH VERBS\nEach has a page of its own.\n";
    for (const Verb* verb : verbs) {
        page += fmt::format(".TP\n\\fB{}\\fR\n{}\n", roff(verb->name), roff(verb->summary));
    }
    page += ".TP\n\\fBhelp\\fR [\\fIverb\\fR]\nexplain a verb, as its \\-\\-help does\n";
    page += exit_status;
    page += ".SH SEE ALSO\n";
    std::string others;
    for (const Verb* verb : verbs) {
        others +=
            fmt::format("{}\\fB{}\\fR(1)", others.empty() ? "" : ",\n", roff(manual_name(*verb)));
    }
    return page + others + '\n';
}

std::string verb_manual(const Verb& verb) {
    const std::deque<Option>& options = verb.options.all();
    std::string page = title(manual_name(verb));
    page += fmt::format(".SH NAME\n{} \\- {}\n.SH SYNOPSIS\n\\fBpatchforge {}\\fR",
                        roff(manual_name(verb)), roff(verb.summary), roff(verb.name));
    for (const Option& option : options) {
        if (option.positional) {
            page += fmt::format(" \\fI{}\\fR{}", roff(option.name), option.repeated ? "..." : "");
        }
    }
    page += " [\\fIoptions\\fR]\n.SH OPTIONS\n";
    std::vector<std::string> groups;
    for (const Option& option : options) {
        if (std::ranges::count(groups, option.group) == 0) {
            groups.push_back(option.group);
        }
    }
    for (const std::string& group : groups) {
        if (!group.empty()) {
            page += fmt::format(".SS {}\n", roff(group));
        }
        for (const Option& option : options) {
            page += option.group == group ? option_entry(option) : "";
        }
    }
    page += ".SS Every verb\n.TP\n\\fB\\-\\-config\\fR \\fIFILE\\fR\noptions from a file: name = "
            "value, or a run's params.json; options of the call are laid over it\n";
    if (!verb.presets.empty()) {
        page += fmt::format(".TP\n\\fB\\-\\-preset\\fR \\fINAME\\fR\nsettings to start from, one "
                            "of {} (default {})\n",
                            roff(preset_names(verb.presets, ", ")), roff(verb.standard_preset));
    }
    page += ".TP\n\\fB\\-\\-help\\fR\nthis, shortly\n";
    if (!verb.examples.empty()) {
        page += ".SH EXAMPLES\n.nf\n";
        for (const std::string& example : verb.examples) {
            page += fmt::format("patchforge {}\n", roff(example));
        }
        page += ".fi\n";
    }
    return page + exit_status + ".SH SEE ALSO\n\\fBpatchforge\\fR(1)\n";
}

void write_manuals(const std::filesystem::path& folder, const std::vector<const Verb*>& verbs) {
    std::filesystem::create_directories(folder);
    write_file_atomically(folder / "patchforge.1", std::string_view(program_manual(verbs)));
    for (const Verb* verb : verbs) {
        write_file_atomically(folder / (manual_name(*verb) + ".1"),
                              std::string_view(verb_manual(*verb)));
    }
}

} // namespace patchforge
