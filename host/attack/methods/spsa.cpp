// Antithetic directions of +-1 (Spall 1992; Uesato et al. 2018).
#include "host/attack/methods/estimated_steps.h"

namespace patchforge::methods {

extern const AttackMethod spsa = {
    .name = "spsa",
    .help = "scores at antithetic directions of +-1",
    .options = {"target", "steps", "alpha", "queries", "directions", "sigma"},
    .sight = Sight::scores,
    .pairs = given_directions,
    .prepare =
        [](const AttackScene& scene) { return random_directions(scene, DirectionKind::sign); },
};

} // namespace patchforge::methods
