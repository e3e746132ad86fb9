#include "host/cli/latent_sheet.h"

#include <fmt/format.h>

#include <algorithm>

#include "data/escape.h"
#include "data/plain_png.h"
#include "data/png.h"
#include "host/page/image_grid.h"
#include "host/session/loaded_models.h"
#include "host/session/named_file.h"

namespace patchforge {

namespace {

std::vector<float> joined(const std::vector<LatentCode>& codes) {
    std::vector<float> all;
    for (const LatentCode& code : codes) {
        all.insert(all.end(), code.begin(), code.end());
    }
    return all;
}

// The verdict in the lower left corner, in percent, on a dark ground so that it reads on any patch.
void mark(Image& picture, float probability) {
    const std::string text = fmt::format("{:.0f}", 100 * probability);
    const int width = static_cast<int>(text.size()) * letter_width + 1;
    for (int c = 0; c < picture.channels; ++c) {
        for (int y = std::max(0, picture.height - letter_height - 2); y < picture.height; ++y) {
            for (int x = 0; x < std::min(width, picture.width); ++x) {
                const std::int64_t row = std::int64_t{c} * picture.height + y;
                picture.pixels[row * picture.width + x] = 20;
            }
        }
    }
    draw_text(picture, 1, picture.height - letter_height - 1, text, 255, 255, 255);
}

const LatentSheetOptions& checked(const LatentSheetOptions& options) {
    check_named_file("--out", options.out, png_mark);
    check_named_file("--save-codes", options.save_codes, group_mark);
    return options;
}

} // namespace

void describe(Options& options, LatentSheetOptions& sheet) {
    options.group("Sheet");
    options.text("run", sheet.run, "FOLDER|FILE", "a GAN's run folder or a generator's weights")
        .must_be_given();
    describe_checkpoint(options, sheet.checkpoint);
    options.text("out", sheet.out, "FILE", "the sheet to write, e.g. latent.png").must_be_given();
    options.text("model", sheet.model, "FOLDER|FILE", "a classifier whose verdicts are shown");
    options.number("seed", sheet.seed, any_seed, "of the codes");
    options.number("rows", sheet.rows, {1, 100}, "rows of the sheet");
    options.number("steps", sheet.steps, {2, 100}, "pictures a row");
    options.text("save_codes", sheet.save_codes, "FILE",
                 "a .safetensors file for the sheet's codes, row by row");
    options.number("scale", sheet.scale, {1, 20}, "enlargement of the pictures");
    describe(options, sheet.device);
}

LatentSheet::LatentSheet(const LatentSheetOptions& options)
    : options_(checked(options)), backend_(options.device.make()),
      generator_(*backend_, options.run, options.checkpoint) {
    if (!options.model.empty()) {
        classifier_ =
            load_classifier(*backend_, "--model", options.model,
                            generator_.network().shape().outputs(), "the generator makes");
    }
}

std::vector<LatentCode> LatentSheet::draw(std::int64_t count, std::uint64_t seed) {
    return codes_of(generator_.images().latents(count, seed), generator_.images().latent_dim());
}

std::vector<float> LatentSheet::probabilities(const std::vector<LatentCode>& codes) {
    const std::vector<std::uint8_t> bytes = generator_.images().bytes(joined(codes));
    return classifier_->probabilities(std::span<const std::uint8_t>(bytes));
}

double LatentSheet::at_column(std::int64_t column, double last) const {
    return last * static_cast<double>(column) / static_cast<double>(options_.steps - 1);
}

void LatentSheet::write(const std::vector<std::vector<LatentCode>>& rows,
                        std::vector<std::string> column_names, std::vector<std::string> row_names) {
    std::vector<std::vector<Image>> pictures;
    LatentGroup all{options_.out, {}};
    for (const std::vector<LatentCode>& row : rows) {
        all.codes.insert(all.codes.end(), row.begin(), row.end());
        pictures.push_back(generator_.images().images(joined(row)));
        if (classifier_) {
            const auto classes = static_cast<std::size_t>(classifier_->class_count());
            const std::vector<float> p = probabilities(row);
            for (std::size_t i = 0; i < pictures.back().size(); ++i) {
                mark(pictures.back()[i], p[i * classes + classes - 1]);
            }
        }
    }
    write_png(options_.out, labelled_sheet(pictures, {.scale = options_.scale,
                                                      .column_names = std::move(column_names),
                                                      .row_names = std::move(row_names)}));
    if (!options_.save_codes.empty()) {
        save_group(options_.save_codes, all);
        fmt::print("codes of the sheet in {}: generate --latents makes its pictures again\n",
                   options_.save_codes);
    }
    fmt::print("Look at {}{}\n", options_.out,
               classifier_ ? fmt::format(" (numbers: percent {} says {})", options_.model,
                                         terminal_text(classifier_->format().class_names.back()))
                           : "");
}

} // namespace patchforge
