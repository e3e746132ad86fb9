#include "host/attack/latent_objective.h"

namespace patchforge {

TargetClass::TargetClass(std::vector<const ClassifierModel*> models, std::int32_t target,
                         std::int64_t batch)
    : pixels_(models.front()->pixels()), victim_(models, batch),
      label_(models.front()->backend(), batch) {
    const std::vector<std::int32_t> labels(static_cast<std::size_t>(batch), target);
    label_.upload(labels.data(), batch);
}

void TargetClass::gradient(Matrix<float> d_pictures, Matrix<const float> pictures) {
    victim_.gradient(d_pictures, {}, pictures, label_.view(), {});
}

} // namespace patchforge
