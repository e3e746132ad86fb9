#include "host/translate/pair_trainer.h"

#include <algorithm>

#include "host/translate/translate_networks.h"

namespace patchforge {

namespace {

// Where an iteration's metrics lie.
constexpr std::int64_t distance_metric = 0;
constexpr std::int64_t metrics_of_discriminator = 1;
constexpr std::int64_t metrics_of_generator =
    metrics_of_discriminator + DiscriminatorMetrics::count;

std::vector<std::string> names(const TranslateOptions& options) {
    std::vector<std::string> names = {"l1"};
    if (options.adversarial()) {
        names.insert(names.end(), {"d_loss_real", "d_loss_fake", "D_real", "D_fake", "d_accuracy",
                                   "g_adversarial", "D_fake_after"});
    }
    return names;
}

} // namespace

PairTrainer::PairTrainer(Backend& backend, const TranslateOptions& options,
                         const PicturePairs& pairs, Placement placement, const Sharding& sharding)
    : TranslationTrainer(backend, options, pairs.training(), placement, sharding, names(options),
                         false),
      source_(pairs.source), target_(pairs.target),
      generator_(&add_player(
          "generator", translation_generator(options, pairs.source, pairs.target.channels), false)),
      generator_pass_(std::make_unique<Trace>(generator_->network, batch_)),
      pairs_(backend, batch_ * (source_.size() + target_.size())),
      drawn_(backend, batch_ * std::max(source_.size(), target_.size())),
      sources_(backend, batch_ * source_.size()), targets_(backend, batch_ * target_.size()),
      made_(backend, batch_ * target_.size()), d_made_(backend, batch_ * target_.size()),
      rows_(backend, batch_) {
    if (options.adversarial()) {
        discriminator_ = &add_player("discriminator", patch_discriminator(options, shown()), false);
        discriminator_pass_ = std::make_unique<Trace>(discriminator_->network, 2 * batch_);
        shown_ = DeviceArray<float>(backend, 2 * batch_ * shown().size());
        d_shown_ = DeviceArray<float>(backend, batch_ * shown().size());
    }
    sum_over_shards();
}

Extent PairTrainer::shown() const {
    return {target_.channels + (sees_source() ? source_.channels : 0), target_.height,
            target_.width};
}

void PairTrainer::draw(std::int64_t rows, int slot) {
    const Matrix<float> pairs = pairs_.matrix(rows, source_.size() + target_.size());
    iterations_.gather(pairs, {}, 0, slot, PixelRange::signed_unit);
    const Matrix<float> sources = drawn_.matrix(rows, source_.size());
    backend_.copy_columns(sources, 0, pairs, 0, source_.size());
    augment(sources_.matrix(rows, source_.size()), sources, source_, 0);
    const Matrix<float> targets = drawn_.matrix(rows, target_.size());
    backend_.copy_columns(targets, 0, pairs, source_.size(), target_.size());
    augment(targets_.matrix(rows, target_.size()), targets, target_, 0);
}

void PairTrainer::show(std::int64_t first, Matrix<const float> made) {
    const Matrix<float> seen =
        shown_.matrix(first + made.rows, shown().size()).row_range(first, made.rows);
    const std::int64_t before = shown().size() - target_.size();
    if (before > 0) {
        backend_.copy_columns(seen, 0, sources_.matrix(made.rows, source_.size()), 0, before);
    }
    backend_.copy_columns(seen, before, made, 0, target_.size());
}

ShardPass PairTrainer::discriminator_pass(std::int64_t rows) {
    show(0, targets_.matrix(rows, target_.size()));
    show(rows, made_.matrix(rows, target_.size()));
    const Matrix<float> logit =
        discriminator_pass_->forward(shown_.matrix(2 * rows, shown().size()),
                                     {true, options_.seed, 0, iterations_.row_count(), 2});
    discriminator_loss(discriminator_pass_->output_gradient(),
                       iterations_.metrics(metrics_of_discriminator, DiscriminatorMetrics::count),
                       logit);
    return {discriminator_pass_.get()};
}

void PairTrainer::adversarial_gradient(Matrix<float> d_made, std::int64_t rows) {
    const Matrix<float> seen = shown_.matrix(2 * rows, shown().size()).row_range(rows, rows);
    const Matrix<float> logit =
        discriminator_pass_->forward(seen, {true, options_.seed, 0, iterations_.row_count(), 1});
    generator_loss(discriminator_pass_->output_gradient(),
                   iterations_.metrics(metrics_of_generator, GeneratorMetrics::count), logit,
                   options_.lambda_adversarial);
    const Matrix<float> d_seen = d_shown_.matrix(rows, shown().size());
    discriminator_pass_->backward_input(d_seen);
    backend_.copy_columns(d_made, 0, d_seen, shown().size() - target_.size(), target_.size());
}

void PairTrainer::make(std::int64_t rows, int slot) {
    draw(rows, slot);
    generator_pass_->forward(sources_.matrix(rows, source_.size()),
                             {true, options_.seed,
                              static_cast<std::uint32_t>(Purpose::dropout_generator_step),
                              iterations_.row_count(), 1},
                             made_.matrix(rows, target_.size()));
}

ShardPass PairTrainer::generator_pass(std::int64_t rows) {
    const Matrix<float> made = made_.matrix(rows, target_.size());
    const Matrix<float> targets = targets_.matrix(rows, target_.size());
    const Matrix<float> d_made = d_made_.matrix(rows, target_.size());
    if (discriminator_) {
        adversarial_gradient(d_made, rows);
    } else {
        backend_.fill(d_made.flat(), 0);
    }
    l1_term(d_made, iterations_.metrics(distance_metric), made, targets, options_.lambda_l1, rows_);
    backend_.activation_gradient(generator_pass_->output_gradient(), d_made, made,
                                 generator_pass_->epilogue(generator_->network.layer_count() - 1));
    return {generator_pass_.get()};
}

void PairTrainer::enqueue(const IterationPattern& pattern) {
    const std::int64_t batch = pattern.rows.front();
    if (discriminator_) {
        discriminator_->optimiser.step(iterations_, batch, iterations_.count(),
                                       [&](std::int64_t rows) {
                                           make(rows, pattern.slot);
                                           return discriminator_pass(rows);
                                       });
    }
    // Of a batch that is cut, the last shard's pictures are left.
    const bool again = iterations_.sharding().cut();
    generator_->optimiser.step(iterations_, batch, iterations_.count(), [&](std::int64_t rows) {
        if (!discriminator_ || again) {
            make(rows, pattern.slot);
        }
        if (discriminator_ && again) {
            show(rows, made_.matrix(rows, target_.size()));
        }
        return generator_pass(rows);
    });
}

} // namespace patchforge
