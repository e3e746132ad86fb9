// Two kinds of pictures that become each other, without pairs (Zhu et al. 2017). G makes kind B, F makes
// kind A. One iteration, on a batch of each:
//     fake_b = G(a)  fake_a = F(b)  back_a = F(fake_b)  back_b = G(fake_a)  same_b = G(b)  same_a = F(a)
//     G and F: adversarial(D_b(fake_b)) + adversarial(D_a(fake_a))
//              + lambda_cycle (mean |back_a - a| + mean |back_b - b|)
//              + lambda_identity lambda_cycle (mean |same_b - b| + mean |same_a - a|), one Adam step each
//     D_b on [b; pool(fake_b)], D_a on [a; pool(fake_a)]: half the sum of their losses, one Adam step each
// The discriminators learn from the fakes of this iteration, made before G and F took their step, or from
// earlier ones in their place (kernels/operations/picture_pool.h). G reads a and b as one batch, F b and a:
// no layer looks at more than one picture. Of a batch that is cut, every rank keeps the same pools, of the fakes of
// all shards.
#pragma once

#include <memory>

#include "host/translate/translation_trainer.h"
#include "host/translate/whole_batch.h"

namespace patchforge {

class CycleTrainer : public TranslationTrainer {
  public:
    // Pictures of one size, at least a batch of each; they lie on the device. options must be valid.
    CycleTrainer(Backend& backend, const TranslateOptions& options, const PatchRows& a,
                 const PatchRows& b, const Sharding& sharding = {});

  protected:
    void enqueue(const IterationPattern& pattern) override;

  private:
    // One kind: its pictures, what makes it, what tells whether it is real.
    struct Kind {
        Player* generator = nullptr;
        Player* discriminator = nullptr;
        std::unique_ptr<Trace> pass; // of the generator: the other kind's pictures, then its own
        std::unique_ptr<Trace> back; // of the generator: the other kind's fakes
        std::unique_ptr<Trace> judged;
        DeviceArray<float> drawn;    // [B, P], before they are turned
        DeviceArray<float> given;    // [2 B, P]: pictures of the other kind, then of this one
        DeviceArray<float> made;     // [2 B, P]: of these
        DeviceArray<float> d_made;   // [2 B, P]
        DeviceArray<float> returned; // [B, P]: there and back
        DeviceArray<float> d_fakes;  // [B, P]: from what goes back from them
        DeviceArray<float> d_back;   // [B, P]
        DeviceArray<float> seen;     // [2 B, P]: of the discriminator
        DeviceArray<float> shown;    // [whole batch, P]: fakes and those from the pool
        DeviceArray<float> pool;     // [--pool, P]
        std::int64_t metrics = 0;    // where its own begin
    };

    bool identity() const { return options_.lambda_identity > 0; }
    void make(Kind& kind, const PatchRows& pictures, const std::string& name);
    // This kind's pictures, as they were drawn and turned: the first that the other's generator reads.
    Matrix<float> pictures(const Kind& other) const {
        return other.given.matrix(batch_, extent_.size());
    }
    Matrix<float> fakes(const Kind& kind) const { return kind.made.matrix(batch_, extent_.size()); }
    void draw(int slot);
    void make_fakes(Kind& kind);
    // Pictures of `kind` there and back: the first gradients of its generator, and d_fakes of `other`.
    void backward_through_cycle(Kind& kind, Kind& other);
    // What makes `kind`: all that its fakes are to be.
    void backward_through_fakes(Kind& kind, const Kind& other);
    // `fakes` of the whole batch. `again`: this rank drew another shard since this one.
    void discriminator_step(Kind& kind, const Kind& other, std::uint32_t number,
                            Matrix<const float> fakes, bool again, int slot);

    Extent extent_;
    BatchSource source_b_;
    Kind a_, b_;
    WholeBatch fakes_;        // of b, then of a
    DeviceArray<float> rows_; // [B]
};

} // namespace patchforge
