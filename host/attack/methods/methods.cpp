// The table of methods: a row each.
#include "host/attack/attack_method.h"

namespace patchforge {

namespace methods {
extern const AttackMethod fgsm, pgd, mifgsm, forge, cw, deepfool, numeric, nes, spsa, square, worst;
}

std::span<const AttackMethod* const> attack_methods() {
    using namespace methods;
    static constexpr const AttackMethod* table[] = {
        &fgsm, &pgd, &mifgsm, &forge, &cw, &deepfool, &numeric, &nes, &spsa, &square, &worst,
    };
    return table;
}

} // namespace patchforge
