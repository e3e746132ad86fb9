// A trained generator from disk.
#pragma once

#include <filesystem>
#include <memory>

#include "host/model/brought_in.h"
#include "host/model/image_generator.h"
#include "host/network/network.h"

namespace patchforge {

struct Option;
class Options;

enum class CheckpointChoice {
    latest,
    best // as `train gan --eval-interval` judged
};
// --checkpoint of the verbs that take a GAN's run.
Option& describe_checkpoint(Options& options, CheckpointChoice& choice);

// The generator's weights of a run folder's checkpoint (its moving average where the run kept one),
// of a checkpoint's folder, or the .safetensors file itself. Throws std::runtime_error when there
// is none, std::invalid_argument when the best of something else than a run is asked for.
std::filesystem::path generator_weights(const std::filesystem::path& path,
                                        CheckpointChoice choice = CheckpointChoice::latest);

class LoadedGenerator {
  public:
    // As for generator_weights and bring_in.
    LoadedGenerator(Backend& backend, const std::filesystem::path& path,
                    CheckpointChoice choice = CheckpointChoice::latest,
                    const ModelReading& reading = {});

    const std::filesystem::path& weights() const { return weights_; }
    Network& network() { return *network_; }
    ImageGenerator& images() { return *images_; }

  private:
    std::filesystem::path weights_;
    std::unique_ptr<Network> network_;
    std::unique_ptr<ImageGenerator> images_;
};

} // namespace patchforge
