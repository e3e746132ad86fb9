// Pictures of pictures in pairs, made from any set or given as two folders (Isola et al. 2017).
#include <fmt/format.h>

#include <algorithm>

#include "host/translate/pair_trainer.h"
#include "host/translate/picture_quality.h"
#include "host/translate/translation_task.h"
#include "host/translate/translator.h"

namespace patchforge {

namespace {

constexpr std::size_t shown_pairs = 8;

Image in_colour(const Image& picture) {
    if (picture.channels == 3) {
        return picture;
    }
    Image result{picture.width, picture.height, 3, {}};
    for (int c = 0; c < 3; ++c) {
        result.pixels.insert(result.pixels.end(), picture.pixels.begin(), picture.pixels.end());
    }
    return result;
}

class Paired final : public TranslationTask {
  public:
    Paired(Backend& backend, const TranslateSets& sets, const TranslateOptions& options,
           Placement placement, const Sharding& sharding)
        : backend_(backend), pairs_(picture_pairs(*sets.set, sets.target, options)),
          trainer_(backend, options, pairs_, placement, sharding) {}

    TranslationTrainer& trainer() override { return trainer_; }
    std::string about() const override {
        return fmt::format("{} pairs, {} to {}, {} held out ({})", pairs_.count,
                           pairs_.source.text(), pairs_.target.text(), pairs_.test_targets.size(),
                           pairs_.how);
    }
    std::vector<TranslationSheet> sheets() override;
    TranslationResults measure(TrainingRun& run) override;

  private:
    Translator translator() {
        return {backend_, trainer_.options(), trainer_.generator().weights()};
    }

    Backend& backend_;
    PicturePairs pairs_;
    PairTrainer trainer_;
};

std::vector<TranslationSheet> Paired::sheets() {
    const std::size_t count = std::min(shown_pairs, pairs_.test_sources.size());
    TranslationSheet sheet{"pictures",
                           "Held-out pairs: what the network is given, makes of it, and what is "
                           "right.",
                           {"given", "made", "right"},
                           {}};
    std::vector<Image> sources;
    for (std::size_t i = 0; i < count; ++i) {
        sources.push_back(pairs_.test_sources[i * pairs_.test_sources.size() / count]);
    }
    const std::vector<Image> made = translator().translate(sources);
    for (std::size_t i = 0; i < count; ++i) {
        sheet.rows.push_back(
            {in_colour(sources[i]), in_colour(made[i]),
             in_colour(pairs_.test_targets[i * pairs_.test_sources.size() / count])});
    }
    return {sheet};
}

// What anybody could say without a network: the mean colour of the training targets everywhere, and the
// source itself where it is a picture of the same kind.
TranslationResults Paired::measure(TrainingRun&) {
    const std::vector<Image>& right = pairs_.test_targets;
    TranslationResults results;
    TranslationResults::Table table{fmt::format("{} held-out pairs", right.size()),
                                    {"answer", "mean |difference|, levels", "PSNR, dB", "SSIM"},
                                    {}};
    const auto add = [&](const std::string& name, const std::string& key,
                         const std::vector<Image>& made) {
        double distance = 0;
        for (std::size_t i = 0; i < made.size(); ++i) {
            double sum = 0;
            for (std::size_t k = 0; k < made[i].pixels.size(); ++k) {
                sum += std::abs(int{made[i].pixels[k]} - int{right[i].pixels[k]});
            }
            distance += sum / static_cast<double>(made[i].pixels.size());
        }
        distance /= static_cast<double>(made.size());
        const PictureQuality quality = picture_quality(made, right);
        table.rows.push_back({name, fmt::format("{:.2f}", distance),
                              fmt::format("{:.2f}", quality.psnr),
                              fmt::format("{:.4f}", quality.ssim)});
        results.figures["l1_" + key] = distance;
        results.figures["psnr_" + key] = quality.psnr;
        results.figures["ssim_" + key] = quality.ssim;
        return distance;
    };
    const std::int64_t row = pairs_.source.size() + pairs_.target.size();
    const std::int64_t plane = pairs_.target.plane();
    Image mean{pairs_.target.width, pairs_.target.height, pairs_.target.channels, {}};
    for (int c = 0; c < pairs_.target.channels; ++c) {
        double sum = 0;
        for (std::int64_t i = 0; i < pairs_.count; ++i) {
            const std::uint8_t* channel =
                pairs_.rows.data() + i * row + pairs_.source.size() + c * plane;
            for (std::int64_t k = 0; k < plane; ++k) {
                sum += channel[k];
            }
        }
        const auto level =
            static_cast<std::uint8_t>(std::lround(sum / static_cast<double>(pairs_.count * plane)));
        mean.pixels.insert(mean.pixels.end(), static_cast<std::size_t>(plane), level);
    }
    double best = add("the mean colour of the training pictures", "mean",
                      std::vector<Image>(right.size(), mean));
    if (pairs_.source == pairs_.target) {
        best = std::min(best, add("what was given, unchanged", "source", pairs_.test_sources));
    }
    const double ours = add("the network", "network", translator().translate(pairs_.test_sources));
    results.tables.push_back(table);
    results.verdicts.push_back(
        {fmt::format("On pairs that it never saw the network is {:.1f} levels of 255 from what is "
                     "right in the mean; the best answer without a network is {:.1f} from it.",
                     ours, best),
         ours < best});
    results.notes.push_back(
        "An adversarial term makes pictures crisper and distances larger: look at the pictures, "
        "too. On 8 bits; PSNR and SSIM of all colours, mean over the pictures.");
    return results;
}

} // namespace

std::unique_ptr<TranslationTask> paired_task(Backend& backend, const TranslateSets& sets,
                                             const TranslateOptions& options, Placement placement,
                                             const Sharding& sharding) {
    return std::make_unique<Paired>(backend, sets, options, placement, sharding);
}

} // namespace patchforge
