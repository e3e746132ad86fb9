#include "host/cli/options.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

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
T number_in_range(const std::string& option, const std::string& text, T low, T high) {
    T value{};
    if (!parse_number(text, value)) {
        throw std::invalid_argument(
            fmt::format("{}: '{}' is not a {}; give one from {} to {}", option, text,
                        std::is_integral_v<T> ? "whole number that fits" : "number", low, high));
    }
    if (!(value >= low && value <= high)) {
        throw std::invalid_argument(fmt::format(
            "{}: {} is out of range; give a number from {} to {}", option, text, low, high));
    }
    return value;
}

double fraction_in_range(const std::string& option, const std::string& text, double low,
                         double high) {
    const double value = parse_fraction(option, text);
    if (!(value >= low && value <= high)) {
        throw std::invalid_argument(fmt::format(
            "{}: {} is out of range; give a number from {} to {}", option, text, low, high));
    }
    return value;
}

// The name that errors call the option by: the long one.
std::string name_of(const std::string& flags) {
    const std::size_t comma = flags.rfind(',');
    return comma == std::string::npos ? flags : flags.substr(comma + 1);
}

CLI::Option* add_parsed(CLI::App& app, const std::string& flags, const std::string& text,
                        const std::string& placeholder,
                        const std::function<void(const std::string&)>& parse) {
    return app.add_option_function<std::string>(flags, parse, text)->option_text(placeholder);
}

} // namespace

template <class T>
CLI::Option* add_number(CLI::App& app, const std::string& flags, T& value, const std::string& text,
                        T low, T high) {
    const std::string help = fmt::format("{} ({} to {}; default {})", text, low, high, value);
    return add_parsed(app, flags, help, "N", [&value, flags, low, high](const std::string& given) {
        value = number_in_range(name_of(flags), given, low, high);
    });
}
template CLI::Option* add_number(CLI::App&, const std::string&, int&, const std::string&, int, int);
template CLI::Option* add_number(CLI::App&, const std::string&, std::int64_t&, const std::string&,
                                 std::int64_t, std::int64_t);
template CLI::Option* add_number(CLI::App&, const std::string&, std::uint64_t&, const std::string&,
                                 std::uint64_t, std::uint64_t);
template CLI::Option* add_number(CLI::App&, const std::string&, float&, const std::string&, float,
                                 float);
template CLI::Option* add_number(CLI::App&, const std::string&, double&, const std::string&, double,
                                 double);

CLI::Option* add_choice(CLI::App& app, const std::string& flags, std::string& value,
                        const std::string& text, const std::vector<std::string>& choices) {
    const std::string help = fmt::format("{} (default {})", text, value);
    return add_parsed(app, flags, help, fmt::format("{}", fmt::join(choices, "|")),
                      [&value, flags, choices](const std::string& given) {
                          if (std::find(choices.begin(), choices.end(), given) == choices.end()) {
                              throw std::invalid_argument(
                                  fmt::format("{}: '{}' is not known; choose one of {}",
                                              name_of(flags), given, fmt::join(choices, ", ")));
                          }
                          value = given;
                      });
}

CLI::Option* add_text(CLI::App& app, const std::string& flags, std::string& value,
                      const std::string& text, const std::string& placeholder) {
    const std::string help = value.empty() ? text : fmt::format("{} (default {})", text, value);
    return app.add_option(flags, value, help)->option_text(placeholder);
}

CLI::Option* add_switch(CLI::App& app, const std::string& flags, bool& value,
                        const std::string& text) {
    return app.add_flag(flags, value, text);
}

CLI::Option* add_fraction(CLI::App& app, const std::string& flags, double& value,
                          const std::string& text, double low, double high) {
    const std::string help =
        fmt::format("{} ({} to {}, also as 8/255; default {:.6g})", text, low, high, value);
    return add_parsed(app, flags, help, "F", [&value, flags, low, high](const std::string& given) {
        value = fraction_in_range(name_of(flags), given, low, high);
    });
}

CLI::Option* add_fractions(CLI::App& app, const std::string& flags, std::vector<double>& values,
                           const std::string& text, double low, double high) {
    const std::string help =
        fmt::format("{} ({} to {}, also as 8/255, separated by commas; default {:.6g})", text, low,
                    high, fmt::join(values, ","));
    return add_parsed(
        app, flags, help, "F,F,...", [&values, flags, low, high](const std::string& given) {
            values = parse_fractions(name_of(flags), given);
            for (const double value : values) {
                fraction_in_range(name_of(flags), fmt::format("{}", value), low, high);
            }
        });
}

double parse_fraction(const std::string& option, const std::string& text) {
    const std::size_t slash = text.find('/');
    double numerator = 0;
    double denominator = 1;
    if (!parse_number(text.substr(0, slash), numerator) ||
        (slash != std::string::npos && !parse_number(text.substr(slash + 1), denominator)) ||
        !std::isfinite(numerator / denominator)) {
        throw std::invalid_argument(
            fmt::format("{}: '{}' is not a number; write it like 0.03 or 8/255", option, text));
    }
    return numerator / denominator;
}

std::vector<double> parse_fractions(const std::string& option, const std::string& text) {
    std::vector<double> values;
    for (std::size_t begin = 0; begin <= text.size();) {
        const std::size_t end = std::min(text.find(',', begin), text.size());
        values.push_back(parse_fraction(option, text.substr(begin, end - begin)));
        begin = end + 1;
    }
    return values;
}

void add_reading_options(CLI::App& app, DataOptions& options) {
    add_choice(app, "--part", options.part, "of a folder with train/ and test/, or of MNIST",
               {"all", "train", "test", "validation"})
        ->group("Data");
    add_choice(app, "--odd-size", options.odd_size, "what becomes of patches of another size",
               {"skip", "pad", "resize"})
        ->group("Data");
    app.add_option_function<int>(
           "--channels",
           [&options](int given) {
               if (given != 1 && given != 3) {
                   throw std::invalid_argument(fmt::format(
                       "--channels: {} is not possible; give 3 (RGB) or 1 (grey)", given));
               }
               options.channels = given;
           },
           fmt::format("3 is RGB, 1 grey (default {})", options.channels))
        ->option_text("3|1")
        ->group("Data");
    add_switch(app, "--strict", options.strict, "odd and unreadable files are an error")
        ->group("Data");
}

void add_data_options(CLI::App& app, DataOptions& options, bool required) {
    add_text(app, "--data", options.data,
             required ? "folder of patches or .pfs file (required)"
                      : "folder of patches or .pfs file",
             "FOLDER|FILE")
        ->required(required)
        ->group("Data");
    add_reading_options(app, options);
}

void add_threads_option(CLI::App& app, int& threads) {
    add_number(app, "--threads", threads,
               "on the CPU; 0 is one a core; results do not depend on it", 0, 1024)
        ->group("Device");
}

void add_precision_option(CLI::App& app, Precision& precision) {
    add_parsed(app, "--precision",
               fmt::format("of the products of linear layers of more than 8 rows: their operands "
                           "rounded, sums in float32 (default {})",
                           precision_name(precision)),
               fmt::format("{}", fmt::join(precision_names(), "|")),
               [&precision](const std::string& given) { precision = parse_precision(given); })
        ->group("Device");
}

void add_gemm_option(CLI::App& app, Gemm& gemm) {
    add_parsed(
        app, "--gemm",
        fmt::format("what multiplies matrices on a GPU; cublas must be installed (default {})",
                    gemm_name(gemm)),
        fmt::format("{}", fmt::join(gemm_names(), "|")),
        [&gemm](const std::string& given) { gemm = parse_gemm(given); })
        ->group("Device");
}

void add_device_options(CLI::App& app, DeviceOptions& options) {
    add_text(app, "--device", options.device,
             "auto takes a usable GPU, else the CPU; cuda:N is the N-th GPU", "auto|cpu|cuda[:N]")
        ->group("Device");
    add_threads_option(app, options.backend.threads);
    add_precision_option(app, options.backend.precision);
    add_gemm_option(app, options.backend.gemm);
    add_switch(app, "--overlap-launches", options.backend.overlap_launches,
               "on a GPU of compute capability 9.0: start a recorded kernel while the one before "
               "still runs; results do not depend on it")
        ->group("Device");
}

void only_one_of(CLI::App& app, const std::vector<std::string>& options) {
    for (std::size_t i = 0; i < options.size(); ++i) {
        for (std::size_t j = i + 1; j < options.size(); ++j) {
            app.get_option(options[i])->excludes(app.get_option(options[j]));
        }
    }
}

void only_beside(CLI::App& app, const std::string& option, const std::string& other) {
    app.get_option(option)->needs(app.get_option(other));
}

} // namespace patchforge
