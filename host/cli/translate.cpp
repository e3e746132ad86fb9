// patchforge translate: pictures through a generator that `train translate` made.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <stdexcept>

#include "data/escape.h"
#include "data/folder_tree.h"
#include "data/patch_folder.h"
#include "host/cli/verbs.h"
#include "host/options/device_options.h"
#include "host/page/image_grid.h"
#include "host/run/progress.h"
#include "host/run/run_folder.h"
#include "host/session/open_set.h"
#include "host/session/session.h"
#include "host/translate/picture_pairs.h"
#include "host/translate/translator.h"

namespace patchforge {

namespace {

struct TranslateCall {
    DeviceOptions device;
    std::string run;
    std::vector<std::string> pictures;
    std::string out;
    std::string to;
    bool from_pictures = false;
};

// Which generator of the run: a cycle has one each way.
std::string generator_of(const TranslateCall& call, const Parameters& parameters,
                         const TranslateOptions& options) {
    if (options.mode != TranslationMode::cycle) {
        if (!call.to.empty()) {
            throw std::invalid_argument(
                fmt::format("--to {}: the run translates one way, --mode {}; leave it out", call.to,
                            mode_name(options.mode)));
        }
        return "generator";
    }
    std::map<std::string, std::string> recorded = parameter_texts(parameters);
    const std::string a = recorded["kind_a"], b = recorded["kind_b"];
    if (call.to != a && call.to != b) {
        throw std::invalid_argument(fmt::format(
            "--to {}: the run translates to {} or to {}; give one of them", call.to, a, b));
    }
    return call.to == a ? "generator_a" : "generator_b";
}

TensorFile weights_of(const TranslateCall& call, const std::string& generator) {
    if (const auto newest = latest_checkpoint(call.run)) {
        const std::filesystem::path file = newest->folder / (generator + ".safetensors");
        if (std::filesystem::exists(file)) {
            return read_safetensors(file);
        }
    }
    throw std::runtime_error(fmt::format("{}: holds no checkpoint of {}; give a run of `train "
                                         "translate` that has saved one",
                                         call.run, generator));
}

struct Named {
    std::string name; // of its file below --out, without .png
    Image picture;
};

// Names come out of packed sets, too, which anybody may have written.
void check_names(const std::vector<Named>& pictures) {
    std::set<std::string> names;
    for (const auto& [name, picture] : pictures) {
        const std::filesystem::path path(name);
        if (path.is_absolute() || std::ranges::count(path, std::filesystem::path("..")) > 0) {
            throw std::invalid_argument(fmt::format(
                "{}: the name of a patch that leads out of --out; pack the set again", name));
        }
        if (!names.insert(path.lexically_normal()).second) {
            throw std::invalid_argument(fmt::format(
                "{}: two pictures have this name; give pictures of other names, or those of one "
                "folder at a time",
                name));
        }
    }
}

// The pictures of a folder, each of its own size, which a set could not hold; those that are left out are told. False
// where they lie in arrays.
bool add_pictures(const std::string& path, const DataOptions& data, std::vector<Named>& all,
                  std::vector<std::string>& faults) {
    const PatchFolder folder = scan_patch_folder(path, data.pack.folder);
    if (!folder.stacks.empty()) {
        return false;
    }
    std::map<std::string, std::int64_t> left_out;
    for (const IgnoredFile& file : folder.ignored) {
        ++left_out[file.reason];
    }
    for (const auto& [reason, count] : left_out) {
        print_line(fmt::format("{}: left out {} ({})", terminal_text(path), count, reason));
    }
    for (const PatchEntry& entry : folder.entries) {
        try {
            const std::filesystem::path name = entry.path;
            all.push_back({(name.parent_path() / name.stem()).string(),
                           read_picture(folder.root / name, data.pack.channels)});
        } catch (const std::runtime_error& error) {
            faults.emplace_back(error.what());
        }
    }
    return true;
}

void run(const TranslateCall& call) {
    if (const std::string kind = read_run_kind(call.run); kind != "train translate") {
        throw std::invalid_argument(fmt::format(
            "--run {}: is a run of `{}`; give one of `train translate`", call.run, kind));
    }
    ResultsPlace place{.verb = "translate",
                       .out = call.out,
                       .inputs = {{"--run", call.run}},
                       .earlier = Earlier::removed};
    for (const std::string& picture : call.pictures) {
        place.inputs.emplace_back("pictures", picture);
    }
    place.check();
    const Parameters parameters = read_parameters(call.run);
    const TranslateOptions options = restored<TranslateOptions>(parameters);
    const auto backend = call.device.make();
    Translator translator(*backend, options,
                          weights_of(call, generator_of(call, parameters, options)));
    const bool makes_sources =
        call.from_pictures && options.mode != TranslationMode::cycle && options.target.empty();
    if (call.from_pictures && !makes_sources) {
        throw std::invalid_argument("--from-pictures: the run makes no sources of pictures; leave "
                                    "it out");
    }
    const int channels = makes_sources ? translator.out_channels() : translator.in_channels();
    std::vector<Named> all;
    std::vector<std::string> faults; // a picture that cannot be read costs the others nothing
    for (const std::string& path : call.pictures) {
        if (is_picture_name(path)) {
            try {
                all.push_back(
                    {std::filesystem::path(path).stem().string(), read_picture(path, channels)});
            } catch (const std::runtime_error& error) {
                faults.emplace_back(error.what());
            }
            continue;
        }
        DataOptions data;
        data.data = path;
        data.usually(Part::test).pack.channels = channels;
        if (std::filesystem::is_directory(path) && add_pictures(path, data, all, faults)) {
            continue;
        }
        const PackedSet set = open_set(data, call.device.backend.threads);
        const PatchRows rows = rows_of(set);
        for (std::int64_t i = 0; i < set.count(); ++i) {
            const std::filesystem::path name{std::string(set.name(i))};
            all.push_back({(name.parent_path() / name.stem()).string(), picture_of(rows, i)});
        }
    }
    if (all.empty() && faults.size() == 1) {
        throw std::runtime_error(faults.front());
    }
    check_names(all);
    Session session(place);
    ProgressBar bar("translate", std::ssize(all), "pictures");
    constexpr std::size_t at_once = 256;
    for (std::size_t first = 0; first < all.size(); first += at_once) {
        const std::size_t end = std::min(all.size(), first + at_once);
        std::vector<Image> sources;
        for (std::size_t i = first; i < end; ++i) {
            sources.push_back(makes_sources ? pair_source(all[i].picture, options)
                                            : std::move(all[i].picture));
        }
        const std::vector<Image> made = translator.translate(sources);
        for (std::size_t i = first; i < end; ++i) {
            const std::filesystem::path file = place.out / (all[i].name + ".png");
            std::filesystem::create_directories(file.parent_path());
            write_png(file, made[i - first], OnDisk::later);
        }
        bar.update(static_cast<std::int64_t>(end));
    }
    bring_to_disk(place.out);
    session.complete();
    print_line(fmt::format("{} pictures in {}", all.size(), call.out));
    if (!faults.empty()) {
        throw std::runtime_error(fmt::format("{} of {} not translated: {}", faults.size(),
                                             all.size() + faults.size(),
                                             fmt::join(faults, "\n  ")));
    }
}

} // namespace

Verb translate_verb() {
    auto call = std::make_shared<TranslateCall>();
    Verb verb{.name = "translate", .summary = "make pictures of pictures with a trained network"};
    Options& options = verb.options;
    options.arguments("pictures", call->pictures,
                      "PNG or JPEG files of any size, folders of patches, packed sets");
    options.text("run", call->run, "FOLDER", "folder of a `train translate` run").must_be_given();
    options.text("out", call->out, "FOLDER", "folder for the PNG files").must_be_given();
    options.text("to", call->to, "NAME", "of a cycle: the kind of picture to make");
    options.toggle("from_pictures", call->from_pictures,
                   "first make sources of the pictures as in training: small ones, drawings, ... "
                   "(without: the pictures are such sources, a sketch drawn by hand, say)");
    describe(options, call->device);
    verb.examples = {"translate sketch.png --run runs/edges --out painted",
                     "translate small --run runs/sr --out large"};
    verb.run = [call] { run(*call); };
    return verb;
}

} // namespace patchforge
