#include "host/translate/cycle_trainer.h"

#include "host/translate/translate_networks.h"

namespace patchforge {

namespace {

// Metrics of a kind, one behind the other.
constexpr std::int64_t cycle_metric = 0;
constexpr std::int64_t identity_metric = 1;
constexpr std::int64_t generator_in_kind = 2;
constexpr std::int64_t discriminator_in_kind = generator_in_kind + GeneratorMetrics::count;
constexpr std::int64_t metrics_of_kind = discriminator_in_kind + DiscriminatorMetrics::count;

std::vector<std::string> names() {
    std::vector<std::string> names;
    for (const char* kind : {"a", "b"}) {
        for (const char* name : {"cycle", "identity", "g_adversarial", "D_fake_before",
                                 "d_loss_real", "d_loss_fake", "D_real", "D_fake", "d_accuracy"}) {
            names.push_back(std::string(name) + "_" + kind);
        }
    }
    return names;
}

} // namespace

CycleTrainer::CycleTrainer(Backend& backend, const TranslateOptions& options, const PatchRows& a,
                           const PatchRows& b, const Sharding& sharding)
    : TranslationTrainer(backend, options, a, Placement::resident, sharding, names(), true),
      extent_(a.extent()),
      // Another order than a's, or the same pictures would meet in every epoch of equal sets.
      source_b_(backend, b,
                {options.batch_size, true, 1, options.seed ^ 0x9e3779b97f4a7c15,
                 Placement::resident, sharding},
                iterations_.device_step()),
      fakes_(backend, sharding, 2, options.batch_size, extent_.size()), rows_(backend, batch_) {
    make(b_, b, "b");
    make(a_, a, "a");
    b_.metrics = metrics_of_kind;
    sum_over_shards();
}

void CycleTrainer::make(Kind& kind, const PatchRows& pictures, const std::string& name) {
    const std::int64_t pixels = pictures.pixels_per_patch();
    kind.generator = &add_player("generator_" + name,
                                 translation_generator(options_, extent_, extent_.channels), true);
    kind.discriminator =
        &add_player("discriminator_" + name, patch_discriminator(options_, extent_), false);
    kind.pass = std::make_unique<Trace>(kind.generator->network, 2 * batch_);
    kind.back = std::make_unique<Trace>(kind.generator->network, batch_);
    kind.judged = std::make_unique<Trace>(kind.discriminator->network, 2 * batch_);
    for (DeviceArray<float>* two : {&kind.given, &kind.made, &kind.d_made, &kind.seen}) {
        *two = DeviceArray<float>(backend_, 2 * batch_ * pixels);
    }
    for (DeviceArray<float>* one : {&kind.drawn, &kind.returned, &kind.d_fakes, &kind.d_back}) {
        *one = DeviceArray<float>(backend_, batch_ * pixels);
    }
    if (options_.pool > 0) {
        kind.shown = DeviceArray<float>(backend_, options_.batch_size * pixels);
        kind.pool = DeviceArray<float>(backend_, options_.pool * pixels);
        keep("pool_" + name, kind.pool);
    }
}

void CycleTrainer::draw(int slot) {
    const std::int64_t pixels = extent_.size();
    const Matrix<float> a = a_.drawn.matrix(batch_, pixels), b = b_.drawn.matrix(batch_, pixels);
    iterations_.gather(a, {}, 0, slot, PixelRange::signed_unit);
    source_b_.gather(b, {}, 0, slot, PixelRange::signed_unit, iterations_.shard());
    augment(pictures(b_), a, extent_, 0);
    augment(pictures(a_), b, extent_, 1);
    if (identity()) {
        const auto bytes = static_cast<std::size_t>(a.size()) * sizeof(float);
        backend_.copy(b_.given.data() + a.size(), pictures(a_).data, bytes);
        backend_.copy(a_.given.data() + a.size(), pictures(b_).data, bytes);
    }
}

void CycleTrainer::make_fakes(Kind& kind) {
    const std::int64_t rows = identity() ? 2 * batch_ : batch_;
    kind.pass->forward(kind.given.matrix(rows, extent_.size()),
                       {true, options_.seed, 0, iterations_.row_count(), 1},
                       kind.made.matrix(rows, extent_.size()));
}

void CycleTrainer::backward_through_cycle(Kind& kind, Kind& other) {
    const Matrix<float> wanted = pictures(other);
    const Matrix<float> returned =
        kind.back->forward(fakes(other), {true, options_.seed, 0, iterations_.row_count(), 1},
                           kind.returned.matrix(batch_, extent_.size()));
    const Matrix<float> d = kind.d_back.matrix(batch_, extent_.size());
    backend_.fill(d.flat(), 0);
    l1_term(d, iterations_.metrics(kind.metrics + cycle_metric), returned, wanted,
            options_.lambda_cycle, rows_);
    backend_.activation_gradient(kind.back->output_gradient(), d, returned,
                                 kind.back->epilogue(kind.generator->network.layer_count() - 1));
    kind.back->backward_gradients(kind.generator->optimiser.gradients(iterations_.shard()), false,
                                  other.d_fakes.matrix(batch_, extent_.size()));
}

void CycleTrainer::backward_through_fakes(Kind& kind, const Kind& other) {
    const std::int64_t rows = identity() ? 2 * batch_ : batch_;
    const Matrix<float> made = kind.made.matrix(rows, extent_.size());
    const Matrix<float> d_made = kind.d_made.matrix(rows, extent_.size());
    const Matrix<float> logit =
        kind.judged->forward(fakes(kind), {true, options_.seed, 0, iterations_.row_count(), 1});
    generator_loss(kind.judged->output_gradient(),
                   iterations_.metrics(kind.metrics + generator_in_kind, GeneratorMetrics::count),
                   logit, 1);
    const Matrix<float> d_fakes = d_made.row_range(0, batch_);
    kind.judged->backward_input(d_fakes);
    backend_.weighted_sum(d_fakes.flat(), d_fakes.flat(), 1,
                          kind.d_fakes.matrix(batch_, extent_.size()).flat(), 1, {}, 0);
    if (identity()) {
        const Matrix<float> same = made.row_range(batch_, batch_), wanted = pictures(other);
        const Matrix<float> d_same = d_made.row_range(batch_, batch_);
        backend_.fill(d_same.flat(), 0);
        l1_term(d_same, iterations_.metrics(kind.metrics + identity_metric), same, wanted,
                options_.lambda_identity * options_.lambda_cycle, rows_);
    }
    backend_.activation_gradient(kind.pass->output_gradient(), d_made, made,
                                 kind.pass->epilogue(kind.generator->network.layer_count() - 1));
    kind.pass->backward_gradients(kind.generator->optimiser.gradients(iterations_.shard()), true);
}

void CycleTrainer::discriminator_step(Kind& kind, const Kind& other, std::uint32_t number,
                                      Matrix<const float> fakes, bool again, int slot) {
    const StepCount count = iterations_.count();
    Matrix<const float> shown = fakes;
    if (options_.pool > 0) {
        const Matrix<float> exchanged = kind.shown.matrix(fakes.rows, extent_.size());
        backend_.exchange_pictures(
            exchanged, kind.pool.matrix(options_.pool, extent_.size()), fakes,
            {options_.seed, static_cast<std::uint32_t>(Purpose::picture_pool) + number, count});
        shown = exchanged;
    }
    kind.discriminator->optimiser.step(iterations_, fakes.rows, count, [&](std::int64_t rows) {
        if (again) {
            draw(slot);
        }
        const Matrix<float> seen = kind.seen.matrix(2 * rows, extent_.size());
        const Matrix<const float> its = shown.row_range(iterations_.shard().first, rows);
        const auto bytes = static_cast<std::size_t>(its.size()) * sizeof(float);
        backend_.copy(seen.data, pictures(other).data, bytes);
        backend_.copy(seen.row_range(rows, rows).data, its.data, bytes);
        const Matrix<float> logit =
            kind.judged->forward(seen, {true, options_.seed, 0, iterations_.row_count(), 2});
        discriminator_loss(
            kind.judged->output_gradient(),
            iterations_.metrics(kind.metrics + discriminator_in_kind, DiscriminatorMetrics::count),
            logit);
        return ShardPass{kind.judged.get()};
    });
}

void CycleTrainer::enqueue(const IterationPattern& pattern) {
    const std::int64_t batch = pattern.rows.front();
    const bool again = iterations_.shards(batch).size() > 1;
    Optimiser::step_together({&b_.generator->optimiser, &a_.generator->optimiser}, iterations_,
                             batch, iterations_.count(), [&] {
                                 draw(pattern.slot);
                                 make_fakes(b_);
                                 make_fakes(a_);
                                 backward_through_cycle(a_, b_);
                                 backward_through_cycle(b_, a_);
                                 backward_through_fakes(b_, a_);
                                 backward_through_fakes(a_, b_);
                                 fakes_.put(iterations_.shard(), {fakes(b_), fakes(a_)});
                             });
    fakes_.gather();
    discriminator_step(b_, a_, 1, fakes_.of(0), again, pattern.slot);
    discriminator_step(a_, b_, 0, fakes_.of(1), again, pattern.slot);
}

} // namespace patchforge
