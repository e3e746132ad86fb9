// How far pictures of a generator are from given ones, in pixels and in a classifier's features, with
// its gradient: what projection into a generator's pictures makes small (Zhu et al. 2016, iGAN).
//     mean over the pixels of (p - t)^2  +  features_weight * ||f(p) - f(t)||^2 / ||f(t)||^2
// Pixels are in [0, 1]; f is the input of the classifier's last layer. With a mask the first mean
// runs over all pixels still, those outside of the mask counting 0, and there is no second term: the
// rest of the picture is free.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "host/attack/latent_objective.h"
#include "host/model/classifier_model.h"
#include "host/network/trace.h"

namespace patchforge {

struct PictureDistanceOptions {
    const ClassifierModel* features = nullptr; // null: pixels alone
    double features_weight = 0.1;
    std::vector<std::uint8_t> mask{}; // [pixels], not 0: counts; empty: all count
};

class PictureDistance final : public LatentObjective {
  public:
    // targets: [count, pixels] bytes. Code i of a search is to become target i / starts; `batch` is
    // that of the search, a multiple of `starts`. The classifier must outlive this.
    // std::invalid_argument: features together with a mask.
    PictureDistance(Backend& backend, std::span<const std::uint8_t> targets, std::int64_t pixels,
                    std::int64_t starts, std::int64_t batch, const PictureDistanceOptions& options);

    std::int64_t pixels() const override { return pixels_; }
    void begin(std::int64_t first, std::int64_t rows) override;
    void gradient(Matrix<float> d_pictures, Matrix<const float> pictures) override;

    // The distance of pictures [count, pixels] to targets [count, pixels], worked out on the host in
    // float64.
    std::vector<double> distances(std::span<const std::uint8_t> pictures,
                                  std::span<const std::uint8_t> targets) const;

  private:
    void add_features_gradient(Matrix<float> d_pictures, Matrix<const float> pictures);

    Backend& backend_;
    std::span<const std::uint8_t> targets_;
    std::int64_t pixels_, starts_, batch_;
    PictureDistanceOptions options_;
    std::vector<float> target_features_; // [count, feature count]
    DeviceArray<float> target_;          // [batch, pixels], in [0, 1]
    DeviceArray<float> mask_;            // [batch, pixels], 0 and 1; empty: all count
    std::unique_ptr<Trace> pass_;        // through the classifier; null: pixels alone
    DeviceArray<float> scaled_, d_scaled_, wanted_features_, d_features_, weight_;
};

} // namespace patchforge
