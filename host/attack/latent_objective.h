// What a search in the latent space wants of the generator's pictures.
#pragma once

#include <cstdint>
#include <vector>

#include "host/attack/victim.h"
#include "kernels/backend.h"

namespace patchforge {

class LatentObjective {
  public:
    virtual ~LatentObjective() = default;

    virtual std::int64_t pixels() const = 0;
    // The search goes on with the codes `first` ... `first + rows - 1` of those that it was given, in
    // the first rows of its batch.
    virtual void begin(std::int64_t first, std::int64_t rows) = 0;
    // Enqueues the gradient of the objective by pictures in [0, 1], [batch, pixels]; recorded once.
    virtual void gradient(Matrix<float> d_pictures, Matrix<const float> pictures) = 0;
};

// Cross-entropy of a class: pictures that classifiers call it.
class TargetClass final : public LatentObjective {
  public:
    // `models`: a classifier, or the members of an ensemble, which must outlive this. `batch` is that
    // of the search.
    TargetClass(std::vector<const ClassifierModel*> models, std::int32_t target,
                std::int64_t batch);

    std::int64_t pixels() const override { return pixels_; }
    void begin(std::int64_t, std::int64_t) override {}
    void gradient(Matrix<float> d_pictures, Matrix<const float> pictures) override;

  private:
    std::int64_t pixels_;
    WhiteBoxVictim victim_;
    DeviceArray<std::int32_t> label_;
};

} // namespace patchforge
