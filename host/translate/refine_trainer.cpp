#include "host/translate/refine_trainer.h"

#include "host/translate/translate_networks.h"

namespace patchforge {

namespace {

// Where an iteration's metrics lie.
constexpr std::int64_t change_metric = 0;
constexpr std::int64_t metrics_of_d = 1;
constexpr std::int64_t metrics_of_r = metrics_of_d + DiscriminatorMetrics::count;

const std::vector<std::string> names = {"l1",     "d_loss_real", "d_loss_fake",   "D_real",
                                        "D_fake", "d_accuracy",  "g_adversarial", "D_fake_after"};

// Other orders than the drawings', or the same pictures would meet in every epoch of equal sets.
constexpr std::uint64_t order_of_real = 0x9e3779b97f4a7c15;
constexpr std::uint64_t order_of_history = 0xc2b2ae3d27d4eb4f;

} // namespace

RefineTrainer::RefineTrainer(Backend& backend, const TranslateOptions& options,
                             const PatchRows& drawings, const PatchRows& real)
    : TranslationTrainer(backend, options, drawings, Placement::resident, {}, names, true,
                         options.refiner_steps),
      extent_{drawings.channels, drawings.height, drawings.width},
      real_(backend, real,
            {options.batch_size, true, 1, options.seed ^ order_of_real, Placement::resident},
            iterations_.device_step()),
      refiner_(&add_player("generator", translation_generator(options, extent_, extent_.channels),
                           false, options.refiner_steps)),
      discriminator_(&add_player("discriminator", patch_discriminator(options, extent_), false)),
      pass_(std::make_unique<Trace>(refiner_->network, batch_)),
      judged_(std::make_unique<Trace>(discriminator_->network, 2 * batch_)),
      seen_(backend, 2 * batch_ * extent_.size()), rows_(backend, batch_),
      history_(backend, options.pool * extent_.size()), places_(backend, options.pool),
      place_(backend, batch_ / 2), recalled_(backend, batch_ / 2),
      chosen_(backend, batch_ / 2 * options.pool) {
    for (DeviceArray<float>* one : {&drawn_, &given_, &made_, &d_made_, &kept_}) {
        *one = DeviceArray<float>(backend, batch_ * extent_.size());
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
    iterations_.gather(batch_of(drawn_), {}, draw, slot, PixelRange::signed_unit);
    augment(batch_of(given_), batch_of(drawn_), extent_, static_cast<std::uint32_t>(draw),
            draws_of_augmentation());
    pass_->forward(batch_of(given_), {true, options_.seed, 0, iterations_.count(), 1},
                   batch_of(made_));
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

void RefineTrainer::discriminator_step(int slot) {
    const StepCount count = iterations_.count();
    const Matrix<float> seen = seen_.matrix(2 * batch_, extent_.size());
    const std::int64_t earlier = batch_ / 2, fresh = batch_ - earlier;
    real_.gather(batch_of(drawn_), {}, 0, slot, PixelRange::signed_unit);
    augment(seen.row_range(0, batch_), batch_of(drawn_), extent_,
            static_cast<std::uint32_t>(options_.refiner_steps), draws_of_augmentation());
    const Matrix<float> made = seen.row_range(batch_, fresh);
    backend_.copy(made.data, made_.data(), static_cast<std::size_t>(made.size()) * sizeof(float));
    recall(seen.row_range(batch_ + fresh, earlier));
    backend_.exchange_pictures(
        batch_of(kept_), history_.matrix(options_.pool, extent_.size()), batch_of(made_),
        {options_.seed, static_cast<std::uint32_t>(Purpose::picture_pool), count});
    const Matrix<float> logit = judged_->forward(seen, {true, options_.seed, 0, count, 2});
    discriminator_loss(judged_->output_gradient(),
                       iterations_.metrics(metrics_of_d, DiscriminatorMetrics::count), logit);
    discriminator_->optimiser.step({judged_.get()}, count);
}

void RefineTrainer::refiner_step(std::int64_t draw) {
    const Matrix<float> given = batch_of(given_), made = batch_of(made_),
                        d_made = batch_of(d_made_);
    const Matrix<float> logit =
        judged_->forward(made, {true, options_.seed, 0, iterations_.count(), 1});
    generator_loss(judged_->output_gradient(),
                   iterations_.metrics(metrics_of_r, GeneratorMetrics::count), logit,
                   options_.lambda_adversarial);
    judged_->backward_input(d_made);
    l1_term(d_made, iterations_.metrics(change_metric), made, given, options_.lambda_l1, rows_);
    backend_.activation_gradient(pass_->output_gradient(), d_made, made,
                                 pass_->epilogue(refiner_->network.layer_count() - 1));
    refiner_->optimiser.step({pass_.get()}, iterations_.count(options_.refiner_steps, draw));
}

void RefineTrainer::enqueue(const IterationPattern& pattern) {
    make(0, pattern.slot);
    discriminator_step(pattern.slot);
    refiner_step(0);
    for (std::int64_t draw = 1; draw < options_.refiner_steps; ++draw) {
        make(draw, pattern.slot);
        refiner_step(draw);
    }
}

std::vector<float> RefineTrainer::shown() const {
    std::vector<float> shown(static_cast<std::size_t>(seen_.size()));
    seen_.download(shown.data(), seen_.size());
    return shown;
}

} // namespace patchforge
