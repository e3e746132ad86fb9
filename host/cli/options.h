// Options that several verbs share, and the ways in which every option is added: each shows its
// default and range in the help and refuses what lies outside before any work starts.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/backend.h"

namespace CLI {
class App;
class Option;
} // namespace CLI

namespace patchforge {

// `value` holds the default. T: int, std::int64_t, std::uint64_t, float or double. NaN is refused.
template <class T>
CLI::Option* add_number(CLI::App& app, const std::string& flags, T& value, const std::string& text,
                        T low, T high);

// One of `choices`.
CLI::Option* add_choice(CLI::App& app, const std::string& flags, std::string& value,
                        const std::string& text, const std::vector<std::string>& choices);

// A file, folder or other text; `placeholder` stands for it in the help: FOLDER, FILE, ...
CLI::Option* add_text(CLI::App& app, const std::string& flags, std::string& value,
                      const std::string& text, const std::string& placeholder);

CLI::Option* add_switch(CLI::App& app, const std::string& flags, bool& value,
                        const std::string& text);

// Refuses a call that gives more than one of these options of `app`.
void only_one_of(CLI::App& app, const std::vector<std::string>& options);
// Refuses `option` where `other` is not given: it would do nothing.
void only_beside(CLI::App& app, const std::string& option, const std::string& other);

// "0.03", "8/255": each in [low, high].
CLI::Option* add_fraction(CLI::App& app, const std::string& flags, double& value,
                          const std::string& text, double low, double high);
// "0,2/255,8/255"
CLI::Option* add_fractions(CLI::App& app, const std::string& flags, std::vector<double>& values,
                           const std::string& text, double low, double high);

// A number or a quotient of two. Throws std::invalid_argument beginning with `option`.
double parse_fraction(const std::string& option, const std::string& text);
std::vector<double> parse_fractions(const std::string& option, const std::string& text);

struct DataOptions {
    std::string data; // a folder of patches or a .pfs file
    std::string part = "all";
    int channels = 3;
    std::string odd_size = "skip";
    bool strict = false;
};
// Without `data` itself, for verbs that name the folder otherwise.
void add_reading_options(CLI::App& app, DataOptions& options);
void add_data_options(CLI::App& app, DataOptions& options, bool required = true);

struct DeviceOptions {
    std::string device = "auto";
    BackendOptions backend;
};
void add_threads_option(CLI::App& app, int& threads);
void add_precision_option(CLI::App& app, Precision& precision);
void add_gemm_option(CLI::App& app, Gemm& gemm);
void add_device_options(CLI::App& app, DeviceOptions& options);

} // namespace patchforge
