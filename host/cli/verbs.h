// One function a verb, each in a file of its own.
#pragma once

#include <vector>

#include "host/cli/verb.h"

namespace patchforge {

Verb attack_verb();
Verb classify_verb();
Verb doctor_verb();
Verb evade_verb();
Verb privacy_verb();
Verb project_verb();
Verb evaluate_verb();
Verb train_translate_verb();
Verb generate_verb();
Verb translate_verb();
Verb import_verb();
Verb info_verb();
Verb latent_arithmetic_verb();
Verb latent_interpolate_verb();
Verb latent_neighbours_verb();
Verb pack_verb();
Verb plan_verb();
Verb study_verb();
Verb sweep_verb();
Verb tissue_verb();
Verb tour_verb();
Verb train_classifier_verb();
Verb train_detector_verb();
Verb train_gan_verb();

// All of them, in the order of --help.
std::vector<Verb> all_verbs();

} // namespace patchforge
