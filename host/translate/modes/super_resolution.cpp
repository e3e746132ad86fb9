// Super-resolution by two: small pictures are made of large ones, so that what is right is known.
#include <fmt/format.h>

#include <algorithm>

#include "data/cubic.h"
#include "data/resample.h"
#include "host/page/image_grid.h"
#include "host/translate/pair_trainer.h"
#include "host/translate/picture_quality.h"
#include "host/translate/translation_task.h"
#include "host/translate/translator.h"

namespace patchforge {

namespace {

constexpr std::size_t shown_enlarged = 8;

std::vector<Image> every(const std::vector<Image>& pictures, Image (*made)(const Image&)) {
    std::vector<Image> result;
    std::ranges::transform(pictures, std::back_inserter(result), made);
    return result;
}

Image nearest(const Image& picture) {
    return enlarged(picture, 2);
}
Image bilinear(const Image& picture) {
    return resize_to(picture, 2 * picture.width, 2 * picture.height);
}
Image soft_bicubic(const Image& picture) {
    return resize_cubic(picture, 2 * picture.width, 2 * picture.height, pil_cubic);
}
Image sharp_bicubic(const Image& picture) {
    return resize_cubic(picture, 2 * picture.width, 2 * picture.height, torch_cubic);
}

class SuperResolution final : public TranslationTask {
  public:
    SuperResolution(Backend& backend, const TranslateSets& sets, const TranslateOptions& options,
                    Placement placement, const Sharding& sharding)
        : backend_(backend), pairs_(picture_pairs(*sets.set, nullptr, options)),
          cut_(sets.set->height() % 2 + sets.set->width() % 2 > 0),
          trainer_(backend, options, pairs_, placement, sharding) {}

    TranslationTrainer& trainer() override { return trainer_; }
    std::string about() const override {
        return fmt::format("{} pictures of {} from {}, {} held out ({}){}", pairs_.count,
                           pairs_.target.text(), pairs_.source.text(), pairs_.test_targets.size(),
                           pairs_.how, cut_ ? "; an odd last line or column is cut off first" : "");
    }
    std::vector<TranslationSheet> sheets() override;
    TranslationResults measure(TrainingRun& run) override;

  private:
    Translator translator() {
        return {backend_, trainer_.options(), trainer_.generator().weights()};
    }

    Backend& backend_;
    PicturePairs pairs_;
    bool cut_;
    PairTrainer trainer_;
};

std::vector<TranslationSheet> SuperResolution::sheets() {
    const std::size_t count = std::min(shown_enlarged, pairs_.test_sources.size());
    std::vector<Image> sources;
    for (std::size_t i = 0; i < count; ++i) {
        sources.push_back(pairs_.test_sources[i * pairs_.test_sources.size() / count]);
    }
    const std::vector<Image> made = translator().translate(sources);
    TranslationSheet sheet{"pictures",
                           "Held-out pictures: what the network is given (each pixel four times as "
                           "large), enlarged without and with it, and what is right.",
                           {"given", "bicubic", "network", "right"},
                           {}};
    for (std::size_t i = 0; i < count; ++i) {
        sheet.rows.push_back({nearest(sources[i]), sharp_bicubic(sources[i]), made[i],
                              pairs_.test_targets[i * pairs_.test_sources.size() / count]});
    }
    return {sheet};
}

TranslationResults SuperResolution::measure(TrainingRun&) {
    const std::vector<Image>& small = pairs_.test_sources;
    const std::vector<Image>& right = pairs_.test_targets;
    const std::vector<Image> by_means = every(right, halved_by_means);
    Translator network = translator();
    TranslationResults results;
    TranslationResults::Table table{
        fmt::format("{} held-out pictures", right.size()),
        {"enlarged by", "PSNR RGB, dB", "SSIM RGB", "PSNR Y, dB", "SSIM Y", "PSNR of the mean"},
        {}};
    const auto add = [&](const std::string& name, const std::string& key,
                         const std::vector<Image>& made) {
        const PictureQuality quality = picture_quality(made, right);
        table.rows.push_back(
            {name, fmt::format("{:.2f}", quality.psnr), fmt::format("{:.4f}", quality.ssim),
             fmt::format("{:.2f}", quality.psnr_y), fmt::format("{:.4f}", quality.ssim_y),
             fmt::format("{:.2f}", quality.psnr_of_mean)});
        results.figures["psnr_" + key] = quality.psnr;
        results.figures["ssim_" + key] = quality.ssim;
        results.figures["psnr_y_" + key] = quality.psnr_y;
        results.figures["ssim_y_" + key] = quality.ssim_y;
        if (quality.equal > 0) {
            results.notes.push_back(fmt::format(
                "{}: {} pictures have no error at all and count as 100 dB.", name, quality.equal));
        }
        return quality.psnr;
    };
    add("nearest pixels", "nearest", every(small, nearest));
    add("bilinear", "bilinear", every(small, bilinear));
    const double soft = add("bicubic, a = -0.5", "bicubic_soft", every(small, soft_bicubic));
    const double sharp = add("bicubic, a = -0.75", "bicubic_sharp", every(small, sharp_bicubic));
    const double ours = add("the network", "network", network.translate(small));
    const double means = add("bicubic, a = -0.75; small pictures by 2 x 2 means", "bicubic_means",
                             every(by_means, sharp_bicubic));
    const double ours_means = add("the network; small pictures by 2 x 2 means", "network_means",
                                  network.translate(by_means));
    results.tables.push_back(table);
    const double gain = ours - std::max(soft, sharp);
    results.figures["gain"] = gain;
    results.figures["gain_means"] = ours_means - means;
    results.verdicts.push_back(
        {fmt::format("The network is {:+.2f} dB (PSNR of RGB) against the better bicubic on "
                     "pictures that it never saw.",
                     gain),
         gain > 0});
    results.verdicts.push_back(
        {fmt::format("Of small pictures made by another rule (2 x 2 means) it is {:+.2f} dB: it "
                     "undoes the rule that it was trained on.",
                     ours_means - means),
         ours_means > means});
    results.notes.push_back(
        "Small pictures: PIL's bicubic (kernel stretched, a = -0.5), rounded to 8 bits. PSNR and "
        "SSIM on 8 bits, whole pictures, no border shaved, mean over pictures (the last column: of "
        "the mean squared error of all of them, another figure). SSIM: Gaussian windows of 11, "
        "deviation 1.5, whole ones. Y = (65.481 R + 128.553 G + 24.966 B + 16) / 255: the same "
        "error of all colours counts 1.32 dB less on Y, so Y must not be compared with RGB.");
    return results;
}

} // namespace

std::unique_ptr<TranslationTask> super_resolution_task(Backend& backend, const TranslateSets& sets,
                                                       const TranslateOptions& options,
                                                       Placement placement,
                                                       const Sharding& sharding) {
    return std::make_unique<SuperResolution>(backend, sets, options, placement, sharding);
}

} // namespace patchforge
