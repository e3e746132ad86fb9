// Options described once. A description names each option with its range, default and help; the
// command line, --config, presets, params.json, the check at resume, refusals and the tables in
// docs/options.md are all made from it:
//
//     void describe(Options& options, GanOptions& gan) {
//         options.group("Training");
//         options.number("lr_d", gan.learning_rate_d, {1e-12, 1}, "learning rate of the discriminator");
//     }
#pragma once

#include <cstdint>
#include <deque>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "host/options/parameters.h"

namespace patchforge {

template <class T>
struct Range {
    T low, high; // both allowed
};

inline constexpr Range<std::uint64_t> any_seed{0, ~std::uint64_t{0}};

// A value of an enumeration and what people call it.
template <class E>
struct Choice {
    const char* name;
    E value;
};
template <class E>
using Choices = std::vector<Choice<E>>;

// The name of a value. Throws std::logic_error for one that has none.
template <class E>
std::string choice_name(const Choices<E>& choices, E value);
// The value of a name. Throws std::invalid_argument: "--flag name: not known; use one of ...".
template <class E>
E choice_value(const Choices<E>& choices, const std::string& flag, const std::string& name);

struct Option {
    std::string name; // in params.json: "lr_d"; on the command line --lr-d
    std::string group{};
    std::string help{};
    std::string values{};      // what may be given: "1 to 65536", "none, batch, virtual"; or empty
    std::string placeholder{}; // of the value in --help; empty: a switch, which takes none
    std::string standard{};    // the default as text
    std::function<void(const std::string& text)> set{}; // throws std::invalid_argument: --flag ...
    std::function<ParameterValue()> get{};              // absent: a shorthand for other options
    std::function<void()> check{}; // throws when the field holds what could not have been given
    bool positional = false;
    bool repeated = false; // a positional that takes several
    bool required = false;
    bool recorded = true;    // stands in params.json
    bool may_change = false; // at resume
    std::vector<std::string> needs{};
    std::vector<std::string> replaces{};

    std::string flag() const; // "--lr-d", or the name of a positional

    Option& must_be_given() { return required = true, *this; }
    Option& unrecorded() { return recorded = false, *this; }
    Option& changeable() { return may_change = true, *this; }
    // Refused where `other` is not given: it would do nothing.
    Option& beside(const std::string& other) { return needs.push_back(other), *this; }
    // Where it is given, what a preset says of `other` does not count.
    Option& instead_of(const std::string& other) { return replaces.push_back(other), *this; }
    // params.json says this instead of the field.
    Option& recorded_as(std::function<ParameterValue()> value) {
        return get = std::move(value), *this;
    }
};

// What was given, as text by option name.
using Given = std::map<std::string, std::vector<std::string>>;

// Values of options under a name, laid over the defaults before anything that was given.
struct Preset {
    std::string name;
    std::vector<std::pair<std::string, std::string>> settings{}; // option, text
};

class Options {
  public:
    // The fields must outlive the list. Defaults are what they hold now.
    void group(const std::string& name) { group_ = name; }
    // T: int, std::int64_t, std::uint64_t or double. NaN is refused.
    template <class T>
    Option& number(const std::string& name, T& value, Range<T> range, const std::string& help);
    // Also as a quotient, 8/255.
    Option& fraction(const std::string& name, double& value, Range<double> range,
                     const std::string& help);
    Option& fractions(const std::string& name, std::vector<double>& values, Range<double> range,
                      const std::string& help); // with commas, at least one
    Option& toggle(const std::string& name, bool& value, const std::string& help);
    template <class E>
    Option& choice(const std::string& name, E& value, const Choices<E>& choices,
                   const std::string& help);
    // A file, folder or other text; `placeholder` stands for it in the help: FOLDER, FILE, ... An
    // empty text is refused.
    Option& text(const std::string& name, std::string& value, const std::string& placeholder,
                 const std::string& help);
    Option& path(const std::string& name, std::filesystem::path& value,
                 const std::string& placeholder, const std::string& help);
    // With commas, at least one.
    Option& list(const std::string& name, std::vector<std::string>& values,
                 const std::string& placeholder, const std::string& help);
    Option& widths(const std::string& name, std::vector<std::int64_t>& values,
                   const std::string& help); // of layers: 256,256
    // Without a flag: what stands behind the verb.
    Option& argument(const std::string& name, std::string& value, const std::string& help);
    Option& arguments(const std::string& name, std::vector<std::string>& values,
                      const std::string& help);
    // Whatever else a text can mean; `get` may be empty.
    Option& custom(const std::string& name, const std::string& placeholder, const std::string& help,
                   std::function<void(const std::string& text)> set,
                   std::function<ParameterValue()> get);
    // A call that gives more than one of these is refused.
    void only_one_of(const std::vector<std::string>& names) { exclusive_.push_back(names); }
    // The same of two, of which `name` has no use beside `other` even where a preset sets that one.
    void no_use_beside(const std::string& name, const std::string& other) {
        only_one_of({other, name});
        without_use_.emplace_back(name, other);
    }

    const std::deque<Option>& all() const { return options_; }
    const Option* find(const std::string& name) const;

    // Sets what was given, in the order of description, so that a shorthand comes before what it
    // stands for. std::invalid_argument naming the option; for a name that no option has, too.
    void apply(const Given& given);
    // `given`: what will be laid over the preset.
    void apply(const Preset& preset, const Given& given = {});
    // Refuses options that were given without what they need, here or in `beside`, or that exclude
    // each other.
    void refuse_contradictions(const Given& given, const Given& beside = {}) const;
    // Refuses options that have no use beside what the preset sets.
    void refuse_without_use(const Given& given, const Preset& preset) const;
    // Takes out of `weaker` what excludes something in `stronger`.
    void give_way(Given& weaker, const Given& stronger) const;
    // Refuses fields that hold what could not have been given.
    void check() const;

    Parameters parameters() const;               // what is recorded
    std::vector<std::string> may_change() const; // at resume

  private:
    Option& add(Option option);

    std::deque<Option> options_; // whose places in memory stay
    std::string group_;
    std::vector<std::vector<std::string>> exclusive_;
    std::vector<std::pair<std::string, std::string>> without_use_; // the first beside the second
};

// Refuses a value that its own description would not let a person give.
template <class Described>
void check_ranges(Described described) {
    Options options;
    describe(options, described);
    options.check();
}

// A value with those options set that `parameters` names, say a run's: as that run had it.
template <class Described>
Described restored(const Parameters& parameters) {
    Described value;
    Options options;
    describe(options, value);
    Given given;
    for (const auto& [name, held] : parameters) {
        const std::string text = parameter_text(held);
        if (options.find(name) && !text.empty()) { // an empty text was not given
            given[name] = {text};
        }
    }
    options.apply(given);
    return value;
}

// The defaults of Described with the settings of one of `presets`. std::invalid_argument for an
// unknown name.
template <class Described>
Described described_by_preset(const std::vector<Preset>& presets, const std::string& name) {
    Choices<const Preset*> named;
    for (const Preset& preset : presets) {
        named.push_back({preset.name.c_str(), &preset});
    }
    Described value;
    Options options;
    describe(options, value);
    options.apply(*choice_value(named, "--preset", name));
    return value;
}

// "lr_d" -> "--lr-d" and back.
std::string flag_of(const std::string& name);
std::string name_of_flag(std::string flag);

// A number or a quotient of two. Throws std::invalid_argument beginning with `option`.
double parse_fraction(const std::string& option, const std::string& text);
// "2,8/255"
std::vector<double> parse_fractions(const std::string& option, const std::string& text);
// "256,256": 1 to 16 widths, each from 1 to 65536.
std::vector<std::int64_t> parse_widths(const std::string& option, const std::string& text);
// What stands between commas; nothing is left out.
std::vector<std::string> split_at_commas(const std::string& text);

// For people: numbers of many digits cut to six.
std::string shortened(const std::string& text);

// ---- what follows is called by the above

[[noreturn]] void refuse_choice(const std::string& flag, const std::string& name,
                                const std::vector<std::string>& known);

template <class E>
std::string choice_name(const Choices<E>& choices, E value) {
    for (const Choice<E>& choice : choices) {
        if (choice.value == value) {
            return choice.name;
        }
    }
    throw std::logic_error("choice_name: a value without a name");
}

template <class E>
E choice_value(const Choices<E>& choices, const std::string& flag, const std::string& name) {
    std::vector<std::string> known;
    for (const Choice<E>& choice : choices) {
        if (name == choice.name) {
            return choice.value;
        }
        known.emplace_back(choice.name);
    }
    refuse_choice(flag, name, known);
}

template <class E>
Option& Options::choice(const std::string& name, E& value, const Choices<E>& choices,
                        const std::string& help) {
    std::string names, placeholder;
    for (const Choice<E>& choice : choices) {
        names += (names.empty() ? "" : ", ") + std::string(choice.name);
        placeholder += (placeholder.empty() ? "" : "|") + std::string(choice.name);
    }
    Option& option = custom(
        name, placeholder, help,
        [&value, choices, flag = flag_of(name)](const std::string& text) {
            value = choice_value(choices, flag, text);
        },
        [&value, choices]() -> ParameterValue { return choice_name(choices, value); });
    option.values = names;
    return option;
}

} // namespace patchforge
