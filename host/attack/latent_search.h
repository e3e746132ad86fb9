// Latent codes whose pictures a classifier calls a chosen class: minimises
//     cross-entropy(classifier(G(z)), target) + prior * ||z||^2 / latent size
// over z by Adam. The generator makes the picture, the classifier judges it, the gradient runs
// through both; neither changes. The prior keeps codes as likely as those the generator was trained
// on.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "host/attack/input_adam.h"
#include "host/attack/victim.h"
#include "host/network/trace.h"

namespace patchforge {

struct LatentSearchOptions {
    std::int64_t steps = 200;
    double learning_rate = 0.05;
    double prior = 0.001;
};

class LatentSearch {
  public:
    // generator: outputs in [-1, 1], as many as the models have pixels. `models`: a classifier, or
    // the members of an ensemble. All must outlive the search.
    LatentSearch(const Network& generator, std::vector<const ClassifierModel*> models,
                 const LatentSearchOptions& options);

    // start: codes [count, latent size]; returns as many.
    std::vector<float> run(const std::vector<float>& start, std::int32_t target,
                           const std::function<void(std::int64_t)>& progress = {});

  private:
    static constexpr std::int64_t batch_ = 64;

    Backend& backend_;
    const Network& generator_;
    LatentSearchOptions options_;
    Trace pass_;
    WhiteBoxVictim victim_;
    InputAdam adam_;
    DeviceArray<float> z_, d_z_, zero_;
    DeviceArray<float> pixels_, d_pixels_;
    DeviceArray<std::int32_t> label_;
    std::unique_ptr<Recording> step_;
};

} // namespace patchforge
