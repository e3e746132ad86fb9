// What black-box attacks share: they ask for scores and are told nothing else, and climb the logit
// margin (towards a target: descend it). With a detector in front "stopped" is one more answer that
// does not count as success, like the label itself.
#pragma once

#include <vector>

#include "host/attack/attack_method.h"
#include "host/attack/attack_options.h"

namespace patchforge {

class QueryAttack : public Attack {
  public:
    // Questions are asked `scene.black_box->capacity()` at a time.
    explicit QueryAttack(const AttackScene& scene);

  protected:
    BlackBoxVictim& victim() const { return *scene_.black_box; }

    // label[r]: of question r, from now on.
    void set_labels(std::vector<std::int32_t> label);
    // Asks about the rows of x, row r being a question about sample[r]. Enqueues how far each
    // answer is beyond success; valid until the next call.
    Vector<float> ask(Matrix<const float> x, const std::vector<std::int64_t>& sample);
    std::vector<float> margins(Matrix<const float> x, const std::vector<std::int64_t>& sample);
    bool succeeded(float margin) const {
        return scene_.options.targeted() ? margin < 0 : margin > 0;
    }
    bool improves(float margin, float best) const {
        return scene_.options.targeted() ? margin < best : margin > best;
    }

    DeviceArray<float> query_; // [capacity of the victim, pixels]

  private:
    DeviceArray<float> loss_;
    DeviceArray<std::int32_t> label_;
    std::vector<std::int32_t> host_label_;
};

} // namespace patchforge
