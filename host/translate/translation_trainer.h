// What the trainers of all modes share: networks with their optimisers, the recorded iterations, the state
// between two of them as files.
#pragma once

#include <deque>
#include <map>
#include <string>
#include <vector>

#include "host/network/trace.h"
#include "host/train/family.h"
#include "host/train/iterations.h"
#include "host/train/optimiser.h"
#include "host/translate/translate_options.h"

namespace patchforge {

class TranslationTrainer {
  public:
    virtual ~TranslationTrainer() = default;
    TranslationTrainer(const TranslationTrainer&) = delete;
    TranslationTrainer& operator=(const TranslationTrainer&) = delete;

    const TranslateOptions& options() const { return options_; }
    const std::vector<std::string>& metric_names() const { return metric_names_; }
    std::uint64_t step() const { return iterations_.step(); } // iterations done
    std::uint64_t total_steps() const { return total_steps_; }
    std::uint64_t steps_per_epoch() const { return iterations_.per_epoch(); }
    std::vector<std::vector<double>> run(std::int64_t count);
    // Records the next iteration and forgets it again: for `plan`.
    void record_iteration() { iterations_.record_next(); }

    std::map<std::string, const Network*> networks() const;
    Network& network(const std::string& name);

    // <network>.safetensors of each, state.safetensors: moments, what was kept, the step.
    CheckpointFiles checkpoint() const;
    void restore(const std::filesystem::path& folder);

  protected:
    struct Player {
        Player(std::string its_name, Backend& backend, NetworkShape shape,
               const OptimiserOptions& options, bool adds_terms)
            : name(std::move(its_name)), network(backend, std::move(shape)),
              optimiser(network, options, adds_terms) {}
        std::string name;
        Network network;
        Optimiser optimiser;
    };

    TranslationTrainer(Backend& backend, const TranslateOptions& options, const PatchRows& patches,
                       Placement placement, const Sharding& sharding,
                       std::vector<std::string> metric_names, bool drop_last,
                       std::int64_t draws_per_iteration = 1);
    // Initialised as the next network. The optimiser will be given terms if it `adds_terms`, and takes
    // `steps` steps an iteration. A `rate` of 0: that of the options.
    Player& add_player(const std::string& name, NetworkShape shape, bool adds_terms,
                       std::int64_t steps = 1, double rate = 0);
    // When all players are there: their optimisers sum over shards, if batches are cut.
    void sum_over_shards();
    // State beside weights and moments, in checkpoints by this name.
    void keep(const std::string& name, DeviceArray<float>& state) { kept_[name] = &state; }
    virtual void enqueue(const IterationPattern& pattern) = 0;

    // y = x mirrored and turned, or as it is without --augment flips. `draw` of `draws` an iteration:
    // equal ones turn alike.
    void augment(Matrix<float> y, Matrix<const float> x, Extent extent, std::uint32_t draw,
                 std::uint32_t draws = 2);
    // metric = mean |a - b|, and d += `weight` times its gradient by a. `rows` has a number a row.
    void l1_term(Matrix<float> d, Vector<float> metric, Matrix<const float> a,
                 Matrix<const float> b, double weight, DeviceArray<float>& rows);
    // Losses and gradients of both players of a game as their papers weigh them: D's is half the sum on
    // real and fake, G's least squares are whole squares.
    void discriminator_loss(Matrix<float> d_logit, Vector<float> metrics,
                            Matrix<const float> logit);
    void generator_loss(Matrix<float> d_logit, Vector<float> metrics, Matrix<const float> logit,
                        double weight);

    Backend& backend_;
    TranslateOptions options_;
    std::vector<std::string> metric_names_;
    Iterations iterations_;
    std::int64_t batch_; // rows of a full batch, or of a full shard of one

  private:
    std::deque<Player> players_;
    std::map<std::string, DeviceArray<float>*> kept_;
    std::uint64_t total_steps_ = 0;
};

} // namespace patchforge
