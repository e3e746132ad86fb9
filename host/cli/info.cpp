// patchforge info: what a file or folder is, and its facts.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <memory>
#include <stdexcept>

#include "data/describe.h"
#include "data/escape.h"
#include "host/cli/json_output.h"
#include "host/cli/verbs.h"
#include "host/files/entries.h"
#include "host/files/safetensors.h"
#include "host/model/classifier_model.h"
#include "host/network/layer_facts.h"
#include "host/run/parameters_file.h"
#include "host/run/progress.h"
#include "host/run/run_folder.h"

namespace patchforge {

namespace {

namespace fs = std::filesystem;

std::string size_text(std::uint64_t bytes) {
    return bytes < 10'000 ? fmt::format("{} bytes", bytes)
                          : fmt::format("{:.1f} MB", static_cast<double>(bytes) / 1e6);
}

// How weights are read as a classifier's; every tensor that the file names otherwise.
void add_reading(Facts& facts, const TensorFile& file, const ModelReading& reading) {
    const auto backend = make_cpu_backend();
    const BroughtIn model = bring_in(*backend, file, reading);
    reading.refuse_unheeded();
    const ClassifierFormat format = ClassifierFormat::read(model.file, model.shape, file.name);
    facts.emplace_back("read as", describe(model.shape));
    facts.emplace_back("  pictures",
                       fmt::format("{} x {} x {}", format.channels, format.height, format.width));
    facts.emplace_back("  it sees", model.sees() + " of pixels x in [0, 1]");
    facts.emplace_back("  classes", fmt::format("{}{}", terminal_list(format.class_names),
                                                format.binary_head ? " (one logit)" : ""));
    for (const auto& [name, held] : model.held_as) {
        if (name != held) {
            facts.emplace_back("  " + held, "is its " + name);
        }
    }
}

// The network as a table. A text that says none is no reason to say nothing of the file.
void add_layers(Facts& facts, const std::string& text) {
    try {
        const NetworkShape shape = network_shape_from_description(text);
        facts.emplace_back("layers", fmt::format("{}, with {} parameters", shape.layers.size(),
                                                 shape.parameter_count()));
        int number = 0;
        for (const LayerFacts& layer : layer_facts(shape)) {
            facts.emplace_back(
                fmt::format("  {}", ++number),
                fmt::format(
                    "{} gives {}{}{}", layer.text, layer.gives(),
                    layer.parameters == 0 ? "" : fmt::format("; {} parameters", layer.parameters),
                    layer.operations == 0
                        ? ""
                        : fmt::format("; {:.0f} operations a row", layer.operations)));
        }
    } catch (const std::runtime_error& error) {
        facts.emplace_back("layers", error.what());
    }
}

Facts describe_weights(const fs::path& path, const ModelReading& reading) {
    const TensorFile file = read_safetensors(path);
    std::int64_t values = 0;
    for (const Tensor& tensor : file.tensors) {
        values += tensor.size();
    }
    Facts facts = {{"what", "safetensors file"},
                   {"size", size_text(fs::file_size(path))},
                   {"tensors", fmt::format("{} with {} values", file.tensors.size(), values)}};
    std::vector<const Tensor*> by_name;
    for (const Tensor& tensor : file.tensors) {
        by_name.push_back(&tensor);
    }
    std::sort(by_name.begin(), by_name.end(),
              [](const Tensor* a, const Tensor* b) { return a->name < b->name; });
    for (const Tensor* tensor : by_name) {
        facts.emplace_back("  " + tensor->name,
                           fmt::format("{} [{}]", tensor->dtype, fmt::join(tensor->shape, ", ")));
    }
    for (const auto& [key, value] : file.metadata) {
        facts.emplace_back("metadata " + key, value);
    }
    if (const auto text = file.metadata.find("network"); text != file.metadata.end()) {
        add_layers(facts, text->second);
    }
    if (!reading.network.empty() || file.metadata.contains("mean") ||
        file.metadata.contains("head")) {
        add_reading(facts, file, reading);
    } else if (!file.metadata.contains("network")) {
        facts.emplace_back("network", "not said; --network TEXT shows how it would be read");
    }
    return facts;
}

Facts describe_metrics(const fs::path& csv) {
    const Metrics metrics = read_metrics(csv);
    Facts facts = {{"metrics", fmt::format("{} rows", metrics.rows.size())}};
    if (!metrics.rows.empty()) {
        for (std::size_t i = 0; i < metrics.columns.size(); ++i) {
            facts.emplace_back("  last " + metrics.columns[i],
                               fmt::format("{:.7g}", metrics.rows.back()[i]));
        }
    }
    return facts;
}

Facts describe_run(const fs::path& run) {
    Facts facts = {{"what", fmt::format("run folder of `{}`", read_run_kind(run))}};
    for (const auto& [name, value] : read_parameters(run)) {
        facts.emplace_back("  " + name, parameter_text(value));
    }
    const std::vector<Checkpoint> checkpoints = list_checkpoints(run);
    std::vector<std::int64_t> steps;
    for (const Checkpoint& checkpoint : checkpoints) {
        steps.push_back(checkpoint.step);
    }
    facts.emplace_back("checkpoints", steps.empty()
                                          ? std::string("none")
                                          : fmt::format("of step {}", fmt::join(steps, ", ")));
    if (fs::exists(run / "metrics.csv")) {
        const Facts metrics = describe_metrics(run / "metrics.csv");
        facts.insert(facts.end(), metrics.begin(), metrics.end());
    }
    if (fs::exists(run / "report.html")) {
        facts.emplace_back("report", (run / "report.html").string());
    }
    return facts;
}

Facts describe_checkpoint(const std::vector<fs::path>& files) {
    Facts facts = {{"what", "folder of safetensors files"}};
    for (const fs::path& file : files) {
        const TensorFile content = read_safetensors(file);
        facts.emplace_back(
            "  " + file.filename().string(),
            fmt::format("{} tensors, {}", content.tensors.size(), size_text(fs::file_size(file))));
    }
    return facts;
}

// A table of results: its columns, or the keys of its first line, and how many rows.
Facts describe_lines(const fs::path& path) {
    std::ifstream file(path);
    std::string first;
    std::getline(file, first);
    std::int64_t lines = first.empty() ? 0 : 1;
    for (std::string line; std::getline(file, line);) {
        ++lines;
    }
    const bool csv = path.extension() == ".csv";
    return {{"what", csv ? "table" : "results, one JSON object a line"},
            {csv ? "columns" : "first line", first.substr(0, 200)},
            {csv ? "rows" : "lines",
             fmt::format("{}", csv ? std::max<std::int64_t>(lines - 1, 0) : lines)}};
}

// What `attack` and `evade` leave.
Facts describe_results(const fs::path& folder) {
    const bool attack = fs::exists(folder / "attack.json");
    Facts facts = {{"what", attack ? "results of `attack`" : "results of `evade`"}};
    for (const fs::path& entry : entries_of(folder)) {
        facts.emplace_back("  " + entry.filename().string(),
                           fs::is_directory(entry) ? "folder" : size_text(fs::file_size(entry)));
    }
    return facts;
}

Facts describe(const fs::path& path, const ModelReading& reading) {
    if (!fs::exists(path)) {
        throw std::runtime_error(
            fmt::format("{}: there is no such file or folder; check the path", path.string()));
    }
    if (is_run_folder(path)) {
        return describe_run(path);
    }
    if (const auto files = entries_of(path, "", ".safetensors"); !files.empty()) {
        return describe_checkpoint(files);
    }
    constexpr std::array weights = {".safetensors", ".pt", ".pth", ".ckpt", ".h5", ".onnx"};
    if (std::ranges::find(weights, path.extension()) != weights.end() &&
        fs::is_regular_file(path)) {
        return describe_weights(path, reading);
    }
    if (const std::string name = path.filename().string(); fs::is_regular_file(path)) {
        if (name == "params.json" && is_run_folder(path.parent_path())) {
            return describe_run(path.parent_path());
        }
        if (name == "metrics.csv") {
            return describe_metrics(path);
        }
        if (path.extension() == ".csv" || path.extension() == ".jsonl") {
            return describe_lines(path);
        }
        if (path.extension() == ".html" || path.extension() == ".json") {
            return {{"what", path.extension() == ".html" ? "report; open it in a browser"
                                                         : "results as JSON"},
                    {"size", size_text(fs::file_size(path))}};
        }
    }
    if (fs::exists(path / "attack.json") || fs::exists(path / "evasion.json")) {
        return describe_results(path);
    }
    if (path.filename().string().starts_with("events.out.tfevents.")) {
        return {{"what", "TensorBoard event file; see it with: tensorboard --logdir " +
                             path.parent_path().string()},
                {"size", size_text(fs::file_size(path))}};
    }
    if (is_data(path)) {
        return describe_data(path);
    }
    throw std::runtime_error(
        fmt::format("{}: this is none of patchforge's files or folders; give patches, a .pfs or "
                    ".safetensors file or a run folder",
                    path.string()));
}

// What is indented belongs to the fact before.
Json json_of(const std::string& path, const Facts& facts) {
    Json document = {{"path", path}};
    std::string of;
    for (const auto& [name, value] : facts) {
        if (name.starts_with("  ")) {
            document["parts"][of][name.substr(2)] = value;
        } else {
            document["facts"][name] = value;
            of = name;
        }
    }
    return document;
}

void run(const std::string& path, const ModelReading& reading, const Tell& tell) {
    const Facts facts = describe(path, reading);
    reading.refuse_unheeded();
    std::size_t widest = 0;
    for (const auto& [name, value] : facts) {
        widest = std::max(widest, name.size());
    }
    for (const auto& [name, value] : facts) {
        print_line(fmt::format("{:<{}}  {}", terminal_text(name), widest, terminal_text(value)));
    }
    tell(json_of(path, facts));
}

} // namespace

Verb info_verb() {
    struct InfoCall {
        std::string path;
        ModelReading reading;
    };
    auto call = std::make_shared<InfoCall>();
    Verb verb{.name = "info", .summary = "say what a file or folder is, and its facts"};
    verb.options.argument("path", call->path,
                          "patches, .pfs, .safetensors, a checkpoint, a run, results");
    verb.examples = {"info runs/gan", "info set.pfs"};
    answer_in_json(verb, [call](const Tell& tell) { run(call->path, call->reading, tell); });
    describe(verb.options, call->reading);
    return verb;
}

} // namespace patchforge
