// Classifiers that judge a run's pictures at its end; the run never learns from them.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "data/png.h"
#include "host/classifier/classifier_data.h"
#include "host/classifier/classifier_trainer.h"
#include "host/translate/translation_task.h"

namespace patchforge {

std::vector<Image> pictures_of(const PatchRows& rows);
// Adds the pictures, all of this label.
void append(OwnedPatches& patches, const std::vector<Image>& pictures, std::int32_t label);
// Of each channel, over all pixels of all pictures; at least one picture.
std::vector<double> mean_colour(const std::vector<Image>& pictures);
// A row of that for each group of pictures of a report.
TranslationResults::Table
colour_table(const std::string& caption,
             const std::vector<std::pair<std::string, const std::vector<Image>&>>& groups);

// A cnn with the recipe of --preset cnn, in fewer epochs.
class Judge {
  public:
    // Trained on patches of labels 0 ... classes - 1, under stains that reach so far (--stain-jitter of
    // classifiers).
    Judge(Backend& backend, const PatchRows& patches, std::uint64_t seed, std::int64_t classes = 2,
          double stain_jitter = 0);

    // Class logits [count, classes].
    std::vector<float> answers(const std::vector<Image>& pictures) const;
    std::vector<float> answers(std::span<const std::uint8_t> bytes) const;

  private:
    std::unique_ptr<ClassifierTrainer> trainer_;
};

} // namespace patchforge
