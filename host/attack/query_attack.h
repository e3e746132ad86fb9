// Black-box attacks: they ask for scores and are told nothing else. Every sample stops at its first
// success or when its queries are spent.
//   numeric  central differences over blocks of coordinates, then a step as of PGD
//   nes      antithetic normal directions (Wierstra et al. 2014; Ilyas et al. 2018)
//   spsa     antithetic directions of +-1 (Spall 1992; Uesato et al. 2018)
//   square   random squares of +-eps, kept when they help (Andriushchenko et al. 2020)
// All climb the logit margin (towards a target: descend it). With a detector in front "stopped" is
// one more answer that does not count as success, like the label itself.
#pragma once

#include <cstdint>
#include <vector>

#include "host/attack/attack_batch.h"
#include "host/attack/victim.h"

namespace patchforge {

class QueryAttack {
  public:
    // Queries are asked `victim.capacity()` at a time.
    QueryAttack(BlackBoxVictim& victim, AttackBatch& batch, const AttackOptions& options);

    // Leaves the images in batch.x(). Only the first batch.rows() rows are attacked.
    void run(double epsilon);

  private:
    void follow_estimates(std::int64_t row, double epsilon);
    // d_x = the estimated gradient at x; false when the queries that are left do not suffice.
    bool estimate(Matrix<const float> x, std::int64_t row, std::uint64_t step);
    void search_squares(double epsilon);

    // label[r]: of question r, from now on.
    void set_labels(std::vector<std::int32_t> label);
    // loss [B]: how far each row of scores [B, classes] is beyond success.
    void judge(Vector<float> loss, Matrix<const float> scores);
    // Margins of the rows of x, row r being a question about sample[r].
    std::vector<float> margins(Matrix<const float> x, const std::vector<std::int64_t>& sample);
    bool succeeded(float margin) const { return options_.targeted() ? margin < 0 : margin > 0; }
    bool improves(float margin, float best) const {
        return options_.targeted() ? margin < best : margin > best;
    }

    BlackBoxVictim& victim_;
    AttackBatch& batch_;
    AttackOptions options_;
    DeviceArray<float> query_;        // [capacity of the victim, pixels]
    DeviceArray<float> loss_;         // [capacity of the victim]
    DeviceArray<std::int32_t> label_; // of each query
    std::vector<std::int32_t> host_label_;
    DeviceArray<float> gradient_;  // [1, pixels]
    DeviceArray<float> candidate_; // square: [batch, pixels]
    DeviceArray<std::int32_t> index_;
};

} // namespace patchforge
