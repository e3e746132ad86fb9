#include "host/translate/refine_trainer.h"

#include "host/translate/translate_networks.h"

namespace patchforge {

namespace {

// Where an iteration's metrics lie.
constexpr std::int64_t change_metric = 0;
constexpr std::int64_t metrics_of_d = 1;
constexpr std::int64_t metrics_of_r = metrics_of_d + DiscriminatorMetrics::count;

constexpr std::int64_t label_metric = metrics_of_r + GeneratorMetrics::count;

std::vector<std::string> names(bool keeps_labels) {
    std::vector<std::string> names = {"l1",     "d_loss_real", "d_loss_fake",   "D_real",
                                      "D_fake", "d_accuracy",  "g_adversarial", "D_fake_after"};
    if (keeps_labels) {
        names.push_back("label");
    }
    return names;
}

// Other orders than the drawings', or the same pictures would meet in every epoch of equal sets.
constexpr std::uint64_t order_of_real = 0x9e3779b97f4a7c15;
constexpr std::uint64_t order_of_history = 0xc2b2ae3d27d4eb4f;

} // namespace

RefineTrainer::RefineTrainer(Backend& backend, const TranslateOptions& options,
                             const PatchRows& drawings, const PatchRows& real,
                             const Sharding& sharding,
                             const std::vector<const ClassifierModel*>& classifiers)
    : TranslationTrainer(backend, options, drawings, Placement::resident, sharding,
                         names(!classifiers.empty()), true, options.refiner_steps),
      extent_(drawings.extent()), real_(backend, real,
                                        {options.batch_size, true, 1, options.seed ^ order_of_real,
                                         Placement::resident, sharding},
                                        iterations_.device_step()),
      refiner_(&add_player("generator", translation_generator(options, extent_, extent_.channels),
                           false, options.refiner_steps)),
      discriminator_(&add_player("discriminator", patch_discriminator(options, extent_), false, 1,
                                 options.learning_rate_d)),
      pass_(std::make_unique<Trace>(refiner_->network, batch_)),
      judged_(std::make_unique<Trace>(discriminator_->network, 2 * batch_)),
      seen_(backend, 2 * batch_ * extent_.size()), rows_(backend, batch_),
      all_made_(backend, sharding, 1, options.batch_size, extent_.size()),
      shown_(backend, options.batch_size * extent_.size()),
      history_(backend, options.pool * extent_.size()), places_(backend, options.pool),
      place_(backend, options.batch_size / 2), recalled_(backend, options.batch_size / 2),
      chosen_(backend, options.batch_size / 2 * options.pool),
      kept_(backend, options.batch_size * extent_.size()) {
    sum_over_shards();
    for (DeviceArray<float>* one : {&drawn_, &given_, &made_, &d_made_}) {
        *one = DeviceArray<float>(backend, batch_ * extent_.size());
    }
    if (!classifiers.empty()) {
        called_ = std::make_unique<WhiteBoxVictim>(classifiers, batch_);
        for (DeviceArray<float>* one : {&unit_, &d_unit_}) {
            *one = DeviceArray<float>(backend, batch_ * extent_.size());
        }
        for (DeviceArray<std::int32_t>* one : {&row_, &label_}) {
            *one = DeviceArray<std::int32_t>(backend, batch_);
        }
    }
    std::vector<float> pictures;
    for (std::int64_t i = 0; i < options.pool; ++i) {
        const std::uint8_t* picture =
            drawings.pixels + drawings.row(i % drawings.used()) * extent_.size();
        for (std::int64_t k = 0; k < extent_.size(); ++k) {
            pictures.push_back(2.0f * static_cast<float>(picture[k]) / 255.0f - 1.0f);
        }
    }
    history_.upload(pictures.data(), std::ssize(pictures));
    keep("history", history_);
    const std::vector<std::uint8_t> nothing(static_cast<std::size_t>(options.pool));
    places_.upload(nothing.data(), options.pool);
}

void RefineTrainer::make(std::int64_t draw, int slot) {
    iterations_.gather(batch_of(drawn_), row_.view(), draw, slot, PixelRange::signed_unit);
    if (called_) {
        backend_.gather_labels(label_.view(), iterations_.source().labels(), row_.view());
    }
    augment(batch_of(given_), batch_of(drawn_), extent_, static_cast<std::uint32_t>(draw),
            draws_of_augmentation());
    DropoutSource training{true, options_.seed, 0, iterations_.row_count(), 1};
    training.picture_seed = options_.seed;
    training.picture = iterations_.count(options_.refiner_steps * options_.batch_size,
                                         draw * options_.batch_size + iterations_.shard().first);
    pass_->forward(batch_of(given_), training, batch_of(made_));
}

void RefineTrainer::make_all(std::int64_t batch, int slot) {
    for (const Shard& shard : iterations_.shards(batch)) {
        iterations_.enter(shard);
        make(0, slot);
        all_made_.put(shard, {batch_of(made_)});
    }
    all_made_.gather();
}

// A product with a 1 in each row picks pictures exactly.
void RefineTrainer::recall(Matrix<float> earlier) {
    const std::int64_t pool = options_.pool;
    BatchPlan plan{pool,
                   earlier.rows,
                   pool / earlier.rows,
                   BatchPlan::Order::shuffled,
                   options_.seed ^ order_of_history,
                   iterations_.count()};
    const Matrix<float> chosen = chosen_.matrix(earlier.rows, pool);
    backend_.gather_rows(place_.matrix(earlier.rows, 1), recalled_.view(), places_.matrix(pool, 1),
                         PixelRange::unit, plan);
    backend_.one_hot(chosen, 0, pool, recalled_.view());
    backend_.linear_input_gradient(earlier, chosen, history_.matrix(pool, extent_.size()), {}, {});
}

void RefineTrainer::discriminator_step(std::int64_t batch, int slot) {
    const StepCount count = iterations_.count();
    const std::int64_t pixels = extent_.size(), earlier = batch / 2, fresh = batch - earlier;
    const Matrix<float> shown = shown_.matrix(batch, pixels);
    const Matrix<const float> made = all_made_.of(0);
    backend_.copy(shown.data, made.data, static_cast<std::size_t>(fresh * pixels) * sizeof(float));
    recall(shown.row_range(fresh, earlier));
    backend_.exchange_pictures(
        kept_.matrix(batch, pixels), history_.matrix(options_.pool, pixels), made,
        {options_.seed, static_cast<std::uint32_t>(Purpose::picture_pool), count});
    discriminator_->optimiser.step(iterations_, batch, count, [&](std::int64_t rows) {
        const Matrix<float> seen = seen_.matrix(2 * rows, pixels);
        real_.gather(batch_of(drawn_), {}, 0, slot, PixelRange::signed_unit, iterations_.shard());
        augment(seen.row_range(0, rows), batch_of(drawn_), extent_,
                static_cast<std::uint32_t>(options_.refiner_steps), draws_of_augmentation());
        const Matrix<float> its = shown.row_range(iterations_.shard().first, rows);
        backend_.copy(seen.row_range(rows, rows).data, its.data,
                      static_cast<std::size_t>(its.size()) * sizeof(float));
        judged_->forward(seen, {true, options_.seed, 0, iterations_.row_count(), 2});
        head_losses_.sum(iterations_.metrics(metrics_of_d, DiscriminatorMetrics::count), 2,
                         [&](int head, Vector<float> metrics) {
                             discriminator_loss(judged_->gradient(head), metrics,
                                                judged_->output(head));
                         });
        return ShardPass{judged_.get()};
    });
}

void RefineTrainer::refiner_step(std::int64_t draw, std::int64_t batch, bool makes, int slot) {
    const StepCount count = iterations_.count(options_.refiner_steps, draw);
    refiner_->optimiser.step(iterations_, batch, count, [&](std::int64_t) {
        if (makes) {
            make(draw, slot);
        }
        const Matrix<float> given = batch_of(given_), made = batch_of(made_),
                            d_made = batch_of(d_made_);
        judged_->forward(made, {true, options_.seed, 0, iterations_.row_count(), 1});
        head_losses_.sum(iterations_.metrics(metrics_of_r, GeneratorMetrics::count), 1,
                         [&](int head, Vector<float> metrics) {
                             generator_loss(judged_->gradient(head), metrics, judged_->output(head),
                                            options_.lambda_adversarial);
                         });
        judged_->backward_input(d_made);
        l1_term(d_made, iterations_.metrics(change_metric), made, given, options_.lambda_l1, rows_);
        if (called_) {
            label_term(d_made, made);
        }
        backend_.activation_gradient(pass_->output_gradient(), d_made, made,
                                     pass_->epilogue(refiner_->network.layer_count() - 1));
        return ShardPass{pass_.get()};
    });
}

void RefineTrainer::label_term(Matrix<float> d_made, Matrix<const float> made) {
    const Matrix<float> unit = batch_of(unit_), d_unit = batch_of(d_unit_);
    backend_.affine(unit.flat(), made.flat(), 0.5f, 0.5f);
    called_->gradient(d_unit, rows_.view(), unit, label_.view(), {});
    backend_.column_mean(iterations_.metrics(label_metric), rows_.matrix(batch_, 1));
    const auto weight = options_.lambda_label / static_cast<double>(batch_);
    backend_.weighted_sum(d_made.flat(), d_made.flat(), 1, d_unit.flat(),
                          static_cast<float>(weight / 2), {}, 0);
}

void RefineTrainer::enqueue(const IterationPattern& pattern) {
    const std::int64_t batch = pattern.rows.front();
    const bool again = iterations_.shards(batch).size() > 1; // another shard's y was made last
    make_all(batch, pattern.slot);
    discriminator_step(batch, pattern.slot);
    for (std::int64_t draw = 0; draw < options_.refiner_steps; ++draw) {
        refiner_step(draw, batch, draw > 0 || again, pattern.slot);
    }
}

std::vector<float> RefineTrainer::shown() const {
    std::vector<float> shown(static_cast<std::size_t>(seen_.size()));
    seen_.download(shown.data(), seen_.size());
    return shown;
}

} // namespace patchforge
