// patchforge latent: paths, differences and neighbourhoods of latent codes, as labelled sheets.
#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <stdexcept>

#include "data/png.h"
#include "host/cli/checkpoint_option.h"
#include "host/cli/options.h"
#include "host/cli/verbs.h"
#include "host/model/classifier_model.h"
#include "host/model/latent_space.h"
#include "host/model/load_generator.h"
#include "host/run/image_grid.h"

namespace patchforge {

namespace {

struct Call {
    DeviceOptions device;
    std::string run;
    std::string checkpoint = "latest";
    std::string model;
    std::string out;
    std::uint64_t seed = 0;
    std::int64_t rows = 6;
    std::int64_t steps = 9;
    std::string path = "slerp";
    std::int64_t draws = 2000;
    double confidence = 0.7;
    std::string from_class;
    std::string to_class;
    std::string from_group;
    std::string to_group;
    std::string base_group;
    std::string from_name;
    std::string to_name;
    std::string save_groups;
    std::string save_codes;
    double strength = 1.5;
    double radius = 1.0;
    int scale = 2;
};

// The generator and, where one is given, the classifier that looks at its patches.
class Gallery {
  public:
    explicit Gallery(const Call& call)
        : backend_(make_backend(call.device.device, call.device.backend)),
          generator_(*backend_, call.run, checkpoint_from_name(call.checkpoint)),
          scale_(call.scale) {
        if (!call.model.empty()) {
            classifier_ = ClassifierModel::load(*backend_, call.model);
            if (classifier_->pixels() != generator_.network().shape().outputs()) {
                throw std::runtime_error(fmt::format("--model {}: takes patches of {} numbers, the "
                                                     "generator makes {}; use a classifier "
                                                     "of the same patches",
                                                     call.model, classifier_->pixels(),
                                                     generator_.network().shape().outputs()));
            }
        }
    }

    std::vector<LatentCode> draw(std::int64_t count, std::uint64_t seed) {
        return codes_of(generator_.images().latents(count, seed), generator_.images().latent_dim());
    }
    const ClassifierModel* classifier() const { return classifier_.get(); }

    // Probabilities [codes, classes] of the patches of the codes.
    std::vector<float> probabilities(const std::vector<LatentCode>& codes) {
        return classifier_->probabilities(std::span<const std::uint8_t>(bytes_of(codes)));
    }

    // A sheet with a row a list of codes. With a classifier each row's name says what it calls the
    // row's patches: the probability of its last class in percent, left to right.
    void write(const std::string& path, const std::vector<std::vector<LatentCode>>& rows,
               std::vector<std::string> column_names, std::vector<std::string> row_names) {
        std::vector<std::vector<Image>> pictures;
        for (std::size_t r = 0; r < rows.size(); ++r) {
            std::vector<float> all;
            for (const LatentCode& code : rows[r]) {
                all.insert(all.end(), code.begin(), code.end());
            }
            pictures.push_back(generator_.images().images(all));
            if (classifier_) {
                const auto classes = static_cast<std::size_t>(classifier_->class_count());
                const std::vector<float> p = probabilities(rows[r]);
                for (std::size_t i = 0; i < pictures.back().size(); ++i) {
                    mark(pictures.back()[i], p[i * classes + classes - 1]);
                }
            }
        }
        write_png(path, labelled_sheet(pictures, {.scale = scale_,
                                                  .column_names = std::move(column_names),
                                                  .row_names = std::move(row_names)}));
    }

  private:
    std::vector<std::uint8_t> bytes_of(const std::vector<LatentCode>& codes) {
        std::vector<float> all;
        for (const LatentCode& code : codes) {
            all.insert(all.end(), code.begin(), code.end());
        }
        return generator_.images().bytes(all);
    }

    // The verdict in the lower left corner, in percent, on a dark ground so that it reads on any
    // patch.
    static void mark(Image& picture, float probability) {
        const std::string text = fmt::format("{:.0f}", 100 * probability);
        const int width = static_cast<int>(text.size()) * letter_width + 1;
        for (int c = 0; c < picture.channels; ++c) {
            for (int y = std::max(0, picture.height - letter_height - 2); y < picture.height; ++y) {
                for (int x = 0; x < std::min(width, picture.width); ++x) {
                    const std::int64_t row = std::int64_t{c} * picture.height + y;
                    picture.pixels[static_cast<std::size_t>(row * picture.width + x)] = 20;
                }
            }
        }
        draw_text(picture, 1, picture.height - letter_height - 1, text, 255, 255, 255);
    }

    std::unique_ptr<Backend> backend_;
    LoadedGenerator generator_;
    std::unique_ptr<ClassifierModel> classifier_;
    int scale_;
};

// The sheet, and its codes row by row where they are wanted.
void write_sheet(const Call& call, Gallery& gallery,
                 const std::vector<std::vector<LatentCode>>& rows, std::vector<std::string> columns,
                 std::vector<std::string> row_names = {}) {
    gallery.write(call.out, rows, std::move(columns), std::move(row_names));
    if (!call.save_codes.empty()) {
        LatentGroup all{call.out, {}};
        for (const auto& row : rows) {
            all.codes.insert(all.codes.end(), row.begin(), row.end());
        }
        save_group(call.save_codes, all);
        fmt::print("codes of the sheet in {}: generate --latents makes its pictures again\n",
                   call.save_codes);
    }
    fmt::print("Look at {}{}\n", call.out,
               gallery.classifier() ? fmt::format(" (numbers: percent {} says {})", call.model,
                                                  gallery.classifier()->format().class_names.back())
                                    : "");
}

void interpolate(const Call& call) {
    Gallery gallery(call);
    const std::vector<LatentCode> ends = gallery.draw(2 * call.rows, call.seed);
    std::vector<std::vector<LatentCode>> rows;
    std::vector<std::string> columns;
    for (std::int64_t r = 0; r < call.rows; ++r) {
        const LatentCode& a = ends[static_cast<std::size_t>(2 * r)];
        const LatentCode& b = ends[static_cast<std::size_t>(2 * r + 1)];
        rows.emplace_back();
        for (std::int64_t s = 0; s < call.steps; ++s) {
            const double t = static_cast<double>(s) / static_cast<double>(call.steps - 1);
            rows.back().push_back(call.path == "slerp" ? interpolate_spherically(a, b, t)
                                                       : interpolate_linearly(a, b, t));
            if (r == 0) {
                columns.push_back(fmt::format("{:.2f}", t));
            }
        }
    }
    write_sheet(call, gallery, rows, columns);
}

void neighbours(const Call& call) {
    Gallery gallery(call);
    const std::vector<LatentCode> centres = gallery.draw(call.rows, call.seed);
    const std::vector<LatentCode> directions = gallery.draw(call.rows * call.steps, call.seed + 1);
    std::vector<std::vector<LatentCode>> rows;
    std::vector<std::string> columns;
    for (std::int64_t r = 0; r < call.rows; ++r) {
        const LatentCode& centre = centres[static_cast<std::size_t>(r)];
        rows.emplace_back();
        for (std::int64_t s = 0; s < call.steps; ++s) {
            const double distance =
                call.radius * static_cast<double>(s) / static_cast<double>(call.steps - 1);
            // Rotated towards a random direction, so that the neighbour is as long as the centre
            // is.
            rows.back().push_back(interpolate_spherically(
                centre, directions[static_cast<std::size_t>(r * call.steps + s)],
                std::min(1.0, distance)));
            if (r == 0) {
                columns.push_back(fmt::format("{:.2f}", distance));
            }
        }
    }
    write_sheet(call, gallery, rows, columns);
}

std::size_t class_number(const ClassifierFormat& format, const std::string& name,
                         const std::string& option) {
    const auto found = std::ranges::find(format.class_names, name);
    if (found == format.class_names.end()) {
        throw std::invalid_argument(
            fmt::format("{} {}: the classifier has no such class; it has {}", option, name,
                        fmt::join(format.class_names, ", ")));
    }
    return static_cast<std::size_t>(found - format.class_names.begin());
}

// The drawn codes whose patches the classifier calls `class_name` with the asked confidence.
LatentGroup group_by_verdict(const Call& call, Gallery& gallery,
                             const std::vector<LatentCode>& codes, const std::string& class_name,
                             const std::string& option) {
    if (!gallery.classifier()) {
        throw std::invalid_argument(fmt::format(
            "{}: groups are picked by a classifier; give --model, or a saved group", option));
    }
    const ClassifierFormat& format = gallery.classifier()->format();
    const std::size_t number = class_number(format, class_name, option);
    const std::vector<float> p = gallery.probabilities(codes);
    const auto classes = static_cast<std::size_t>(format.class_count());
    LatentGroup group{class_name, {}};
    for (std::size_t i = 0; i < codes.size(); ++i) {
        if (p[i * classes + number] >= call.confidence) {
            group.codes.push_back(codes[i]);
        }
    }
    return group;
}

void arithmetic(const Call& call) {
    Gallery gallery(call);
    const std::vector<LatentCode> codes = gallery.draw(call.draws, call.seed);
    const auto group = [&](const std::string& file, std::string class_name, bool last,
                           const char* option) {
        if (!file.empty()) {
            return load_group(file);
        }
        if (class_name.empty() && gallery.classifier()) {
            const auto& names = gallery.classifier()->format().class_names;
            class_name = last ? names.back() : names.front();
        }
        return group_by_verdict(call, gallery, codes, class_name, option);
    };
    LatentGroup from = group(call.from_group, call.from_class, false, "--from");
    LatentGroup to = group(call.to_group, call.to_class, true, "--to");
    const LatentGroup base = call.base_group.empty() ? from : load_group(call.base_group);
    from.name = call.from_name.empty() ? from.name : call.from_name;
    to.name = call.to_name.empty() ? to.name : call.to_name;
    const LatentCode from_mean = from.mean();
    const LatentCode to_mean = to.mean();
    fmt::print("{}: {} codes, {}: {} codes\n", from.name, from.codes.size(), to.name,
               to.codes.size());
    if (!call.save_groups.empty()) {
        std::filesystem::create_directories(call.save_groups);
        for (const LatentGroup& saved : {from, to}) {
            const std::filesystem::path path =
                std::filesystem::path(call.save_groups) / (saved.name + ".safetensors");
            save_group(path, saved);
            fmt::print("group {} saved in {}\n", saved.name, path.string());
        }
    }
    std::vector<std::vector<LatentCode>> rows;
    std::vector<std::string> columns;
    // The mean of the base group first, then codes of its own.
    std::vector<LatentCode> starts = {base.mean()};
    for (std::size_t i = 0;
         i < base.codes.size() && starts.size() < static_cast<std::size_t>(call.rows); ++i) {
        starts.push_back(base.codes[i]);
    }
    std::vector<std::string> row_names(starts.size());
    row_names[0] = "mean";
    for (std::size_t r = 0; r < starts.size(); ++r) {
        rows.emplace_back();
        for (std::int64_t s = 0; s < call.steps; ++s) {
            const double strength =
                call.strength * static_cast<double>(s) / static_cast<double>(call.steps - 1);
            rows.back().push_back(moved(starts[r], from_mean, to_mean, strength));
            if (r == 0) {
                columns.push_back(fmt::format("+{:.2f}", strength));
            }
        }
    }
    fmt::print("each row: the mean or a code of '{}' plus so many times ('{}' - '{}')\n", base.name,
               to.name, from.name);
    write_sheet(call, gallery, rows, columns, row_names);
}

void add_common(CLI::App& verb, const std::shared_ptr<Call>& call) {
    add_text(verb, "--run", call->run, "a GAN's run folder or a generator's weights (required)",
             "FOLDER|FILE")
        ->required();
    add_checkpoint_option(verb, call->checkpoint);
    add_text(verb, "--out", call->out, "the sheet to write, e.g. latent.png (required)", "FILE")
        ->required();
    add_text(verb, "--model", call->model, "a classifier whose verdicts are shown", "FOLDER|FILE");
    add_number<std::uint64_t>(verb, "--seed", call->seed, "of the codes", 0, ~std::uint64_t{0});
    add_number<std::int64_t>(verb, "--rows", call->rows, "rows of the sheet", 1, 100);
    add_number<std::int64_t>(verb, "--steps", call->steps, "pictures a row", 2, 100);
    add_text(verb, "--save-codes", call->save_codes,
             "a .safetensors file for the sheet's codes, row by row", "FILE");
    add_number<int>(verb, "--scale", call->scale, "enlargement of the pictures", 1, 20);
    add_device_options(verb, call->device);
}

} // namespace

void add_latent(CLI::App& app) {
    CLI::App* latent = app.add_subcommand("latent", "walk through a generator's latent space");
    latent->require_subcommand(1);

    auto path = std::make_shared<Call>();
    CLI::App* verb = latent->add_subcommand("interpolate", "paths between pairs of codes");
    add_common(*verb, path);
    add_choice(*verb, "--path", path->path, "on the sphere, or straight", {"slerp", "lerp"});
    verb->callback([path] { interpolate(*path); });

    auto sum = std::make_shared<Call>();
    verb = latent->add_subcommand(
        "arithmetic", "add the difference of two groups' means to codes: base - from + to");
    add_common(*verb, sum);
    add_text(*verb, "--from", sum->from_class, "class of the first group (the first, unless given)",
             "CLASS");
    add_text(*verb, "--to", sum->to_class, "class of the second group (the last, unless given)",
             "CLASS");
    add_text(*verb, "--from-group", sum->from_group, "a saved group instead", "FILE");
    add_text(*verb, "--to-group", sum->to_group, "a saved group instead", "FILE");
    add_text(*verb, "--base-group", sum->base_group,
             "a saved group to start from (the first, unless given): G' - M' + W'", "FILE");
    add_text(*verb, "--from-name", sum->from_name, "what to call the first group (its class)",
             "NAME");
    add_text(*verb, "--to-name", sum->to_name, "what to call the second group (its class)", "NAME");
    add_text(*verb, "--save-groups", sum->save_groups,
             "folder for the groups, as <name>.safetensors", "FOLDER");
    add_number<std::int64_t>(*verb, "--draws", sum->draws, "codes drawn to find the groups in", 10,
                             1000000);
    add_number<double>(*verb, "--confidence", sum->confidence,
                       "of the classifier, to be in a group", 0, 1);
    add_number<double>(*verb, "--strength", sum->strength, "of the last column's step", -100, 100);
    verb->callback([sum] { arithmetic(*sum); });

    auto near = std::make_shared<Call>();
    verb = latent->add_subcommand("neighbours", "what lies around a code, near to far");
    add_common(*verb, near);
    add_number<double>(*verb, "--radius", near->radius,
                       "of the last column, as a share of the way to an unrelated code", 0, 1);
    verb->callback([near] { neighbours(*near); });
}

} // namespace patchforge
