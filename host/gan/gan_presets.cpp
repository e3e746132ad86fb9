#include "host/gan/gan_presets.h"

namespace patchforge {

namespace {

// Fakes of tissue: what each setting is for is said in docs/gan.md.
Preset tissue(const char* name, const char* network, const char* n_critic, const char* steps) {
    return {name,
            {{"network", network},
             {"n_critic", n_critic},
             {"batch_size", "16"},
             {"steps", steps},
             {"loss", "hinge"},
             {"lr_g", "0.0002"},
             {"lr_d", "0.0004"},
             {"b1", "0"},
             {"b2", "0.9"},
             {"decay_after", "0.5"},
             {"decay_to", "0.05"},
             {"symmetries", "true"},
             {"dequantise", "true"},
             {"one_fake", "true"},
             {"ema", "0.999"},
             {"ema_warmup", "true"},
             {"ema_statistics", "40"}}};
}

// Convolutions for `steps` iterations of 32 pictures; an average of about the last 100.
Preset light(const char* name, const char* steps) {
    return {name, {{"network", "light"}, {"batch_size", "32"}, {"steps", steps}, {"ema", "0.99"}}};
}

// A few thousand photographs: D remembers them unless its slope there is penalised, and rates fall at the end.
Preset small_photographs() {
    Preset preset = light("cifar10", "4000");
    preset.settings.insert(preset.settings.end(),
                           {{"r1", "10"}, {"decay_after", "0.5"}, {"decay_to", "0.05"}});
    return preset;
}

std::vector<Preset> make_presets() {
    return {{"default", {}},
            light("mnist", "4000"),
            small_photographs(),
            tissue("idc", "tissue-multiscale", "2", "20000"),
            light("light", "2000"),
            tissue("tissue", "tissue", "1", "4000"),
            // Multilayer perceptrons that see pictures through their leading principal components;
            // a penalised critic with two steps to the generator's one.
            {"components",
             {{"loss", "wgan-gp"},
              {"components", "192"},
              {"latent_dim", "128"},
              {"steps", "2500"},
              {"n_critic", "2"},
              {"dropout", "0"},
              {"activation_g", "leaky_relu"},
              {"lr_d", "0.0005"},
              {"lr_g", "0.0005"},
              {"ema", "0.99"}}},
            {"stack",
             {{"mode", "stack"},
              {"batch_size", "32"},
              {"steps", "2000"},
              {"loss", "hinge"},
              {"lr_g", "0.0002"},
              {"lr_d", "0.0004"},
              {"b1", "0"},
              {"b2", "0.9"},
              {"symmetries", "true"},
              {"dequantise", "true"},
              {"translation", "3"},
              {"ema", "0.99"}}},
            {"seed-b1", {{"batch_size", "1"}, {"epochs", "1"}, {"b1", "0.9"}}},
            {"seed-b10", {{"batch_size", "10"}, {"epochs", "5"}, {"b1", "0.9"}}}};
}

} // namespace

const std::vector<Preset>& gan_presets() {
    static const std::vector<Preset> presets = make_presets();
    return presets;
}

GanOptions gan_preset(const std::string& name) {
    return described_by_preset<GanOptions>(gan_presets(), name);
}

} // namespace patchforge
