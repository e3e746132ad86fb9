#include "host/model/load_generator.h"

#include <fmt/format.h>

#include <stdexcept>

#include "host/files/safetensors.h"
#include "host/options/options.h"
#include "host/run/whole_checkpoint.h"

namespace patchforge {

Option& describe_checkpoint(Options& options, CheckpointChoice& choice) {
    return options.choice<CheckpointChoice>(
        "checkpoint", choice,
        {{"latest", CheckpointChoice::latest}, {"best", CheckpointChoice::best}},
        "of a run: its last, or the best by --eval-interval");
}

std::filesystem::path generator_weights(const std::filesystem::path& path,
                                        CheckpointChoice choice) {
    const bool run = std::filesystem::exists(path / "params.json");
    if (choice == CheckpointChoice::best && !run) {
        throw std::invalid_argument(fmt::format(
            "--checkpoint best: {} is not the folder of a run; give one", path.string()));
    }
    if (!std::filesystem::is_directory(path)) {
        return path;
    }
    if (run) {
        if (const std::string kind = read_run_kind(path);
            kind.starts_with("train") && kind != "train gan") {
            throw std::invalid_argument(
                fmt::format("{}: is a run of `{}`; give one of `train gan`", path.string(), kind));
        }
    }
    std::filesystem::path folder = path;
    if (choice == CheckpointChoice::best) {
        folder = best_checkpoint(path);
        if (!std::filesystem::exists(folder)) {
            throw std::runtime_error(fmt::format(
                "{}: holds no best checkpoint; let `train gan` look for it by --eval-interval",
                path.string()));
        }
    } else if (run) {
        const auto last = newest_whole_checkpoint(path).newest;
        if (!last) {
            throw std::runtime_error(fmt::format(
                "{}: holds no checkpoint yet; let `train gan` reach one first", path.string()));
        }
        folder = last->folder;
    }
    for (const char* name : {"generator_ema.safetensors", "generator.safetensors"}) {
        if (std::filesystem::exists(folder / name)) {
            return folder / name;
        }
    }
    throw std::runtime_error(fmt::format(
        "{}: holds no generator.safetensors; give a GAN's run folder or a generator's weights",
        folder.string()));
}

LoadedGenerator::LoadedGenerator(Backend& backend, const std::filesystem::path& path,
                                 CheckpointChoice choice, const ModelReading& reading)
    : weights_(generator_weights(path, choice)) {
    const std::string name = weights_.string();
    const BroughtIn model = bring_in(backend, read_safetensors(weights_), reading);
    network_ = std::make_unique<Network>(backend, model.shape);
    network_->load_weights(model.file, name);
    GeneratorFormat format = GeneratorFormat::read(model.file, network_->shape().outputs(), name);
    if (network_->shape().inputs() <= std::ssize(format.classes)) {
        throw std::runtime_error(fmt::format(
            "{}: its metadata name {} classes, which leave none of its {} inputs for latent codes; "
            "name those that it was trained with",
            name, format.classes.size(), network_->shape().inputs()));
    }
    images_ = std::make_unique<ImageGenerator>(*network_, std::move(format));
}

} // namespace patchforge
