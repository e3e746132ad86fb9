// Central differences over blocks of coordinates, then a step as of PGD.
#include "host/attack/methods/estimated_steps.h"

namespace patchforge::methods {

namespace {

class CentralDifferences : public EstimatedSteps {
  public:
    using EstimatedSteps::EstimatedSteps;

  private:
    void question(Matrix<float> query, Matrix<const float> x, std::int64_t first,
                  const RandomStream&) override {
        const std::int64_t block = scene_.options.block;
        backend().block_queries(query, x, reach(), first * block, block);
    }
    void learn(Matrix<float> gradient, Vector<const float> loss, std::int64_t first,
               const RandomStream&) override {
        const std::int64_t block = scene_.options.block;
        backend().block_gradient(gradient, loss, reach(), first * block, block);
    }
};

} // namespace

extern const AttackMethod numeric = {
    .name = "numeric",
    .help = "central differences of scores by blocks of pixels",
    .options = {"target", "steps", "alpha", "queries", "sigma", "block"},
    .sight = Sight::scores,
    .pairs = [](const AttackOptions& options,
                std::int64_t pixels) { return (pixels + options.block - 1) / options.block; },
    .prepare = prepared<CentralDifferences>,
};

} // namespace patchforge::methods
