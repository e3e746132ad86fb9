#include "host/model/brought_in.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cctype>
#include <cmath>
#include <cstring>
#include <set>
#include <stdexcept>

#include "data/half_float.h"
#include "host/files/tensor_facts.h"
#include "host/network/network.h"
#include "host/options/options.h"

namespace patchforge {

namespace {

constexpr const char* counter = "num_batches_tracked";

// Role in its module ("weight", "running_mean", ...) and shape of each tensor.
using Roles = std::map<std::string, std::vector<std::int64_t>>;

struct Module {
    std::string name;
    Roles roles{};
};

std::pair<std::string, std::string> parted(const std::string& tensor) {
    const std::size_t dot = tensor.rfind('.');
    return dot == std::string::npos ? std::pair(std::string(), tensor)
                                    : std::pair(tensor.substr(0, dot), tensor.substr(dot + 1));
}

std::string joined(const std::string& module, const std::string& role) {
    return module.empty() ? role : module + "." + role;
}

// In the order of their first tensors.
std::vector<Module> modules_of(const TensorFile& file) {
    std::vector<Module> modules;
    for (const Tensor& tensor : file.tensors) {
        const auto [name, role] = parted(tensor.name);
        if (role == counter) {
            continue;
        }
        const auto known = std::ranges::find(modules, name, &Module::name);
        Module& module = known == modules.end() ? modules.emplace_back(Module{name}) : *known;
        module.roles[role] = tensor.shape;
    }
    return modules;
}

// "layer10.conv2" -> {10, 2}, and what is left: "layer.conv".
std::vector<std::uint64_t> numbers_in(const std::string& name) {
    std::vector<std::uint64_t> numbers;
    bool inside = false;
    for (const char c : name) {
        const bool digit = std::isdigit(static_cast<unsigned char>(c)) != 0;
        if (digit) {
            numbers.resize(numbers.size() + (inside ? 0 : 1));
            numbers.back() = 10 * numbers.back() + static_cast<std::uint64_t>(c - '0');
        }
        inside = digit;
    }
    return numbers;
}

std::string words_in(std::string name) {
    std::erase_if(name, [](char c) { return std::isdigit(static_cast<unsigned char>(c)) != 0; });
    return name;
}

std::string text_of(const Roles& roles) {
    std::vector<std::string> parts;
    for (const auto& [role, shape] : roles) {
        parts.push_back(fmt::format("{} [{}]", role, fmt::join(shape, ", ")));
    }
    return fmt::format("{}", fmt::join(parts, " and "));
}

std::string names_of(const std::vector<Module>& modules) {
    std::vector<std::string> names;
    for (const Module& module : modules) {
        names.push_back(module.name.empty() ? "(no name)" : module.name);
    }
    return names.empty() ? "none" : fmt::format("{}", fmt::join(names, ", "));
}

std::vector<Module> with_roles(const std::vector<Module>& modules, const Roles& roles) {
    std::vector<Module> alike;
    std::ranges::copy_if(modules, std::back_inserter(alike),
                         [&](const Module& module) { return module.roles == roles; });
    return alike;
}

// One number, or a list in brackets or without: "0.485, 0.456, 0.406".
std::vector<double> numbers_of(const TensorFile& file, const char* key) {
    const auto found = file.metadata.find(key);
    if (found == file.metadata.end()) {
        return {};
    }
    std::string text = found->second;
    std::erase_if(text, [](char c) { return c == '[' || c == ']' || c == ' '; });
    try {
        return parse_fractions(key, text);
    } catch (const std::invalid_argument&) {
        throw std::runtime_error(fmt::format("{}: its metadata has '{}' for {}; write numbers with "
                                             "commas there, one a channel",
                                             file.name, found->second, key));
    }
}

// One number for each channel.
std::vector<float> of_channels(std::vector<double> numbers, int channels, const std::string& what) {
    if (numbers.size() == 1) {
        numbers.resize(static_cast<std::size_t>(channels), numbers.front());
    }
    if (std::ssize(numbers) != channels) {
        throw std::runtime_error(
            fmt::format("{}: mean and std have {} numbers, its pictures {} channels; give one a "
                        "channel, or one for all",
                        what, numbers.size(), channels));
    }
    return {numbers.begin(), numbers.end()};
}

template <class T>
T value_at(const Tensor& tensor, std::size_t i) {
    T value;
    std::memcpy(&value, tensor.bytes.data() + i * sizeof value, sizeof value);
    return value;
}

// Weights of half or double precision as float32; of whole numbers as they are, which no layer takes.
Tensor as_float32(const Tensor& tensor, const std::string& name, const std::string& file) {
    if (tensor.dtype != "F16" && tensor.dtype != "BF16" && tensor.dtype != "F64") {
        Tensor same = tensor;
        same.name = name;
        return same;
    }
    std::vector<float> values(static_cast<std::size_t>(tensor.size()));
    for (std::size_t i = 0; i < values.size(); ++i) {
        values[i] =
            tensor.dtype == "F16" ? half_float(value_at<std::uint16_t>(tensor, i))
            : tensor.dtype == "BF16"
                ? std::bit_cast<float>(std::uint32_t{value_at<std::uint16_t>(tensor, i)} << 16)
                : static_cast<float>(value_at<double>(tensor, i));
        if (!std::isfinite(values[i])) {
            throw std::runtime_error(fmt::format("{}: the tensor '{}' is too large for float32 at "
                                                 "element {}; take other weights",
                                                 file, tensor.name, i));
        }
    }
    return make_f32(name, tensor.shape, values.data());
}

bool is_half(const std::vector<double>& numbers) {
    return std::ranges::all_of(numbers, [](double number) { return number == 0.5; });
}

} // namespace

void ModelReading::refuse_unheeded() const {
    if (!network.empty() && !heeded) {
        throw std::invalid_argument(
            "--network: every model given says itself what its network is; leave the option out");
    }
}

Option& describe(Options& options, ModelReading& reading) {
    options.group("Models brought in");
    Option& network =
        options.text("network", reading.network, "TEXT",
                     "the network of weights that do not say it, written by another program: "
                     "'3x50x50; 7500>64 relu; 64>2' (docs/bring-your-own-model.md)");
    options
        .fractions("mean", reading.mean, {0, 1},
                   "with --std: such a network reads (x - mean) / std of pixels x in [0, 1]; a "
                   "number a channel, or one; 2x - 1 without")
        .beside("std")
        .beside("network");
    options.fractions("std", reading.deviation, {1e-4, 100}, "see --mean").beside("mean");
    options
        .list("class_names", reading.class_names, "LIST",
              "the classes of such a network in the order of its outputs; 0,1,... without")
        .beside("network");
    return network;
}

std::map<std::string, std::string> names_by_order(const TensorFile& file,
                                                  const TensorFile& wanted) {
    std::map<std::string, std::string> names;
    const auto counted = std::ranges::count_if(
        file.tensors, [](const Tensor& tensor) { return parted(tensor.name).second != counter; });
    if (counted == std::ssize(wanted.tensors) &&
        std::ranges::all_of(wanted.tensors,
                            [&](const Tensor& tensor) { return file.has(tensor.name); })) {
        for (const Tensor& tensor : wanted.tensors) {
            names[tensor.name] = tensor.name;
        }
        return names;
    }
    const std::vector<Module> held = modules_of(file), needed = modules_of(wanted);
    for (const Module& module : held) {
        if (with_roles(needed, module.roles).empty()) {
            std::set<std::string> texts;
            for (const Module& one : needed) {
                texts.insert(text_of(one.roles));
            }
            throw std::runtime_error(
                fmt::format("{}: the network has no layer for {}: {}; its layers hold {}",
                            file.name, module.name, text_of(module.roles), fmt::join(texts, "; ")));
        }
    }
    for (const Module& module : needed) {
        std::vector<Module> alike = with_roles(held, module.roles);
        const std::vector<Module> places = with_roles(needed, module.roles);
        if (alike.size() != places.size()) {
            throw std::runtime_error(fmt::format(
                "{}: holds {} modules of {} ({}), the network has {}; give the network that the "
                "weights are of",
                file.name, alike.size(), text_of(module.roles), names_of(alike), places.size()));
        }
        std::ranges::stable_sort(alike, {}, [](const Module& m) { return numbers_in(m.name); });
        for (const Module& other : alike) {
            if (words_in(other.name) != words_in(alike.front().name)) {
                throw std::runtime_error(
                    fmt::format("{}: {} and {} have equal shapes, and their names do not say which "
                                "comes first; export it with numbered names "
                                "(docs/bring-your-own-model.md)",
                                file.name, alike.front().name, other.name));
            }
        }
        const auto place = std::ranges::find(places, module.name, &Module::name) - places.begin();
        for (const auto& [role, shape] : module.roles) {
            names[joined(module.name, role)] = joined(alike[place].name, role);
        }
    }
    return names;
}

std::string BroughtIn::sees() const {
    const auto text = [](const std::vector<double>& numbers) {
        return numbers.size() == 1 ? fmt::format("{}", numbers.front())
                                   : fmt::format("({})", fmt::join(numbers, ", "));
    };
    return mean.empty() ? "2x - 1" : fmt::format("(x - {}) / {}", text(mean), text(deviation));
}

BroughtIn bring_in(Backend& backend, const TensorFile& file, const ModelReading& reading) {
    const auto said = file.metadata.find("network");
    BroughtIn model{};
    model.by_options = said == file.metadata.end();
    if (model.by_options && reading.network.empty()) {
        throw std::runtime_error(fmt::format("{}: does not say what its network is, and "
                                             "activations cannot be read from weights; give "
                                             "its text to `attack`, `classify`, `evade`, "
                                             "`evaluate` or `import`: --network '3x50x50; "
                                             "7500>64 relu; 64>2' (docs/bring-your-own-model.md)",
                                             file.name));
    }
    reading.heeded = reading.heeded || model.by_options;
    try {
        model.shape =
            network_shape_from_description(model.by_options ? reading.network : said->second);
    } catch (const std::runtime_error& error) {
        throw std::runtime_error((model.by_options ? "--network" : file.name) + ": " +
                                 error.what());
    }
    model.file.name = file.name;
    model.file.metadata = file.metadata;
    model.held_as = names_by_order(file, Network(backend, model.shape).weights());
    for (const auto& [name, held] : model.held_as) {
        model.file.tensors.push_back(as_float32(file.at(held), name, file.name));
    }
    model.mean = numbers_of(file, "mean");
    model.deviation = numbers_of(file, "std");
    if (model.by_options && !reading.mean.empty()) {
        model.mean = reading.mean;
        model.deviation = reading.deviation;
    }
    if (model.by_options && !reading.class_names.empty()) {
        model.file.metadata["classes"] = names_entry(reading.class_names);
    }
    if (std::ranges::any_of(model.deviation, [](double number) { return number < 1e-4; })) {
        throw std::runtime_error(
            fmt::format("{}: its std ({}) is below 0.0001 in a channel; pixels are divided by it",
                        file.name, fmt::join(model.deviation, ", ")));
    }
    if (model.mean.empty() != model.deviation.empty()) {
        throw std::runtime_error(
            fmt::format("{}: its metadata has one of mean and std; write both there", file.name));
    }
    return model;
}

void normalise_input(BroughtIn& model, Extent pictures) {
    if (is_half(model.mean) && is_half(model.deviation)) {
        return;
    }
    const std::vector<float> mean = of_channels(model.mean, pictures.channels, model.file.name);
    const std::vector<float> deviation =
        of_channels(model.deviation, pictures.channels, model.file.name);
    int module = 0;
    std::string name = "normalised";
    for (const LayerShape& layer : model.shape.layers) {
        module = std::max(module, layer.module_index + 2);
        name += layer.name.starts_with(name) ? "_" : "";
    }
    NetworkShape front = network_shape_from_description(
        fmt::format("{}; depthwise k1 fixed as={} @{}", pictures.text(), name, module));
    for (LayerShape& layer : model.shape.layers) {
        for (int& source : layer.from) {
            ++source;
        }
        front.layers.push_back(std::move(layer));
    }
    model.shape = std::move(front);
    // (x - mean) / deviation of u = 2x - 1.
    std::vector<float> weight, bias;
    for (std::size_t c = 0; c < mean.size(); ++c) {
        weight.push_back(1 / (2 * deviation[c]));
        bias.push_back((1 - 2 * mean[c]) / (2 * deviation[c]));
    }
    const LayerShape& layer = model.shape.layers.front();
    const auto count = static_cast<std::int64_t>(bias.size());
    model.file.tensors.push_back(
        make_f32(layer.weight_name(), layer.weight_shape(), weight.data()));
    model.file.tensors.push_back(make_f32(layer.bias_name(), {count}, bias.data()));
}

} // namespace patchforge
