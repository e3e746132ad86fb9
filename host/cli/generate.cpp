// patchforge generate: fakes of a trained generator, as PNG files and as a grid.
#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <stdexcept>

#include "data/png.h"
#include "host/cli/checkpoint_option.h"
#include "host/cli/options.h"
#include "host/cli/verbs.h"
#include "host/files/safetensors.h"
#include "host/model/class_names.h"
#include "host/model/load_generator.h"
#include "host/run/image_grid.h"
#include "host/run/progress.h"

namespace patchforge {

namespace {

struct Call {
    DeviceOptions device;
    std::string run;
    std::string checkpoint = "latest";
    std::string weights;
    std::string latents;
    std::string out;
    std::string grid;
    std::string class_name;
    std::int64_t count = 64;
    std::uint64_t seed = 0;
    int nrow = 8;
};

// Number of the class that was asked for; -1: all of them, or none was.
std::int64_t class_of(const std::string& name, const GeneratorFormat& format) {
    if (name.empty()) {
        return -1;
    }
    const std::int32_t number = match_classes(std::span(&name, 1), format.classes).front();
    if (number >= 0 || (name == "all" && !format.classes.empty())) {
        return number;
    }
    throw std::invalid_argument(
        format.classes.empty()
            ? fmt::format(
                  "--class {}: this generator knows no classes; train one with --conditional", name)
            : fmt::format("--class {}: no such class; use all or one of {}", name,
                          fmt::join(format.classes, ", ")));
}

void run(const Call& call) {
    if (call.out.empty() && call.grid.empty()) {
        throw std::invalid_argument(
            "--out, --grid: nothing to write; give a folder, a grid or both");
    }
    if (call.run.empty() == call.weights.empty()) {
        throw std::invalid_argument(
            "--run, --weights: give one of them, a run folder or a generator's .safetensors file");
    }
    const auto backend = make_backend(call.device.device, call.device.backend);
    LoadedGenerator loaded(*backend, call.run.empty() ? call.weights : call.run,
                           checkpoint_from_name(call.checkpoint));
    ImageGenerator& generator = loaded.images();
    const std::int64_t label = class_of(call.class_name, generator.format());

    std::vector<float> latents;
    if (call.latents.empty()) {
        latents = generator.latents(call.count, call.seed, Purpose::generate, label);
    } else {
        const TensorFile codes = read_safetensors(call.latents);
        const Tensor& tensor = codes.at("latents");
        if (tensor.shape.size() != 2 || tensor.shape[1] != generator.latent_dim()) {
            throw std::runtime_error(fmt::format(
                "{}: latents has the shape [{}], this generator takes [count, {}]; give codes made "
                "for it",
                call.latents, fmt::join(tensor.shape, ", "), generator.latent_dim()));
        }
        const auto values = f32(tensor);
        latents.assign(values.begin(), values.end());
        if (label >= 0) {
            throw std::invalid_argument(fmt::format(
                "--class {}: the codes of --latents say their classes themselves; use --class all "
                "to part them",
                call.class_name));
        }
    }

    // With --class, each class into a folder of its own, so that readers find labels.
    const std::vector<std::int32_t> classes = generator.classes_of(latents);
    std::vector<std::filesystem::path> folders;
    if (!call.out.empty() && call.class_name.empty()) {
        folders = {call.out};
    } else if (!call.out.empty()) {
        for (const std::string& name : class_folders(generator.format().classes)) {
            folders.push_back(std::filesystem::path(call.out) / name);
        }
    }
    for (std::size_t c = 0; c < folders.size(); ++c) {
        if (label < 0 || label == static_cast<std::int64_t>(c)) {
            std::filesystem::create_directories(folders[c]);
        }
    }
    // A thousand at a time keeps memory small whatever the count.
    const auto count = static_cast<std::int64_t>(latents.size()) / generator.latent_dim();
    std::vector<Image> shown;
    ProgressBar bar("generate", count, "patches");
    for (std::int64_t first = 0; first < count; first += 1024) {
        const auto begin = latents.begin() + first * generator.latent_dim();
        const auto end = latents.begin() + std::min(count, first + 1024) * generator.latent_dim();
        std::vector<Image> images = generator.images({begin, end});
        for (std::size_t i = 0; i < images.size() && !folders.empty(); ++i) {
            const std::size_t number = static_cast<std::size_t>(first) + i;
            const auto folder =
                static_cast<std::size_t>(call.class_name.empty() ? 0 : classes[number]);
            write_png(folders[folder] / fmt::format("fake_{:06}.png", number), images[i]);
        }
        if (!call.grid.empty()) {
            std::move(images.begin(), images.end(), std::back_inserter(shown));
        }
        bar.update(std::min(count, first + 1024));
    }
    if (!call.grid.empty()) {
        write_png(call.grid, image_grid(shown, call.nrow));
    }
    print_line(fmt::format("{} fakes of {}{}{}{}{}", count, loaded.weights().string(),
                           call.out.empty() ? "" : " in ", call.out,
                           call.grid.empty() ? "" : ", grid ", call.grid));
}

} // namespace

void add_generate(CLI::App& app) {
    auto call = std::make_shared<Call>();
    CLI::App* verb = app.add_subcommand("generate", "make fakes with a trained generator");
    add_text(*verb, "--run", call->run, "folder of a GAN run", "FOLDER");
    add_checkpoint_option(*verb, call->checkpoint);
    add_text(*verb, "--weights", call->weights,
             "a generator's weights instead, ours or an nn.Sequential's", "FILE");
    add_text(*verb, "--out", call->out, "folder for the PNG files", "FOLDER");
    add_number<std::int64_t>(*verb, "--count", call->count, "how many", 1, 10000000);
    add_number<std::uint64_t>(*verb, "--seed", call->seed, "of the latent codes", 0,
                              ~std::uint64_t{0});
    add_text(*verb, "--latents", call->latents,
             "a .safetensors file with the codes themselves, as `latents`", "FILE");
    add_text(*verb, "--class", call->class_name,
             "of a conditional GAN: a class, or all of them in turn, into a folder each (without "
             "it: all in turn, into one folder)",
             "NAME|all");
    add_text(*verb, "--grid", call->grid, "PNG file for all of them in one picture", "FILE");
    add_number<int>(*verb, "--nrow", call->nrow, "patches a row of the grid", 1, 1000);
    add_device_options(*verb, call->device);
    for (const char* option : {"--count", "--seed"}) {
        only_one_of(*verb, {"--latents", option}); // the codes in the file say both
    }
    only_beside(*verb, "--checkpoint", "--run");
    verb->callback([call] { run(*call); });
}

} // namespace patchforge
