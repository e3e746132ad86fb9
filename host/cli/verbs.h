// One function a verb: it adds the verb, its options with their defaults and ranges, and the
// callback that does the job. Verbs within `train` take the App of `train`.
#pragma once

namespace CLI {
class App;
}

namespace patchforge {

void add_attack(CLI::App& app);
void add_classify(CLI::App& app);
void add_doctor(CLI::App& app);
void add_evade(CLI::App& app);
void add_evaluate(CLI::App& app);
void add_generate(CLI::App& app);
void add_info(CLI::App& app);
void add_latent(CLI::App& app);
void add_pack(CLI::App& app);
void add_plan(CLI::App& app);
void add_study(CLI::App& app);
void add_tissue(CLI::App& app);
void add_tour(CLI::App& app);
void add_train_classifier(CLI::App& train);
void add_train_detector(CLI::App& train);
void add_train_gan(CLI::App& train);

} // namespace patchforge
