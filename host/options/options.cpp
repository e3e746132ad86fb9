#include "host/options/options.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <stdexcept>
#include <type_traits>

namespace patchforge {

namespace {

// The whole of `text` as a number, or false.
template <class T>
bool parse_number(const std::string& text, T& value) {
    const char* first = text.data() + (text.starts_with('+') ? 1 : 0);
    const char* last = text.data() + text.size();
    const auto [end, error] = std::from_chars(first, last, value);
    return error == std::errc() && end == last;
}

template <class T>
void refuse_outside(const std::string& flag, const std::string& text, T value, Range<T> range) {
    if (!(value >= range.low && value <= range.high)) {
        throw std::invalid_argument(fmt::format("{} {}: out of range; give a number from {} to {}",
                                                flag, text, range.low, range.high));
    }
}

template <class T>
ParameterValue parameter(T value) {
    if constexpr (std::is_same_v<T, std::uint64_t>) {
        const auto as_signed = static_cast<std::int64_t>(value);
        return as_signed >= 0 ? ParameterValue(as_signed) : ParameterValue(value);
    } else if constexpr (std::is_integral_v<T>) {
        return static_cast<std::int64_t>(value);
    } else {
        return value;
    }
}

void refuse_empty(const std::string& flag, const std::string& text) {
    if (text.empty()) {
        throw std::invalid_argument(flag + " '': is empty; give a value or leave the option out");
    }
}

} // namespace

std::string flag_of(const std::string& name) {
    std::string flag = "--" + name;
    std::replace(flag.begin(), flag.end(), '_', '-');
    return flag;
}

std::string name_of_flag(std::string flag) {
    flag.erase(0, std::min(flag.find_first_not_of('-'), flag.size()));
    std::replace(flag.begin(), flag.end(), '-', '_');
    return flag;
}

void refuse_choice(const std::string& flag, const std::string& name,
                   const std::vector<std::string>& known) {
    throw std::invalid_argument(
        fmt::format("{}: '{}' is not known; use one of {}", flag, name, fmt::join(known, ", ")));
}

std::string Option::flag() const {
    return positional ? name : flag_of(name);
}

Option& Options::add(Option option) {
    if (find(option.name)) {
        throw std::logic_error("option " + option.name + ": described twice");
    }
    option.group = group_;
    if (option.get && !option.positional) {
        option.standard = parameter_text(option.get());
    }
    options_.push_back(std::move(option));
    return options_.back();
}

Option& Options::custom(const std::string& name, const std::string& placeholder,
                        const std::string& help, std::function<void(const std::string&)> set,
                        std::function<ParameterValue()> get) {
    Option option{.name = name, .help = help, .placeholder = placeholder};
    option.set = std::move(set);
    option.recorded = get != nullptr;
    option.get = std::move(get);
    return add(std::move(option));
}

template <class T>
Option& Options::number(const std::string& name, T& value, Range<T> range,
                        const std::string& help) {
    const std::string flag = flag_of(name);
    Option& option = custom(
        name, "N", help,
        [&value, range, flag](const std::string& text) {
            T parsed{};
            if (!parse_number(text, parsed)) {
                throw std::invalid_argument(
                    fmt::format("{}: '{}' is not a {}; give one from {} to {}", flag, text,
                                std::is_integral_v<T> ? "whole number that fits" : "number",
                                range.low, range.high));
            }
            refuse_outside(flag, text, parsed, range);
            value = parsed;
        },
        [&value] { return parameter(value); });
    option.values = fmt::format("{} to {}", range.low, range.high);
    option.check = [&value, range, flag] {
        refuse_outside(flag, fmt::format("{}", value), value, range);
    };
    return option;
}
template Option& Options::number(const std::string&, int&, Range<int>, const std::string&);
template Option& Options::number(const std::string&, std::int64_t&, Range<std::int64_t>,
                                 const std::string&);
template Option& Options::number(const std::string&, std::uint64_t&, Range<std::uint64_t>,
                                 const std::string&);
template Option& Options::number(const std::string&, double&, Range<double>, const std::string&);

Option& Options::fraction(const std::string& name, double& value, Range<double> range,
                          const std::string& help) {
    const std::string flag = flag_of(name);
    Option& option = custom(
        name, "F", help,
        [&value, range, flag](const std::string& text) {
            const double parsed = parse_fraction(flag, text);
            refuse_outside(flag, text, parsed, range);
            value = parsed;
        },
        [&value] { return parameter(value); });
    option.values = fmt::format("{} to {}, also as 8/255", range.low, range.high);
    option.check = [&value, range, flag] {
        refuse_outside(flag, fmt::format("{}", value), value, range);
    };
    return option;
}

Option& Options::fractions(const std::string& name, std::vector<double>& values,
                           Range<double> range, const std::string& help) {
    const std::string flag = flag_of(name);
    Option& option = custom(
        name, "F,F,...", help,
        [&values, range, flag](const std::string& text) {
            const std::vector<double> parsed = parse_fractions(flag, text);
            for (const double value : parsed) {
                refuse_outside(flag, fmt::format("{}", value), value, range);
            }
            values = parsed;
        },
        [&values]() -> ParameterValue { return fmt::format("{}", fmt::join(values, ",")); });
    option.values = fmt::format("{} to {}, also as 8/255, with commas", range.low, range.high);
    option.check = [&values, range, flag] {
        for (const double value : values) {
            refuse_outside(flag, fmt::format("{}", value), value, range);
        }
    };
    return option;
}

Option& Options::toggle(const std::string& name, bool& value, const std::string& help) {
    return custom(
        name, "", help,
        [&value, flag = flag_of(name)](const std::string& text) {
            if (text != "true" && text != "false") {
                throw std::invalid_argument(
                    fmt::format("{}: '{}' is neither true nor false", flag, text));
            }
            value = text == "true";
        },
        [&value]() -> ParameterValue { return value; });
}

Option& Options::text(const std::string& name, std::string& value, const std::string& placeholder,
                      const std::string& help) {
    return custom(
        name, placeholder, help,
        [&value, flag = flag_of(name)](const std::string& text) {
            refuse_empty(flag, text);
            value = text;
        },
        [&value]() -> ParameterValue { return value; });
}

Option& Options::path(const std::string& name, std::filesystem::path& value,
                      const std::string& placeholder, const std::string& help) {
    return custom(
        name, placeholder, help,
        [&value, flag = flag_of(name)](const std::string& text) {
            refuse_empty(flag, text);
            value = text;
        },
        [&value]() -> ParameterValue { return value.string(); });
}

Option& Options::list(const std::string& name, std::vector<std::string>& values,
                      const std::string& placeholder, const std::string& help) {
    return custom(
        name, placeholder, help,
        [&values, flag = flag_of(name)](const std::string& text) {
            std::error_code ignored; // a comma may stand in a path, too
            const std::vector<std::string> parts = std::filesystem::exists(text, ignored)
                                                       ? std::vector<std::string>{text}
                                                       : split_at_commas(text);
            for (const std::string& part : parts) {
                if (part.empty()) {
                    throw std::invalid_argument(fmt::format(
                        "{} '{}': an entry is empty; give names with commas between them", flag,
                        text));
                }
            }
            values = parts;
        },
        [&values]() -> ParameterValue { return fmt::format("{}", fmt::join(values, ",")); });
}

Option& Options::widths(const std::string& name, std::vector<std::int64_t>& values,
                        const std::string& help) {
    const std::string flag = flag_of(name);
    Option& option = custom(
        name, "LIST", help,
        [&values, flag](const std::string& text) { values = parse_widths(flag, text); },
        [&values]() -> ParameterValue { return fmt::format("{}", fmt::join(values, ",")); });
    option.check = [&values, flag] {
        if (!values.empty()) {
            (void)parse_widths(flag, fmt::format("{}", fmt::join(values, ",")));
        }
    };
    return option;
}

Option& Options::argument(const std::string& name, std::string& value, const std::string& help) {
    Option option{.name = name, .help = help, .placeholder = " "};
    option.positional = option.required = true;
    option.recorded = false;
    option.set = [&value, name](const std::string& text) {
        refuse_empty(name, text);
        value = text;
    };
    return add(std::move(option));
}

Option& Options::arguments(const std::string& name, std::vector<std::string>& values,
                           const std::string& help) {
    Option option{.name = name, .help = help, .placeholder = "..."};
    option.positional = option.repeated = option.required = true;
    option.recorded = false;
    option.set = [&values, name](const std::string& text) {
        refuse_empty(name, text);
        values.push_back(text);
    };
    return add(std::move(option));
}

const Option* Options::find(const std::string& name) const {
    const auto found = std::find_if(options_.begin(), options_.end(),
                                    [&](const Option& option) { return option.name == name; });
    return found == options_.end() ? nullptr : &*found;
}

void Options::apply(const Given& given) {
    for (const auto& [name, texts] : given) {
        if (!find(name)) {
            throw std::invalid_argument(flag_of(name) + ": there is no such option");
        }
    }
    for (Option& option : options_) {
        if (const auto texts = given.find(option.name); texts != given.end()) {
            for (const std::string& text : texts->second) {
                option.set(text);
            }
        }
    }
}

void Options::apply(const Preset& preset, const Given& given) {
    Given settings;
    for (const auto& [name, text] : preset.settings) {
        settings[name] = {text};
    }
    for (const Option& option : options_) {
        for (const std::string& other : option.replaces) {
            if (given.contains(option.name)) {
                settings.erase(other);
            }
        }
    }
    apply(settings);
}

void Options::refuse_contradictions(const Given& given, const Given& beside) const {
    for (const auto& names : exclusive_) {
        std::string first;
        for (const std::string& name : names) {
            if (!given.contains(name)) {
                continue;
            }
            if (!first.empty()) {
                throw std::invalid_argument(
                    fmt::format("{} excludes {}; give one of them", flag_of(name), flag_of(first)));
            }
            first = name;
        }
    }
    for (const Option& option : options_) {
        for (const std::string& other : option.needs) {
            if (given.contains(option.name) && !given.contains(other) && !beside.contains(other)) {
                throw std::invalid_argument(fmt::format("{} requires {}; give both, or neither",
                                                        option.flag(), flag_of(other)));
            }
        }
    }
}

void Options::refuse_without_use(const Given& given, const Preset& preset) const {
    for (const auto& [name, other] : without_use_) {
        const bool set = std::any_of(preset.settings.begin(), preset.settings.end(),
                                     [&other](const auto& one) { return one.first == other; });
        if (set && given.contains(name)) {
            throw std::invalid_argument(
                fmt::format("{} has no use beside {}, which --preset {} sets; leave one out",
                            flag_of(name), flag_of(other), preset.name));
        }
    }
}

void Options::give_way(Given& weaker, const Given& stronger) const {
    for (const auto& names : exclusive_) {
        for (const std::string& name : names) {
            if (std::any_of(names.begin(), names.end(), [&](const std::string& other) {
                    return other != name && stronger.contains(other);
                })) {
                weaker.erase(name);
            }
        }
    }
}

void Options::check() const {
    for (const Option& option : options_) {
        if (option.check) {
            option.check();
        }
    }
}

Parameters Options::parameters() const {
    Parameters parameters;
    for (const Option& option : options_) {
        if (option.recorded) {
            parameters.emplace_back(option.name, option.get());
        }
    }
    return parameters;
}

std::vector<std::string> Options::may_change() const {
    std::vector<std::string> names;
    for (const Option& option : options_) {
        if (option.may_change) {
            names.push_back(option.name);
        }
    }
    return names;
}

std::string shortened(const std::string& text) {
    std::string result;
    for (const std::string& part : split_at_commas(text)) {
        double number = 0;
        const bool long_number = part.size() > 8 && parse_number(part, number);
        result +=
            (result.empty() ? "" : ",") + (long_number ? fmt::format("{:.6g}", number) : part);
    }
    return result;
}

double parse_fraction(const std::string& option, const std::string& text) {
    const std::size_t slash = text.find('/');
    double numerator = 0;
    double denominator = 1;
    if (!parse_number(text.substr(0, slash), numerator) ||
        (slash != std::string::npos && !parse_number(text.substr(slash + 1), denominator)) ||
        !(denominator > 0) || !std::isfinite(numerator / denominator)) {
        throw std::invalid_argument(
            fmt::format("{}: '{}' is not a number; write it like 0.03 or 8/255", option, text));
    }
    return numerator / denominator;
}

std::vector<double> parse_fractions(const std::string& option, const std::string& text) {
    std::vector<double> values;
    for (const std::string& part : split_at_commas(text)) {
        values.push_back(parse_fraction(option, part));
    }
    return values;
}

std::vector<std::int64_t> parse_widths(const std::string& option, const std::string& text) {
    std::vector<std::int64_t> widths;
    for (const std::string& part : split_at_commas(text)) {
        std::int64_t width = 0;
        if (!parse_number(part, width)) {
            throw std::invalid_argument(
                fmt::format("{} {}: not a list of widths; write it as 256,256", option, text));
        }
        widths.push_back(width);
    }
    if (widths.size() > 16 || std::any_of(widths.begin(), widths.end(), [](std::int64_t width) {
            return width < 1 || width > 65536;
        })) {
        throw std::invalid_argument(fmt::format(
            "{} {}: out of range; give 1 to 16 widths, each from 1 to 65536", option, text));
    }
    return widths;
}

std::vector<std::string> split_at_commas(const std::string& text) {
    std::vector<std::string> parts;
    for (std::size_t begin = 0; begin <= text.size();) {
        const std::size_t end = std::min(text.find(',', begin), text.size());
        parts.push_back(text.substr(begin, end - begin));
        begin = end + 1;
    }
    return parts;
}

} // namespace patchforge
