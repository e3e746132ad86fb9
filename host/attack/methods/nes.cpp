// Antithetic normal directions (Wierstra et al. 2014; Ilyas et al. 2018).
#include "host/attack/methods/estimated_steps.h"

namespace patchforge::methods {

extern const AttackMethod nes = {
    .name = "nes",
    .help = "scores at antithetic normal directions",
    .options = {"target", "steps", "alpha", "queries", "directions", "sigma"},
    .sight = Sight::scores,
    .pairs = given_directions,
    .prepare =
        [](const AttackScene& scene) { return random_directions(scene, DirectionKind::normal); },
};

} // namespace patchforge::methods
