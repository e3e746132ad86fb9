// Drawings made to look real (SimGAN, Shrivastava et al. 2017). R is the refiner, which begins as the
// identity. One iteration, on --refiner-steps batches x of drawings and one of real pictures:
//     y = R(x) of the first batch
//     D on [real; half of y, half from the history]: half the sum of its losses, one Adam step
//     then of each batch: y = R(x), and a step of R:
//         lambda_adversarial (loss of D(y) against "real") + lambda_l1 mean |y - x|, one Adam step
// D answers for every place of a picture, and its losses are means over places: that R made the whole
// plausible by spoiling one place would not pay. Their softmax over two classes is the cross-entropy of one
// logit, the difference of theirs. The losses of a D's heads are added up. mean |y - x| is a mean over pixels,
// so that its weight does not depend on the pictures' size.
//
// The history is --pool earlier y. It begins with drawings, which is what R makes of them then. From it D
// is shown as many pictures, none of them twice, as half a batch; after that each y of the iteration
// takes, by a coin, the place of a picture of it drawn by lot (kernels/operations/picture_pool.h). Of a batch that is
// cut, every rank keeps the same history, and D is shown the half of y and the half from the history of all shards.
//
// With --classifier R's loss has a third term, lambda_label times the cross-entropy of a drawing's class by
// those classifiers (the mean of their logits), which stay as they are (as in Hoffman et al. 2018, CyCADA):
// what says the class may not be painted over, while colours that no classifier reads may move.
#pragma once

#include <memory>

#include "host/attack/victim.h"
#include "host/train/head_losses.h"
#include "host/translate/translation_trainer.h"
#include "host/translate/whole_batch.h"

namespace patchforge {

class RefineTrainer : public TranslationTrainer {
  public:
    // Pictures of one size, at least a batch of each; they lie on the device. options must be valid.
    // `classifiers`: of the drawings' labels, [0, 1] pixels of their size; they must outlive this.
    RefineTrainer(Backend& backend, const TranslateOptions& options, const PatchRows& drawings,
                  const PatchRows& real, const Sharding& sharding = {},
                  const std::vector<const ClassifierModel*>& classifiers = {});

    // What D was last shown, [2 B, P]: real pictures, made ones, earlier ones.
    std::vector<float> shown() const;

  protected:
    void enqueue(const IterationPattern& pattern) override;

  private:
    Matrix<float> batch_of(const DeviceArray<float>& pictures) const {
        return pictures.matrix(batch_, extent_.size());
    }
    std::uint32_t draws_of_augmentation() const {
        return static_cast<std::uint32_t>(options_.refiner_steps + 1);
    }
    void make(std::int64_t draw, int slot);
    // y of the whole batch.
    void make_all(std::int64_t batch, int slot);
    void discriminator_step(std::int64_t batch, int slot);
    // `makes`: y first.
    void refiner_step(std::int64_t draw, std::int64_t batch, bool makes, int slot);
    // Adds the gradient of the label's term by y.
    void label_term(Matrix<float> d_made, Matrix<const float> made);
    // Half a batch of the history.
    void recall(Matrix<float> earlier);

    Extent extent_;
    BatchSource real_;
    Player* refiner_;
    Player* discriminator_;
    std::unique_ptr<Trace> pass_;
    std::unique_ptr<Trace> judged_;
    DeviceArray<float> drawn_;  // [B, P], before they are turned
    DeviceArray<float> given_;  // [B, P]
    DeviceArray<float> made_;   // [B, P]
    DeviceArray<float> d_made_; // [B, P]
    DeviceArray<float> seen_;   // [2 B, P]
    HeadLosses head_losses_{discriminator_->network, DiscriminatorMetrics::count};
    DeviceArray<float> rows_;                // [B]
    std::unique_ptr<WhiteBoxVictim> called_; // the classifiers; null: none
    DeviceArray<float> unit_, d_unit_;       // [B, P], of pictures in [0, 1]
    DeviceArray<std::int32_t> row_, label_;  // [B]
    WholeBatch all_made_;
    DeviceArray<float> shown_;           // [whole batch, P]: y, and pictures of the history
    DeviceArray<float> history_;         // [--pool, P]
    DeviceArray<std::uint8_t> places_;   // [--pool]: no pixels, gathered for the rows' numbers
    DeviceArray<float> place_;           // [half a whole batch]
    DeviceArray<std::int32_t> recalled_; // [half a whole batch]: rows of the history
    DeviceArray<float> chosen_;          // [half a whole batch, --pool]: 1 where a row is recalled
    DeviceArray<float> kept_;            // [whole batch, P]: what exchange_pictures would show
};

} // namespace patchforge
