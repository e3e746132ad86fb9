// patchforge generate: fakes of a trained generator, as PNG files and as a grid.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <stdexcept>

#include "data/escape.h"
#include "data/new_files.h"
#include "data/plain_png.h"
#include "data/png.h"
#include "host/cli/verbs.h"
#include "host/files/safetensors.h"
#include "host/model/class_names.h"
#include "host/model/load_generator.h"
#include "host/numerics/parallel.h"
#include "host/options/device_options.h"
#include "host/page/image_grid.h"
#include "host/privacy/data_card.h"
#include "host/ranks/shared_rows.h"
#include "host/run/progress.h"
#include "host/session/named_file.h"
#include "host/session/session.h"

namespace patchforge {

namespace {

struct GenerateCall {
    DeviceOptions device;
    std::string run;
    CheckpointChoice checkpoint = CheckpointChoice::latest;
    std::string weights;
    std::string latents;
    std::string out;
    std::string release; // as `out`, the fakes one folder below, a data card beside them
    std::string grid;
    std::string class_name;
    std::int64_t count = 64;
    std::uint64_t seed = 0;
    double truncation = 1;
    int nrow = 8;
};

// Draws the codes nearer together: their numbers, not the classes behind them.
void truncate(std::vector<float>& latents, const ImageGenerator& generator, double factor) {
    const auto width = static_cast<std::size_t>(generator.latent_dim());
    const std::size_t numbers = width - generator.format().classes.size();
    for (std::size_t i = 0; i < latents.size(); ++i) {
        latents[i] *= i % width < numbers ? static_cast<float>(factor) : 1.0f;
    }
}

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
                          terminal_list(format.classes)));
}

void run(GenerateCall call) {
    const bool releases = !call.release.empty();
    if (releases) {
        call.out = call.release;
        if (call.run.empty()) {
            throw std::invalid_argument(
                "--release: needs --run, the folder of the GAN's run, which "
                "says what was trained on; give it instead of --weights");
        }
    }
    if (call.out.empty() && call.grid.empty()) {
        throw std::invalid_argument(
            "--out, --grid, --release: nothing to write; give a folder, a grid or both");
    }
    if (call.run.empty() == call.weights.empty()) {
        throw std::invalid_argument(
            "--run, --weights: give one of them, a run folder or a generator's .safetensors file");
    }
    const ResultsPlace place{
        .verb = "generate",
        .out = call.out,
        .inputs = {{"--run", call.run}, {"--weights", call.weights}, {"--latents", call.latents}},
        .earlier = Earlier::removed};
    if (place.writes()) {
        place.check();
    }
    check_named_file("--grid", call.grid, png_mark, !call.out.empty());
    const auto backend = call.device.make();
    LoadedGenerator loaded(*backend, call.run.empty() ? call.weights : call.run, call.checkpoint);
    ImageGenerator& generator = loaded.images();
    if (releases && !generator.format().classes.empty() && call.class_name.empty()) {
        call.class_name = "all"; // released fakes keep their labels
    }
    const std::int64_t label = class_of(call.class_name, generator.format());
    Release release{call.run, loaded.weights(), generator.format(), call.seed, call.truncation, {}};
    if (releases) {
        check_release(release);
    }

    std::vector<float> latents;
    if (call.latents.empty()) {
        latents = generator.latents(call.count, call.seed, Purpose::generate, label);
        truncate(latents, generator, call.truncation);
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

    Session session(place);
    // With --class, each class into a folder of its own, so that readers find labels.
    const std::vector<std::int32_t> classes = generator.classes_of(latents);
    std::vector<std::filesystem::path> folders;
    const std::filesystem::path fakes = std::filesystem::path(call.out) / (releases ? "fakes" : "");
    if (!call.out.empty() && call.class_name.empty()) {
        folders = {fakes};
    } else if (!call.out.empty()) {
        for (const std::string& name : class_folders(generator.format().classes)) {
            folders.push_back(fakes / name);
        }
    }
    // Other ranks write there once they have the first pictures, for which they wait for this one.
    for (std::size_t c = 0; c < folders.size() && SharedRows::writes(); ++c) {
        if (label < 0 || label == static_cast<std::int64_t>(c)) {
            std::filesystem::create_directories(folders[c]);
        }
    }
    // A thousand at a time keeps memory small whatever the count.
    const auto count = static_cast<std::int64_t>(latents.size()) / generator.latent_dim();
    std::vector<Image> shown;
    ProgressBar bar("generate", count, "patches");
    const auto folder_of = [&](std::int64_t number) {
        return folders[call.class_name.empty() ? 0 : static_cast<std::size_t>(classes[number])];
    };
    const auto file_of = [&](std::int64_t number) {
        return folder_of(number) / fmt::format("fake_{:06}.png", number);
    };
    for (std::int64_t first = 0; first < count; first += 1024) {
        const std::int64_t last = std::min(count, first + 1024);
        // Before another rank, which waits for this one's share of the pictures, makes any of them.
        for (std::int64_t i = first; i < last && !folders.empty(); ++i) {
            tell_new_file(file_of(i));
        }
        std::vector<Image> images =
            generator.images({latents.begin() + first * generator.latent_dim(),
                              latents.begin() + last * generator.latent_dim()},
                             first);
        // Compressing and writing take longer than making them.
        for_each_parallel(folders.empty() ? 0 : last - first, call.device.backend.threads,
                          [&](std::int64_t i) {
                              if (SharedRows::mine(first + i)) {
                                  write_png(file_of(first + i), images[i], OnDisk::later);
                              }
                          });
        if (!call.grid.empty()) {
            std::move(images.begin(), images.end(), std::back_inserter(shown));
        }
        bar.update(last);
    }
    if (!folders.empty()) { // each rank its own pictures, before the list says that they are whole
        bring_to_disk(fakes);
        meet_ranks();
    }
    if (!call.grid.empty() && SharedRows::writes()) {
        write_png(call.grid, image_grid(shown, call.nrow));
    }
    if (releases && session.writes()) {
        for (std::int64_t i = 0; i < count; ++i) {
            ++release.fakes[folder_of(i).lexically_relative(call.out).string()];
        }
        write_data_card(call.out, release);
    }
    session.complete();
    print_line(fmt::format("{} fakes of {}{}{}{}{}", count, loaded.weights().string(),
                           call.out.empty() ? "" : " in ", call.out,
                           call.grid.empty() ? "" : ", grid ", call.grid));
}

} // namespace

Verb generate_verb() {
    auto call = std::make_shared<GenerateCall>();
    Verb verb{.name = "generate", .summary = "make fakes with a trained generator"};
    Options& options = verb.options;
    options.text("run", call->run, "FOLDER", "folder of a GAN run");
    describe_checkpoint(options, call->checkpoint).beside("run");
    options.text("weights", call->weights, "FILE",
                 "a generator's weights instead; those of another program through `import`");
    options.text("out", call->out, "FOLDER", "folder for the PNG files");
    options.text(
        "release", call->release, "FOLDER",
        "instead of --out, for others: the files in fakes/, and a data card that says what "
        "was trained on and measured");
    options.number("count", call->count, {1, 10000000}, "how many");
    options.number("seed", call->seed, any_seed, "of the latent codes");
    options.number("truncation", call->truncation, {0.001, 1},
                   "the codes are multiplied by it: below 1 likelier fakes, and less variety");
    options.text("latents", call->latents, "FILE",
                 "a .safetensors file with the codes themselves, as `latents`");
    options.text("class", call->class_name, "NAME|all",
                 "of a conditional GAN: a class, or all of them in turn, into a folder each "
                 "(without it: all in turn, into one folder)");
    options.text("grid", call->grid, "FILE", "PNG file for all of them in one picture");
    options.number("nrow", call->nrow, {1, 1000}, "patches a row of the grid");
    describe(options, call->device);
    options.only_one_of({"release", "out"});
    options.only_one_of({"release", "weights"});
    for (const char* option : {"count", "seed", "truncation", "release"}) {
        options.only_one_of({"latents", option}); // the codes in the file say all
    }
    verb.examples = {"generate --run runs/gan --out fakes --count 1000 --seed 1",
                     "generate --run runs/conditional --class all --out fakes --grid fakes.png",
                     "generate --run runs/gan --release release --count 2000"};
    verb.shares_rows = true;
    verb.run = [call] { run(*call); };
    return verb;
}

} // namespace patchforge
