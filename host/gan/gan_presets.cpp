#include "host/gan/gan_presets.h"

namespace patchforge {

namespace {

// Both networks see pictures through their leading principal components; a penalised critic with
// two steps to the generator's one; an average of about the last 100 iterations.
Preset through_components(const char* name, const char* components, const char* latent_dim,
                          const char* steps) {
    return {name,
            {{"loss", "wgan-gp"},
             {"components", components},
             {"latent_dim", latent_dim},
             {"steps", steps},
             {"n_critic", "2"},
             {"dropout", "0"},
             {"activation_g", "leaky_relu"},
             {"lr_d", "0.0005"},
             {"lr_g", "0.0005"},
             {"ema", "0.99"}}};
}

std::vector<Preset> make_presets() {
    std::vector<Preset> presets = {
        {"default", {}},
        through_components("mnist", "100", "100", "6000"),
        through_components("cifar10", "192", "100", "4000"),
        through_components("idc", "192", "128", "2500"),
        {"light", {{"network", "light"}, {"batch_size", "32"}, {"steps", "2000"}, {"ema", "0.99"}}},
        {"tissue",
         {{"network", "tissue"},
          {"batch_size", "16"},
          {"steps", "4000"},
          {"loss", "hinge"},
          {"lr_g", "0.0002"},
          {"lr_d", "0.0004"},
          {"b1", "0"},
          {"b2", "0.9"},
          {"decay_after", "0.5"},
          {"decay_to", "0.05"},
          {"symmetries", "true"},
          {"dequantise", "true"},
          {"translation", "6"},
          {"one_fake", "true"},
          {"ema", "0.999"},
          {"ema_warmup", "true"},
          {"ema_statistics", "40"}}},
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
    // Strokes are sharper functions of the components than stains.
    presets[1].settings.emplace_back("hidden_dims", "512,512");
    return presets;
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
