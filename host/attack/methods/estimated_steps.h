// Steps along a gradient that pairs of questions estimate, one sample after the other. A sample
// stops at its first success or when the next step would cost more than its queries allow.
#pragma once

#include "host/attack/methods/query_attack.h"

namespace patchforge {

class EstimatedSteps : public QueryAttack {
  public:
    explicit EstimatedSteps(const AttackScene& scene);
    void run(std::size_t stage, double epsilon, double lambda) override;

  protected:
    // Enqueue the questions query [2n, pixels] of n pairs from number `first` on around x
    // [1, pixels], and what their losses [2n] say of the gradient [1, pixels]; `random` is theirs.
    virtual void question(Matrix<float> query, Matrix<const float> x, std::int64_t first,
                          const RandomStream& random) = 0;
    virtual void learn(Matrix<float> gradient, Vector<const float> loss, std::int64_t first,
                       const RandomStream& random) = 0;
    float reach() const { return static_cast<float>(scene_.options.sigma); }

  private:
    // False when the queries that are left do not suffice.
    bool estimate(Matrix<const float> x, std::int64_t row, std::uint64_t step);

    DeviceArray<float> gradient_; // [1, pixels]
};

// Antithetic random directions.
std::unique_ptr<Attack> random_directions(const AttackScene& scene, DirectionKind kind);
std::int64_t given_directions(const AttackOptions& options, std::int64_t pixels);

} // namespace patchforge
