// One Adam step of a network from what a backward pass leaves, fused with the gradients where
// nothing is added to them. Where batches are cut into shards, this is the one place where what these
// contribute is summed.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "host/network/trace.h"
#include "host/ranks/shard_factors.h"
#include "host/train/iterations.h"
#include "host/train/shard_sum.h"

namespace patchforge {

struct OptimiserOptions {
    double learning_rate = 2e-4;
    double beta1 = 0.5;
    double beta2 = 0.999;
    double epsilon = 1e-8;
    double clip = 0;         // the weights stay in [-clip, clip]; 0: anywhere
    double weight_decay = 0; // lambda of lambda / 2 ||w||^2, added to the loss
    double history = 0;      // historical averaging: lambda ||w - mean of all w so far||^2 is added
                             // to the loss (Salimans et al. 2016)
    RateSchedule schedule{}; // in optimiser steps
};

// A shard went through the network. `pass` holds the gradient by the last layer's output, of a mean over
// the shard's rows. `terms` adds further gradients, laid out as Network::all().
struct ShardPass {
    Trace* pass;
    std::function<void(Vector<float> gradients)> terms{};
};

class Optimiser {
  public:
    // `adds_terms`: step() will be given terms. The network must outlive the optimiser.
    Optimiser(Network& network, const OptimiserOptions& options, bool adds_terms);

    // Before the first step, where batches are cut. `running`: the networks whose running statistics change
    // in the passes of a step; they must outlive the optimiser. `maximum_rows`: of a shard's pass. The weights
    // have begun as they are to begin, on all ranks alike.
    void sum_over(const Sharding& sharding, std::vector<Network*> running,
                  std::int64_t maximum_rows);

    // Of a whole run, known when its length is.
    void schedule_rate(const RateSchedule& schedule) { options_.schedule = schedule; }

    // One step from a batch that went through the network in one piece.
    void step(const ShardPass& whole, StepCount count);
    // One step from a batch of `rows` rows. `of_shard` is called for each shard of this rank, which
    // `iterations` has entered; for the batch if it is not cut. The gradient is the mean over all rows;
    // running statistics become what the shards, each from the same old ones, made of them, weighted
    // with their rows.
    void step(Iterations& iterations, std::int64_t rows, StepCount count,
              const std::function<ShardPass(std::int64_t rows)>& of_shard);

    // One step of each of several networks that learn from the same passes. `of_shard` is called for each
    // shard, as above, and leaves the gradients of all of them where gradients() says, laid out as
    // Network::all(): of a mean over the shard's rows. For what adds_terms and has no running statistics.
    static void step_together(const std::vector<Optimiser*>& all, Iterations& iterations,
                              std::int64_t rows, StepCount count,
                              const std::function<void()>& of_shard);
    Vector<float> gradients(const Shard& shard);

    Adam adam(StepCount count) const;
    bool fused() const { return gradients_.size() == 0 && !sum_ && !factors_; }
    // The mean of all weights so far; empty without historical averaging.
    DeviceArray<float>& mean() { return mean_; }
    const DeviceArray<float>& mean() const { return mean_; }

  private:
    void sum_shards(Iterations& iterations, std::int64_t rows,
                    const std::function<ShardPass(std::int64_t rows)>& of_shard);
    void step_of_factors(Iterations& iterations, std::int64_t rows, StepCount count,
                         const std::function<ShardPass(std::int64_t rows)>& of_shard);
    void update(Vector<float> gradients, StepCount count);
    // The running statistics of all `running_`, side by side.
    enum class Direction { save, restore };
    void copy_statistics(Vector<float> saved, Direction direction);

    Network& network_;
    OptimiserOptions options_;
    bool adds_terms_;
    DeviceArray<float> gradients_; // empty: they go straight into Adam
    DeviceArray<float> mean_;
    std::vector<Network*> running_;
    // Where batches are cut, one of the two:
    std::unique_ptr<ShardFactors> factors_;
    std::unique_ptr<ShardSum> sum_; // of gradients, then of running statistics
    DeviceArray<float> statistics_; // before the step
};

} // namespace patchforge
