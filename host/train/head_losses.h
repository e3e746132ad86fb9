// The loss of a discriminator with several heads: that of a head is the mean over its map, the whole their sum.
#pragma once

#include <functional>

#include "host/network/network.h"
#include "kernels/backend.h"

namespace patchforge {

class HeadLosses {
  public:
    // `most_metrics`: that a head is given room for. The discriminator must outlive this.
    HeadLosses(const Network& discriminator, std::int64_t most_metrics)
        : discriminator_(discriminator) {
        if (discriminator.shape().heads().size() > 1) {
            other_ = DeviceArray<float>(discriminator.backend(), most_metrics);
        }
    }
    // Calls judge(head, metrics) for each head, which writes a head's metrics there. The first `losses` of `all` become sums
    // over the heads, the others are the last head's.
    void sum(Vector<float> all, std::int64_t losses,
             const std::function<void(int head, Vector<float> metrics)>& judge) const {
        const std::vector<int> heads = discriminator_.shape().heads();
        judge(heads.back(), all);
        for (auto head = heads.rbegin() + 1; head != heads.rend(); ++head) {
            const Vector<float> own = other_.view().part(0, all.size), sum = all.part(0, losses);
            judge(*head, own);
            discriminator_.backend().weighted_sum(sum, sum, 1, own.part(0, losses), 1, {}, 0);
        }
    }

  private:
    const Network& discriminator_;
    DeviceArray<float> other_{}; // empty: one head
};

} // namespace patchforge
