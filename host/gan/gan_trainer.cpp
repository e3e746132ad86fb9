#include "host/gan/gan_trainer.h"

#include <algorithm>
#include <stdexcept>

#include "host/files/safetensors.h"

namespace patchforge {

namespace {

// Where an iteration's metrics lie.
constexpr std::int64_t metrics_of_g = DiscriminatorMetrics::count;
constexpr std::int64_t penalty_metric = metrics_of_g + GeneratorMetrics::count;
constexpr std::int64_t pixel_metric = penalty_metric + 1;
constexpr std::int64_t wrong_metric = pixel_metric + 1; // where pairs are wrong or codes drawn
constexpr std::int64_t divergence_metric = wrong_metric + 1;

bool knows_classes_well(const GanOptions& options) {
    return options.wrong_pairs || options.lambda_kl > 0;
}
std::int64_t metric_count(const GanOptions& options) {
    return (knows_classes_well(options) ? divergence_metric : pixel_metric) + 1;
}

constexpr std::int64_t statistics_rows = 64; // of a batch of settle_average

std::int64_t reference_rows(Normalisation normalisation, std::int64_t batch) {
    return normalisation == Normalisation::virtual_batch ? batch : 0;
}

// Whether the fakes of D's step and of G's are independent rows of one batch: one D step, a G whose
// rows know nothing of each other, and nothing put between G's output and D.
bool draws_fakes_together(const GanOptions& options) {
    return options.n_critic == 1 && !options.conditional && !options.feature_matching &&
           options.lambda_pixel == 0 && options.instance_noise == 0 &&
           options.normalisation_g == Normalisation::none &&
           options.normalisation_d != Normalisation::virtual_batch && !options.layered() &&
           !options.augments() && !options.one_fake;
}

} // namespace

std::vector<std::string> GanMetrics::names(const GanOptions& options) {
    std::vector<std::string> names = {
        "d_loss_real", "d_loss_fake",      "D_x",           "D_G_z", "d_accuracy",
        "g_loss",      "gradient_penalty", "pixel_distance"};
    if (knows_classes_well(options)) {
        names.insert(names.end(), {"d_loss_wrong", "divergence"});
    }
    return names;
}

std::vector<double> GanMetrics::values(const GanOptions& options) const {
    std::vector<double> values = {loss_d_real, loss_d_fake, probability_real, probability_fake,
                                  accuracy_d,  loss_g,      gradient_penalty, pixel_distance};
    if (knows_classes_well(options)) {
        values.insert(values.end(), {loss_d_wrong, divergence});
    }
    return values;
}

GanTrainer::GanTrainer(Backend& backend, const GanOptions& options, const PatchRows& patches,
                       Placement placement, const Sharding& sharding)
    : backend_(backend), options_(options),
      pixels_(patches.pixels_per_patch()), pictures_{patches.channels, patches.height,
                                                     patches.width},
      classes_(classes_of(options, patches)),
      iterations_(backend, patches,
                  {options.batch_size, options.drop_last, options.n_critic, options.seed, placement,
                   sharding},
                  metric_count(options)),
      batch_(std::min(iterations_.source().rows_of_draw(0), iterations_.source().rows_of_shard())),
      reference_d_(reference_rows(options.normalisation_d, iterations_.source().rows_of_draw(0))),
      reference_g_(reference_rows(options.normalisation_g, iterations_.source().rows_of_draw(0))),
      shapes_(gan_shapes(options, patches.extent(), classes_, reference_g_, reference_d_)),
      fakes_together_(draws_fakes_together(options) && !sharding.cut()),
      generator_(backend, shapes_.generator), discriminator_(backend, shapes_.discriminator),
      average_(generator_, options.ema, options.ema_warmup),
      optimiser_g_(generator_, optimiser_options(options, options.learning_rate_g, 0), false),
      optimiser_d_(discriminator_,
                   optimiser_options(options, options.learning_rate_d, options.clip_value),
                   options.penalises_slope() || options.wrong_pairs),
      generator_pass_(generator_, reference_g_ + (fakes_together_ ? 2 : 1) * batch_),
      discriminator_pass_(discriminator_, reference_d_ + 2 * batch_),
      latent_(backend,
              (reference_g_ + (fakes_together_ ? 2 : 1) * batch_) * generator_.shape().inputs()),
      samples_(backend, (reference_d_ + (fakes_together_ ? 3 : 2) * batch_) * pixels_) {
    const std::int64_t batch = batch_;
    const std::int64_t rows = reference_d_ + 2 * batch;
    const std::int64_t inputs = discriminator_.shape().inputs();
    generator_.initialise(options.seed, 0);
    discriminator_.initialise(options.seed, 1);
    if (options.components > 0) {
        const PatchComponents components = fit_patch_components(patches, options.components);
        set_projection(discriminator_, components);
        set_reconstruction(generator_, components);
    }
    if (classes_ > 0) {
        drawn_latent_ = DeviceArray<float>(backend, (reference_g_ + batch) * options.latent_dim);
        class_columns_ =
            ClassColumns(backend, rows, pixels_, classes_, (inputs - pixels_) / classes_);
        row_numbers_ = DeviceArray<std::int32_t>(backend, batch);
        labels_ = DeviceArray<std::int32_t>(backend, rows);
    }
    if (options.wrong_pairs) {
        if (classes_ < 2) {
            throw std::invalid_argument("--wrong-pairs: the patches have one class alone; give "
                                        "patches of two, in folders by class");
        }
        wrong_pass_ = std::make_unique<Trace>(discriminator_, batch);
        wrong_labels_ = DeviceArray<std::int32_t>(backend, batch);
        wrong_answers_ = DeviceArray<float>(backend, 4 * batch);
        wrong_metrics_ = DeviceArray<float>(backend, DiscriminatorMetrics::count);
    }
    if (options.lambda_kl > 0) {
        condition_ = condition_layer(generator_.shape());
        if (condition_ < 0) {
            throw std::invalid_argument("--lambda-kl: the generator has no augment");
        }
        generator_pass_.start_from(condition_);
    }
    if (options.instance_noise > 0) {
        noisy_ = DeviceArray<float>(backend, rows * pixels_);
    }
    if (options.symmetries || options.dequantise) {
        drawn_patches_ = DeviceArray<float>(backend, batch * pixels_);
    }
    if (options.augments()) {
        moved_ = DeviceArray<float>(backend, rows * pixels_);
    }
    if (average_ && options.ema_statistics > 0) {
        average_pass_ = std::make_unique<Trace>(average_.network(), statistics_rows,
                                                TraceUse{.backward = false});
    }
    if (options.penalises_slope()) {
        between_ = DeviceArray<float>(backend, options.r1 > 0 ? 0 : batch * pixels_);
        penalty_ = std::make_unique<GradientPenalty>(discriminator_, batch, pixels_);
    }
    if (options.lambda_pixel > 0) {
        row_values_ = DeviceArray<float>(backend, batch);
    }
    if (options.feature_matching) {
        const auto& layers = discriminator_.shape().layers;
        feature_means_ = DeviceArray<float>(backend, 3 * layers[last_hidden()].outputs);
        discriminator_pass_.keep(last_hidden());
        ones_ = DeviceArray<float>(backend, batch);
        backend.fill(ones_.view(), 1);
    }
    if (classes_ > 0 || reference_d_ > 0 || reference_g_ > 0 || options.lambda_pixel > 0 ||
        options.feature_matching || options.augments()) {
        d_inputs_ = DeviceArray<float>(backend, rows * inputs);
    }
    if (sharding.cut()) {
        optimiser_g_.sum_over(sharding, {&generator_, &discriminator_}, batch);
        optimiser_d_.sum_over(sharding, {&generator_, &discriminator_}, 2 * batch);
        batch_latent_ = DeviceArray<float>(backend, options.batch_size * options.latent_dim);
    }
    set_reference_rows(patches);
    average_.restart();
    total_steps_ = options.steps > 0
                       ? static_cast<std::uint64_t>(options.steps)
                       : static_cast<std::uint64_t>(options.epochs) * steps_per_epoch();
    schedule_rates();
    iterations_.define([this](const IterationPattern& pattern) { enqueue_iteration(pattern); });
    if (options.persistent) {
        require_persistent();
        iterations_.run_whole([this](const IterationPattern& pattern, std::int64_t times) {
            backend_.gan_iterations(persistent_iterations(pattern.rows.front()), times);
        });
    }
}

void GanTrainer::schedule_rates() {
    RateSchedule schedule = options_.rates.over(steps_per_epoch(), total_steps_);
    optimiser_g_.schedule_rate(schedule);
    schedule.start *= static_cast<std::uint64_t>(options_.n_critic);
    schedule.end *= static_cast<std::uint64_t>(options_.n_critic);
    optimiser_d_.schedule_rate(schedule);
}

ShardPass GanTrainer::discriminator_pass(std::int64_t draw, std::int64_t rows, int slot) {
    const StepCount count = iterations_.row_count(options_.n_critic, draw);
    draw_patches(reference_d_, rows, draw, slot);
    if (fakes_together_) {
        draw_fakes_of_both_steps(rows);
    } else {
        draw_fakes(reference_d_ + rows, rows, Purpose::latent_discriminator,
                   iterations_.count(options_.n_critic, draw), draw);
    }
    discriminator_pass_.forward(shown(reference_d_ + 2 * rows, draw),
                                {true, options_.seed,
                                 static_cast<std::uint32_t>(Purpose::dropout_discriminator_step),
                                 count, 2});
    discriminator_losses(rows);
    if (!penalty_ && !wrong_pass_) {
        return {&discriminator_pass_};
    }
    return {&discriminator_pass_, [this, rows, draw, count](Vector<float> gradients) {
                if (wrong_pass_) {
                    add_wrong_pairs(gradients, iterations_.metrics(wrong_metric), rows, draw);
                }
                if (penalty_) {
                    add_gradient_penalty(gradients, rows, count);
                }
            }};
}

// Between patches and fakes, each row at a place of its own; of R1 at the patches. Neither noise nor
// translation nor cutout comes between them and D.
void GanTrainer::add_gradient_penalty(Vector<float> gradients, std::int64_t rows, StepCount draw) {
    const Matrix<float> samples = samples_.matrix(reference_d_ + 2 * rows, pixels_);
    const RandomStream random{options_.seed, static_cast<std::uint32_t>(Purpose::gradient_penalty),
                              draw};
    const Matrix<float> patches = samples.row_range(reference_d_, rows);
    const Matrix<float> fakes = samples.row_range(reference_d_ + rows, rows);
    const bool r1 = options_.r1 > 0;
    Matrix<float> points = r1 ? patches : between_.matrix(rows, pixels_);
    if (!r1) {
        backend_.interpolate_rows(points, patches, fakes, random);
    }
    if (classes_ > 0) {
        points = class_columns_.append(points, labels_.view().part(reference_d_, rows));
    }
    penalty_->add_gradient(gradients, iterations_.metrics(penalty_metric), points,
                           static_cast<float>(r1 ? options_.r1 : options_.lambda_gp),
                           r1 ? GradientPenalty::Slope::zero : GradientPenalty::Slope::one);
}

ShardPass GanTrainer::generator_pass(std::int64_t rows, int slot) {
    const StepCount count = iterations_.row_count();
    const std::int64_t last = options_.n_critic - 1;
    // Of a batch that is cut, D's step left another shard's labels and fakes.
    const bool again = iterations_.sharding().cut();
    if (classes_ > 0 && again) {
        draw_patches(reference_d_, rows, last, slot);
    }
    const bool with_patches = options_.feature_matching || options_.lambda_pixel > 0;
    if (with_patches) {
        draw_patches(reference_d_ + rows, rows, last, slot);
    }
    if (options_.one_fake && again) {
        draw_fakes(reference_d_, rows, Purpose::latent_discriminator,
                   iterations_.count(options_.n_critic, last), last);
    } else if (options_.one_fake) {
        backend_.copy(samples_.data(), samples_.data() + rows * pixels_,
                      static_cast<std::size_t>(rows * pixels_) * sizeof(float));
    } else if (!fakes_together_) {
        draw_fakes(reference_d_, rows, Purpose::latent_generator, iterations_.count(),
                   options_.n_critic);
    }
    const std::int64_t groups = options_.feature_matching ? 2 : 1;
    discriminator_pass_.forward(
        fakes_together_ ? samples_.matrix(3 * rows, pixels_).row_range(2 * rows, rows)
                        : shown(reference_d_ + groups * rows, options_.n_critic),
        {true, options_.seed, static_cast<std::uint32_t>(Purpose::dropout_generator_step), count,
         groups});
    generator_losses(rows);
    if (condition_ >= 0) {
        backend_.gaussian_divergence(
            generator_pass_.gradient(condition_), iterations_.metrics(divergence_metric),
            generator_pass_.output(condition_), static_cast<float>(options_.lambda_kl));
    }
    std::int64_t from = discriminator_.layer_count() - 1;
    if (options_.feature_matching) {
        match_features(rows);
        from = last_hidden();
    }
    if (d_inputs_.size() == 0) {
        discriminator_pass_.backward_input(generator_pass_.output_gradient(),
                                           generator_pass_.epilogue(generator_.layer_count() - 1));
    } else {
        generator_output_gradient(rows, from);
    }
    return {&generator_pass_};
}

void GanTrainer::discriminator_losses(std::int64_t rows) {
    static_assert(DiscriminatorMetrics::loss_real == 0 && DiscriminatorMetrics::loss_fake == 1);
    head_losses_.sum(
        iterations_.metrics(0, DiscriminatorMetrics::count), 2, [&](int head, Vector<float> own) {
            const Matrix<float> logit = discriminator_pass_.output(head);
            const Matrix<float> d_logit = discriminator_pass_.gradient(head);
            if (reference_d_ > 0) {
                backend_.fill(d_logit.flat(), 0);
            }
            backend_.discriminator_loss(d_logit.row_range(reference_d_, 2 * rows).flat(), own,
                                        logit.row_range(reference_d_, 2 * rows).flat(),
                                        rows * logit.columns, options_.loss,
                                        static_cast<float>(options_.real_label));
        });
    if (wrong_pass_) {
        weigh_terms(rows);
    }
}

void GanTrainer::generator_losses(std::int64_t rows) {
    static_assert(GeneratorMetrics::loss == 0);
    head_losses_.sum(iterations_.metrics(metrics_of_g, GeneratorMetrics::count), 1,
                     [&](int head, Vector<float> own) {
                         const Matrix<float> d_logit = discriminator_pass_.gradient(head);
                         if (reference_d_ > 0) {
                             backend_.fill(d_logit.flat(), 0);
                         }
                         backend_.generator_loss(
                             d_logit.row_range(reference_d_, rows).flat(), own,
                             discriminator_pass_.output(head).row_range(reference_d_, rows).flat(),
                             options_.loss);
                     });
}

void GanTrainer::generator_output_gradient(std::int64_t rows, std::int64_t from) {
    const Matrix<float> d_inputs = d_inputs_.matrix(discriminator_pass_.output_gradient().rows,
                                                    discriminator_.shape().inputs());
    discriminator_pass_.backward_input(d_inputs, {}, from);
    const Matrix<float> all = generator_pass_.output_gradient();
    const Matrix<float> d_fakes = all.row_range(reference_g_, rows);
    if (reference_g_ > 0) {
        backend_.fill(all.flat(), 0);
    }
    if (options_.augments()) {
        // What D was shown is not needed any more: its place takes the gradient by it.
        const Matrix<float> d_moved = moved_.matrix(rows, pixels_);
        const auto step = options_.n_critic;
        backend_.copy_columns(d_moved, 0, d_inputs.row_range(0, rows), 0, pixels_);
        if (options_.cutout > 0) {
            backend_.cutout(d_moved, d_moved, pictures_, static_cast<int>(options_.cutout),
                            augmentation(5, step));
        }
        backend_.translate_gradient(d_fakes, d_moved, pictures_,
                                    static_cast<int>(options_.translation), augmentation(4, step));
    } else {
        backend_.copy_columns(d_fakes, 0, d_inputs.row_range(reference_d_, rows), 0, pixels_);
    }
    if (options_.lambda_pixel > 0) {
        const Matrix<float> samples = samples_.matrix(reference_d_ + 2 * rows, pixels_);
        const Matrix<float> fakes = samples.row_range(reference_d_, rows);
        const Matrix<float> patches = samples.row_range(reference_d_ + rows, rows);
        const Matrix<float> distance = row_values_.matrix(rows, 1);
        backend_.add_l1_gradient(
            d_fakes.flat(), fakes.flat(), patches.flat(),
            static_cast<float>(options_.lambda_pixel / static_cast<double>(rows * pixels_)));
        backend_.row_norms(distance.flat(), fakes, patches, Norm::l1);
        backend_.column_mean(iterations_.metrics(pixel_metric), distance);
        backend_.affine(iterations_.metrics(pixel_metric), iterations_.metrics(pixel_metric),
                        1.0f / static_cast<float>(pixels_), 0);
    }
    const std::int64_t last = generator_.layer_count() - 1;
    backend_.activation_gradient(all, all, generator_pass_.output(last),
                                 generator_pass_.epilogue(last));
}

// L = mean over the H features of (mean over fakes - mean over patches)^2, so each fake's feature j
// has the gradient 2 / (H B) * difference j: a rank-one product with a column of ones.
void GanTrainer::match_features(std::int64_t rows) {
    const std::int64_t hidden = last_hidden();
    const Matrix<float> features = discriminator_pass_.output(hidden);
    const std::int64_t width = features.columns;
    const Vector<float> means = feature_means_.view();
    const Vector<float> of_fakes = means.part(0, width), of_patches = means.part(width, width);
    const Vector<float> difference = means.part(2 * width, width);
    const Vector<float> loss = iterations_.metrics(metrics_of_g + GeneratorMetrics::loss);
    backend_.column_mean(of_fakes, features.row_range(reference_d_, rows));
    backend_.column_mean(of_patches, features.row_range(reference_d_ + rows, rows));
    backend_.weighted_sum(difference, of_fakes, 1, of_patches, -1, {}, 0);
    backend_.linear_forward({loss.data, 1, 1}, {difference.data, 1, width},
                            {difference.data, 1, width}, {}, {});
    backend_.affine(loss, loss, 1.0f / static_cast<float>(width), 0);
    backend_.affine(difference, difference, 2.0f / static_cast<float>(width * rows), 0);
    const Matrix<float> d = discriminator_pass_.gradient(hidden);
    backend_.fill(d.flat(), 0);
    backend_.linear_forward(d.row_range(reference_d_, rows), ones_.matrix(rows, 1),
                            {difference.data, width, 1}, {}, {});
    backend_.activation_gradient(d, d, features, discriminator_pass_.epilogue(hidden));
}

void GanTrainer::enqueue_iteration(const IterationPattern& pattern) {
    for (std::int64_t draw = 0; draw < options_.n_critic; ++draw) {
        optimiser_d_.step(
            iterations_, pattern.rows[draw], iterations_.count(options_.n_critic, draw),
            [&](std::int64_t rows) { return discriminator_pass(draw, rows, pattern.slot); });
    }
    optimiser_g_.step(iterations_, pattern.rows.back(), iterations_.count(),
                      [&](std::int64_t rows) { return generator_pass(rows, pattern.slot); });
    average_.follow(iterations_.count());
}

GanIterations GanTrainer::persistent_iterations(std::int64_t rows) const {
    const auto layer = [](const Network& network, std::int64_t l) {
        const LayerShape& shape = network.shape().layers[l];
        return TrainedLayer{network.weight_state(l), network.bias_state(l), shape.activation,
                            shape.slope, shape.dropout};
    };
    GanIterations job;
    for (std::int64_t l = 0; l < 3; ++l) {
        job.generator[l] = layer(generator_, l);
        job.discriminator[l] = layer(discriminator_, l);
    }
    job.latent = options_.latent_dim;
    job.hidden = generator_.shape().layers.front().outputs;
    job.pixels = pixels_;
    job.rows = rows;
    job.patches = iterations_.source().pixels();
    job.plan = iterations_.source().plan();
    job.seed = options_.seed;
    job.normal_codes = options_.latent == LatentDistribution::normal;
    job.loss = options_.loss;
    job.real_label = static_cast<float>(options_.real_label);
    job.adam_d = optimiser_d_.adam({});
    job.adam_g = optimiser_g_.adam({});
    job.step = iterations_.device_step();
    job.history = iterations_.history();
    return job;
}

void GanTrainer::require_persistent() const {
    const auto refuse = [](const std::string& what) {
        throw std::invalid_argument("--persistent: " + what +
                                    "; leave it out, or see docs/persistent.md");
    };
    const auto widths = [](const Network& network) {
        std::vector<std::int64_t> outputs;
        for (const LayerShape& layer : network.shape().layers) {
            outputs.push_back(layer.outputs);
        }
        outputs.pop_back();
        return outputs;
    };
    if (!fakes_together_ || !generator_.plain_chain() || !discriminator_.plain_chain() ||
        average_ || options_.components > 0 || !optimiser_d_.fused() || !optimiser_g_.fused()) {
        refuse(
            "it takes a plain GAN, without terms and layers beyond losses, dropout and clipping");
    }
    const std::vector<std::int64_t> hidden = widths(generator_);
    if (hidden.size() != 2 || hidden[0] != hidden[1] || widths(discriminator_) != hidden) {
        refuse("it takes two hidden layers of one width in both networks");
    }
    if (iterations_.sharding().cut()) {
        refuse("it takes whole batches, not --shards");
    }
    if (streamed()) {
        refuse("it takes patches that lie on the device, not streamed ones");
    }
    if (const std::string reason = backend_.why_no_gan_iterations(
            persistent_iterations(iterations_.source().rows_of_draw(0)));
        !reason.empty()) {
        refuse(reason);
    }
}

std::vector<GanMetrics> GanTrainer::run(std::int64_t count) {
    std::vector<GanMetrics> metrics;
    for (const std::vector<float>& row : iterations_.run(count)) {
        const float* g = row.data() + DiscriminatorMetrics::count;
        metrics.push_back(
            {row[DiscriminatorMetrics::loss_real], row[DiscriminatorMetrics::loss_fake],
             row[DiscriminatorMetrics::probability_real],
             row[DiscriminatorMetrics::probability_fake], row[DiscriminatorMetrics::accuracy],
             g[GeneratorMetrics::loss], row[penalty_metric], row[pixel_metric]});
        if (knows_classes_well(options_)) {
            metrics.back().loss_d_wrong = row[wrong_metric];
            metrics.back().divergence = row[divergence_metric];
        }
    }
    return metrics;
}

} // namespace patchforge
