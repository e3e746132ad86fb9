#include "host/cli/verbs.h"

#include <iterator>

namespace patchforge {

std::vector<Verb> all_verbs() {
    Verb verbs[] = {tissue_verb(),
                    pack_verb(),
                    train_gan_verb(),
                    train_classifier_verb(),
                    train_detector_verb(),
                    train_translate_verb(),
                    generate_verb(),
                    translate_verb(),
                    classify_verb(),
                    evaluate_verb(),
                    privacy_verb(),
                    latent_interpolate_verb(),
                    latent_arithmetic_verb(),
                    latent_neighbours_verb(),
                    study_verb(),
                    attack_verb(),
                    evade_verb(),
                    project_verb(),
                    sweep_verb(),
                    tour_verb(),
                    plan_verb(),
                    import_verb(),
                    info_verb(),
                    doctor_verb()};
    return {std::make_move_iterator(std::begin(verbs)), std::make_move_iterator(std::end(verbs))};
}

} // namespace patchforge
