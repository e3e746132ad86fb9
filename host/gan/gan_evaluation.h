// How good a GAN's fakes are while it trains: the same codes every time, against the same real
// patches, in the same features. Nothing of the training is touched and nothing is drawn from its
// random streams, so a run ends in the same bytes with and without.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "host/distance/frechet_distance.h"
#include "host/evaluate/image_extractors.h"
#include "host/evaluate/metric_lines.h"
#include "host/model/image_generator.h"
#include "host/options/options.h"
#include "host/train/batches.h"

namespace patchforge {

struct GanEvaluationOptions {
    std::int64_t interval = 0; // iterations; 0: never
    std::int64_t count = 1000; // fakes, and real patches at most; memory grows with it alone
    std::string features{};    // a classifier's run or weights; empty: 64 components of the pixels
};

void describe(Options& options, GanEvaluationOptions& evaluation);

struct GanScore {
    double frechet_distance = 0; // the lower the better
    double kernel_distance = 0;  // mean over 10 subsets of half of the rows, at most 1000
    double kernel_deviation = 0;
    bool best = false; // the least Fréchet distance of this run so far, in these features
};

class GanEvaluation {
  public:
    // generator: what samples come from. Real patches: up to `count` of `real`, in an order of
    // evaluation_seed; their features are taken here, once. A conditional generator makes fakes of
    // their classes, one by one. Throws std::invalid_argument when there are fewer than 20 patches
    // or the classifier takes others.
    GanEvaluation(Backend& backend, ImageGenerator& generator, const PatchRows& real,
                  const GanEvaluationOptions& options, int threads);

    // Of codes and of the choice of patches: that of `evaluate`, whatever the run's is.
    static constexpr std::uint64_t evaluation_seed = 2020;

    const Extractor& extractor() const { return extractor_.name; }
    std::int64_t real_count() const { return real_.count; }

    // What the run's earlier lines say of the best score in the same features of as many images.
    void remember(const std::filesystem::path& run);
    // The generator as it is; appends the lines `frechet_distance` and `kernel_distance` with the
    // step to those of the run.
    GanScore measure(const std::filesystem::path& run, std::int64_t step);

  private:
    Features fakes();

    ImageGenerator& generator_;
    std::int64_t count_;
    int threads_;
    Extent shape_;
    std::unique_ptr<ClassifierModel> classifier_;
    FeatureExtractor extractor_;
    Features real_;
    GaussianFit real_fit_;
    std::vector<float> latents_;
    double best_;
};

// Takes the measurements of steps after `last` out of the run's lines: it goes on from there.
void forget_evaluations(const std::filesystem::path& run, std::int64_t last);

} // namespace patchforge
