#include "host/run/parameters_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <stdexcept>

#include "data/atomic_file.h"
#include "data/escape.h"
#include "host/files/json_file.h"

namespace patchforge {

namespace {

namespace fs = std::filesystem;

fs::path parameters_file_of(const fs::path& run) {
    return run / "params.json";
}

Json read_file(const fs::path& file) {
    Json json = read_json(file);
    const Json *run = json.find("run"), *parameters = json.find("parameters");
    if (!run || !run->is_string() || !parameters || !parameters->is_object()) {
        throw std::runtime_error(fmt::format(
            "{}: it does not hold \"run\" and \"parameters\"; restore the file or start "
            "another run",
            file.string()));
    }
    return json;
}

fs::path existing_file_of(const fs::path& run) {
    if (!is_run_folder(run)) {
        throw std::runtime_error(fmt::format(
            "{}: this is not a run folder (it has no params.json); check the path", run.string()));
    }
    return parameters_file_of(run);
}

Json to_json(const ParameterValue& value) {
    const auto* text = std::get_if<std::string>(&value);
    return text ? Json(utf8_text(*text))
                : std::visit([](const auto& held) { return Json(held); }, value);
}

} // namespace

bool is_run_folder(const fs::path& path) {
    std::error_code ignored;
    return fs::is_regular_file(parameters_file_of(path), ignored);
}

std::string encode_parameters(const std::string& kind, const Parameters& parameters) {
    Json values = Json::object();
    for (const auto& [name, value] : parameters) {
        const double* number = std::get_if<double>(&value);
        if (values.contains(name) || (number && !std::isfinite(*number))) {
            throw std::invalid_argument(
                fmt::format("parameter {}: it is given twice or not finite; give it once", name));
        }
        values[name] = to_json(value);
    }
    return Json({{"run", kind}, {"parameters", values}}).dump(2) + '\n';
}

void write_parameters(const fs::path& run, const std::string& text) {
    if (!is_run_folder(run) || read_text(parameters_file_of(run)) != text) {
        write_file_atomically(parameters_file_of(run), std::string_view(text));
    }
}

std::string read_run_kind(const fs::path& run) {
    return read_file(existing_file_of(run)).at("run").string();
}

Parameters read_parameters(const fs::path& run) {
    return read_parameters_file(existing_file_of(run));
}

Parameters read_parameters_file(const fs::path& file) {
    Parameters parameters;
    const Json json = read_file(file);
    for (const auto& [name, value] : json.at("parameters").members()) {
        if (value.is_boolean()) {
            parameters.emplace_back(name, value.boolean());
        } else if (value.is_natural() && value.natural() > std::uint64_t{INT64_MAX}) {
            parameters.emplace_back(name, value.natural());
        } else if (value.is_integer()) {
            parameters.emplace_back(name, value.integer());
        } else if (value.is_number()) {
            parameters.emplace_back(name, value.number());
        } else if (value.is_string()) {
            parameters.emplace_back(name, value.string());
        } else {
            throw std::runtime_error(fmt::format(
                "{}: the parameter '{}' is neither number, text nor truth value; restore "
                "the file",
                file.string(), name));
        }
    }
    return parameters;
}

std::string parameter_difference(const Parameters& before, const Parameters& now,
                                 const ResumeRules& rules) {
    const auto text_in = [&](const Parameters& all, const std::string& name) -> std::string {
        const auto place = std::find_if(all.begin(), all.end(),
                                        [&](const auto& one) { return one.first == name; });
        if (place != all.end()) {
            return parameter_text(place->second);
        }
        const auto standard = rules.standard.find(name);
        return standard == rules.standard.end() ? "(absent)" : standard->second;
    };
    std::string difference;
    std::set<std::string> seen(rules.may_change.begin(), rules.may_change.end());
    for (const Parameters* all : {&before, &now}) {
        for (const auto& [name, value] : *all) {
            const std::string was = text_in(before, name);
            const std::string is = text_in(now, name);
            if (seen.insert(name).second && utf8_text(was) != utf8_text(is)) {
                difference += fmt::format("  {}: {} -> {}\n", name, was, is);
            }
        }
    }
    return difference;
}

} // namespace patchforge
