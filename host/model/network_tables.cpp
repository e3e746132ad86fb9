#include "host/model/network_tables.h"

#include <fmt/format.h>

#include <algorithm>

#include "host/files/entries.h"
#include "host/files/safetensors.h"
#include "host/network/layer_facts.h"
#include "host/run/run_folder.h"

namespace patchforge {

namespace {

struct Named {
    std::string names, text;
};

// By the files' names.
std::vector<Named> networks_of(const std::filesystem::path& checkpoint) {
    std::vector<Named> networks;
    for (const std::filesystem::path& file : entries_of(checkpoint, "", ".safetensors")) {
        const TensorFile content = read_unchecked_safetensors(file); // a run may have diverged
        const auto text = content.metadata.find("network");
        if (text == content.metadata.end()) {
            continue;
        }
        const auto same = std::ranges::find(networks, text->second, &Named::text);
        if (same == networks.end()) {
            networks.push_back({file.stem().string(), text->second});
        } else {
            same->names += ", " + file.stem().string();
        }
    }
    return networks;
}

// In millions, so that a column has one unit.
std::string millions(double operations) {
    return operations == 0    ? "–"
           : operations < 1e9 ? fmt::format("{:.3g}", operations * 1e-6)
                              : fmt::format("{:.0f}", operations * 1e-6);
}

} // namespace

void add_network_tables(Report& report, const std::filesystem::path& run) {
    const std::optional<Checkpoint> newest = latest_checkpoint(run);
    const std::vector<Named> networks = newest ? networks_of(newest->folder) : std::vector<Named>{};
    if (networks.empty()) {
        return;
    }
    report.subsection("Networks");
    for (const auto& [names, text] : networks) {
        const NetworkShape shape = network_shape_from_description(text);
        std::vector<std::vector<std::string>> rows;
        double operations = 0;
        for (const LayerFacts& layer : layer_facts(shape)) {
            operations += layer.operations;
            rows.push_back({layer.text, layer.gives(),
                            layer.parameters == 0 ? "–" : fmt::format("{}", layer.parameters),
                            millions(layer.operations)});
        }
        rows.push_back(
            {"all", "", fmt::format("{}", shape.parameter_count()), millions(operations)});
        report.table(fmt::format("{}: reads {}", names,
                                 shape.in.plane() > 1 ? shape.in.text()
                                                      : fmt::format("{} numbers", shape.inputs())),
                     {"layer", "gives", "parameters", "million operations"}, rows);
    }
    report.note(
        "Parameters are those that are trained. Operations are those of the products for one "
        "picture, a multiply-add counted as two; a dash is a layer without either.");
}

void add_parameters(Report& report, const std::string& of, const Parameters& parameters) {
    std::vector<std::pair<std::string, std::string>> facts;
    for (const auto& [name, value] : parameters) {
        facts.emplace_back(name, parameter_text(value));
    }
    report.settings(of, facts);
}

} // namespace patchforge
