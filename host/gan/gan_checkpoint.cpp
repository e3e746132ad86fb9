// The state of a GAN's training between two iterations, as files and back.
#include <fmt/format.h>

#include <stdexcept>

#include "host/files/tensor_facts.h"
#include "host/gan/gan_trainer.h"

namespace patchforge {

std::map<std::string, std::vector<std::byte>> GanTrainer::checkpoint() const {
    TensorFile state;
    generator_.add_moments(state, "generator.");
    discriminator_.add_moments(state, "discriminator.");
    const std::uint64_t step = this->step();
    state.tensors.push_back(make_u64("step", {}, &step));
    const auto add_mean = [&](const DeviceArray<float>& mean, const char* name) {
        if (mean.size() > 0) {
            std::vector<float> host(static_cast<std::size_t>(mean.size()));
            mean.download(host.data(), mean.size());
            state.tensors.push_back(make_f32(name, {mean.size()}, host.data()));
        }
    };
    add_mean(optimiser_g_.mean(), "mean_of_generator");
    add_mean(optimiser_d_.mean(), "mean_of_discriminator");
    const auto encode = [](const TensorFile& file) {
        return encode_safetensors(file.tensors, file.metadata);
    };
    std::map<std::string, std::vector<std::byte>> files = {
        {"generator.safetensors", encode(generator_.weights())},
        {"discriminator.safetensors", encode(discriminator_.weights())},
        {"state.safetensors", encode(state)}};
    if (average_) {
        files["generator_ema.safetensors"] = encode(average_.network().weights());
    }
    return files;
}

void GanTrainer::restore(const std::string& folder) {
    const std::string generator_path = folder + "/generator.safetensors";
    const std::string discriminator_path = folder + "/discriminator.safetensors";
    const std::string state_path = folder + "/state.safetensors";
    generator_.load_weights(read_safetensors(generator_path), generator_path);
    discriminator_.load_weights(read_safetensors(discriminator_path), discriminator_path);
    const TensorFile state = read_safetensors(state_path);
    generator_.load_moments(state, state_path, "generator.");
    discriminator_.load_moments(state, state_path, "discriminator.");
    const auto restore_mean = [&](DeviceArray<float>& mean_now, const char* name) {
        if (mean_now.size() > 0) {
            const std::span<const float> mean = f32(state.at(name));
            if (static_cast<std::int64_t>(mean.size()) != mean_now.size()) {
                throw std::runtime_error(
                    fmt::format("{}: tensor {} has the wrong size; resume from another checkpoint",
                                state_path, name));
            }
            mean_now.upload(mean.data(), mean_now.size());
        }
    };
    restore_mean(optimiser_g_.mean(), "mean_of_generator");
    restore_mean(optimiser_d_.mean(), "mean_of_discriminator");
    if (average_) {
        const std::string average_path = folder + "/generator_ema.safetensors";
        average_.network().load_weights(read_safetensors(average_path), average_path);
    }
    iterations_.set_step(scalar_u64(state, "step"));
}

} // namespace patchforge
