// x0 + eps sign(g) (Goodfellow et al. 2015).
#include "host/attack/methods/gradient_steps.h"

namespace patchforge::methods {

extern const AttackMethod fgsm = {
    .name = "fgsm",
    .help = "one step of eps along the gradient's sign",
    .options = {"target", "loss=margin", "transform_draws"},
    .norms = {Norm::linf, Norm::l2, Norm::l1},
    .trains_detectors = true,
    .prepare = prepared<GradientSteps>,
};

} // namespace patchforge::methods
