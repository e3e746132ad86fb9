// Pictures to pictures in pairs: L1, and a game against a PatchGAN if it has a weight. Super-resolution
// (Lim et al. 2017; the game as in Ledig et al. 2017) and pix2pix (Isola et al. 2017) are this trainer:
//     y = G(source)
//     with a game:  D on [real; y], half the sum of its losses, one Adam step of D; D(y) again, by the D
//                   that this has changed
//     G: lambda_l1 mean |y - target| + lambda_adversarial (loss of y against "real"), one Adam step
// In paired mode D is shown the source beside the picture, as further channels; in super-resolution the
// picture alone.
#pragma once

#include "host/translate/picture_pairs.h"
#include "host/translate/translation_trainer.h"

namespace patchforge {

class PairTrainer : public TranslationTrainer {
  public:
    // The pairs' rows must outlive the trainer. options must be valid.
    PairTrainer(Backend& backend, const TranslateOptions& options, const PicturePairs& pairs,
                Placement placement = Placement::automatic, const Sharding& sharding = {});

    Network& generator() { return generator_->network; }

  protected:
    void enqueue(const IterationPattern& pattern) override;

  private:
    bool sees_source() const { return options_.mode == TranslationMode::paired; }
    Extent shown() const; // what D is shown of a picture
    void draw(std::int64_t rows, int slot);
    // G of drawn sources.
    void make(std::int64_t rows, int slot);
    // The picture `made` as D is shown it, into rows of shown_ from `first` on.
    void show(std::int64_t first, Matrix<const float> made);
    // Of a batch or a shard of it: up to the gradient by the network's output.
    ShardPass discriminator_pass(std::int64_t rows);
    ShardPass generator_pass(std::int64_t rows);
    void adversarial_gradient(Matrix<float> d_made, std::int64_t rows);

    Extent source_, target_;
    Player* generator_ = nullptr;
    Player* discriminator_ = nullptr; // null: no game
    std::unique_ptr<Trace> generator_pass_;
    std::unique_ptr<Trace> discriminator_pass_;
    DeviceArray<float> pairs_;   // [B, source + target]
    DeviceArray<float> drawn_;   // [B, the larger of them], before they are turned
    DeviceArray<float> sources_; // [B, source]
    DeviceArray<float> targets_; // [B, target]
    DeviceArray<float> made_;    // [B, target]
    DeviceArray<float> d_made_;  // [B, target]
    DeviceArray<float> rows_;    // [B]
    DeviceArray<float> shown_;   // [2 B, shown]
    DeviceArray<float> d_shown_; // [B, shown]
};

} // namespace patchforge
