// Latent codes whose pictures come near to what somebody wants: minimises
//     objective(G(z)) + prior * ||z||^2 / latent size
// over z by Adam. The gradient runs through the generator, which does not change. The prior keeps
// codes as likely as those that the generator was trained on. Noise in the generator's maps is held: code i
// is searched for under that of picture i, as ImageGenerator makes it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "host/attack/input_adam.h"
#include "host/attack/latent_objective.h"
#include "host/network/trace.h"

namespace patchforge {

struct LatentSearchOptions {
    std::int64_t steps = 200;
    double learning_rate = 0.05;
    double prior = 0.001;
    bool rate_falls = false; // to 0 at the last step, as a cosine
    // Columns behind so many numbers say a class and stay as they are; 0: all columns move.
    std::int64_t numbers = 0;
    bool in_unit_box = false; // every number stays in [-1, 1], where codes were drawn from there
};

class LatentSearch {
  public:
    static constexpr std::int64_t batch = 64;

    // generator: outputs in [-1, 1], as many as the objective has pixels. Both must outlive the
    // search.
    LatentSearch(const Network& generator, LatentObjective& objective,
                 const LatentSearchOptions& options);

    // start: codes [count, latent size]; returns as many.
    std::vector<float> run(const std::vector<float>& start,
                           const std::function<void(std::int64_t)>& progress = {});

  private:
    void enqueue_step();

    Backend& backend_;
    const Network& generator_;
    LatentObjective& objective_;
    LatentSearchOptions options_;
    Trace pass_;
    InputAdam adam_;
    DeviceArray<float> z_, d_z_, zero_;
    DeviceArray<float> moves_; // 1 where a column moves, 0 where it stays; empty: all move
    DeviceArray<float> pixels_, d_pixels_;
    DeviceArray<std::uint64_t> first_; // number of the first row's picture
    std::unique_ptr<Recording> step_;
};

} // namespace patchforge
