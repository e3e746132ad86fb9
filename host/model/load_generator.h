// A trained generator from disk.
#pragma once

#include <filesystem>
#include <memory>

#include "host/model/image_generator.h"
#include "host/model/network.h"

namespace patchforge {

// The generator's weights of a run folder's latest checkpoint (its moving average where the run
// kept one), of a checkpoint's folder, or the .safetensors file itself. Throws std::runtime_error
// when there is none.
std::filesystem::path generator_weights(const std::filesystem::path& path);

class LoadedGenerator {
  public:
    // `path` as for generator_weights.
    LoadedGenerator(Backend& backend, const std::filesystem::path& path);

    const std::filesystem::path& weights() const { return weights_; }
    Network& network() { return *network_; }
    ImageGenerator& images() { return *images_; }

  private:
    std::filesystem::path weights_;
    std::unique_ptr<Network> network_;
    std::unique_ptr<ImageGenerator> images_;
};

} // namespace patchforge
