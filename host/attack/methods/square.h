// Random squares of +-eps, kept when they help (Andriushchenko et al. 2020). All samples of a batch
// are asked about together, each until its first success or its queries are spent.
#pragma once

#include "host/attack/methods/query_attack.h"

namespace patchforge {

class SquareSearch : public QueryAttack {
  public:
    explicit SquareSearch(const AttackScene& scene);
    void run(std::size_t stage, double epsilon, double lambda) override;

  private:
    DeviceArray<float> candidate_; // [batch, pixels]
    DeviceArray<std::int32_t> index_;
};

} // namespace patchforge
