#include "host/train/gan_trainer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <stdexcept>

#include "host/files/safetensors.h"

namespace patchforge {

namespace {

constexpr std::int64_t metric_count = std::int64_t{DiscriminatorMetrics::count} + GeneratorMetrics::count;

// Iterations in one recording where many of the same shape follow each other: enough to hide what a
// launch costs the host (a few microseconds) behind iterations that can take as little as 30.
constexpr int unrolled_iterations = 8;

} // namespace

bool GanMetrics::finite() const {
    return std::isfinite(loss_d()) && std::isfinite(loss_g) && std::isfinite(probability_real) &&
           std::isfinite(probability_fake);
}

NetworkShape discriminator_shape(const GanOptions& options, std::int64_t pixels) {
    return multilayer_perceptron(pixels, options.hidden_dims, 1, Activation::leaky_relu,
                                 static_cast<float>(options.leaky_slope), true,
                                 static_cast<float>(options.dropout), Activation::identity);
}

NetworkShape generator_shape(const GanOptions& options, std::int64_t pixels) {
    return multilayer_perceptron(options.latent_dim, options.hidden_dims, pixels, Activation::relu,
                                 0.2f, false, 0, Activation::tanh);
}

GanTrainer::GanTrainer(Backend& backend, const GanOptions& options, const PatchRows& patches,
                       Placement placement)
    : backend_(backend), options_(options), pixels_(patches.pixels_per_patch()),
      device_step_(backend, 1),
      source_(std::make_unique<BatchSource>(backend, patches,
                                            BatchOptions{options.batch_size, options.drop_last,
                                                         options.n_critic, options.seed, placement},
                                            device_step_.data())),
      generator_(backend, generator_shape(options, pixels_)),
      discriminator_(backend, discriminator_shape(options, pixels_)),
      generator_pass_(generator_, source_->rows_of_draw(0)),
      discriminator_pass_(discriminator_, 2 * source_->rows_of_draw(0)),
      latent_(backend, source_->rows_of_draw(0) * options.latent_dim),
      samples_(backend, 2 * source_->rows_of_draw(0) * pixels_), metrics_(backend, metric_count),
      history_(backend, maximum_run * metric_count) {
    generator_.initialise(options.seed, 0);
    discriminator_.initialise(options.seed, 1);
    total_steps_ = options.steps > 0 ? static_cast<std::uint64_t>(options.steps)
                                     : static_cast<std::uint64_t>(options.epochs) * steps_per_epoch();
}

std::uint64_t GanTrainer::steps_per_epoch() const {
    return static_cast<std::uint64_t>(
        (source_->batches_per_epoch() + options_.n_critic - 1) / options_.n_critic);
}

Adam GanTrainer::adam(double learning_rate, StepCount step) const {
    Adam adam;
    adam.learning_rate = static_cast<float>(learning_rate);
    adam.beta1 = static_cast<float>(options_.beta1);
    adam.beta2 = static_cast<float>(options_.beta2);
    adam.epsilon = static_cast<float>(options_.adam_epsilon);
    adam.step = step;
    return adam;
}

void GanTrainer::draw_latent(Matrix<float> latent, Purpose purpose, StepCount draw) {
    const RandomStream random{options_.seed, static_cast<std::uint32_t>(purpose), draw};
    if (options_.latent == LatentDistribution::normal) {
        backend_.fill_normal(latent.flat(), 0, 1, random);
    } else {
        backend_.fill_uniform(latent.flat(), -1, 1, random);
    }
}

void GanTrainer::discriminator_step(std::int64_t draw, std::int64_t rows, int slot) {
    const StepCount count{device_step_.data(), static_cast<std::uint32_t>(options_.n_critic),
                          static_cast<std::uint32_t>(draw)};
    const Matrix<float> samples = samples_.matrix(2 * rows, pixels_);
    source_->gather(samples.row_range(0, rows), {}, draw, slot, PixelRange::signed_unit);
    const Matrix<float> latent = latent_.matrix(rows, options_.latent_dim);
    draw_latent(latent, Purpose::latent_discriminator, count);
    generator_pass_.forward(latent, {}, samples.row_range(rows, rows));

    const Matrix<float> logit = discriminator_pass_.forward(
        samples,
        {true, options_.seed, static_cast<std::uint32_t>(Purpose::dropout_discriminator_step), count});
    backend_.discriminator_loss(discriminator_pass_.output_gradient().flat(),
                                metrics_.view().part(0, DiscriminatorMetrics::count), logit.flat(),
                                rows, options_.loss, static_cast<float>(options_.real_label));
    discriminator_pass_.backward_update(discriminator_, adam(options_.learning_rate_d, count));
}

void GanTrainer::generator_step(std::int64_t rows) {
    const StepCount count{device_step_.data(), 1, 0};
    const Matrix<float> latent = latent_.matrix(rows, options_.latent_dim);
    draw_latent(latent, Purpose::latent_generator, count);
    const Matrix<float> fakes =
        generator_pass_.forward(latent, {}, samples_.matrix(rows, pixels_));
    const Matrix<float> logit = discriminator_pass_.forward(
        fakes,
        {true, options_.seed, static_cast<std::uint32_t>(Purpose::dropout_generator_step), count});
    backend_.generator_loss(
        discriminator_pass_.output_gradient().flat(),
        metrics_.view().part(DiscriminatorMetrics::count, GeneratorMetrics::count), logit.flat(),
        options_.loss);
    discriminator_pass_.backward_input(generator_pass_.output_gradient(),
                                       generator_pass_.epilogue(generator_.layer_count() - 1));
    generator_pass_.backward_update(generator_, adam(options_.learning_rate_g, count));
}

void GanTrainer::enqueue_iteration(const Pattern& pattern) {
    for (std::size_t draw = 0; draw < pattern.rows.size(); ++draw) {
        discriminator_step(static_cast<std::int64_t>(draw), pattern.rows[draw], pattern.slot);
    }
    generator_step(pattern.rows.back());
    backend_.finish_iteration(device_step_.data(), history_.matrix(maximum_run, metric_count),
                              metrics_.view());
}

GanTrainer::Pattern GanTrainer::pattern_of(std::uint64_t iteration) const {
    Pattern pattern;
    for (std::int64_t draw = 0; draw < options_.n_critic; ++draw) {
        pattern.rows.push_back(source_->rows_of_draw(
            iteration * static_cast<std::uint64_t>(options_.n_critic) +
            static_cast<std::uint64_t>(draw)));
    }
    pattern.slot = streamed() ? static_cast<int>(iteration % 2) : 0;
    return pattern;
}

Recording& GanTrainer::recording(const Pattern& pattern) {
    std::unique_ptr<Recording>& recording = recordings_[pattern];
    if (!recording) {
        recording = backend_.record([this, pattern] {
            for (int i = 0; i < pattern.unrolled; ++i) {
                enqueue_iteration(pattern);
            }
        });
    }
    return *recording;
}

std::vector<GanMetrics> GanTrainer::run(std::int64_t count) {
    if (count < 1 || count > maximum_run) {
        throw std::invalid_argument(fmt::format("GanTrainer::run: {} iterations; give 1 to {}",
                                                count, maximum_run));
    }
    const std::uint64_t first = step_;
    const std::uint64_t end = step_ + static_cast<std::uint64_t>(count);
    while (step_ < end) {
        Pattern pattern = pattern_of(step_);
        if (streamed()) {
            source_->stage(step_, pattern.slot);
            recording(pattern).replay();
            source_->release(pattern.slot);
            ++step_;
            continue;
        }
        std::uint64_t same = 1;
        while (step_ + same < end && pattern_of(step_ + same).rows == pattern.rows) {
            ++same;
        }
        const std::uint64_t whole = same / unrolled_iterations;
        if (whole > 0) {
            Pattern unrolled = pattern;
            unrolled.unrolled = unrolled_iterations;
            recording(unrolled).replay(static_cast<std::int64_t>(whole));
        }
        if (same % unrolled_iterations > 0) {
            recording(pattern).replay(static_cast<std::int64_t>(same % unrolled_iterations));
        }
        step_ += same;
    }
    std::vector<float> history(static_cast<std::size_t>(maximum_run * metric_count));
    history_.download(history.data(), maximum_run * metric_count);
    std::vector<GanMetrics> metrics;
    for (std::uint64_t step = first; step < end; ++step) {
        const float* row = history.data() + step % maximum_run * metric_count;
        const float* g = row + DiscriminatorMetrics::count;
        metrics.push_back({row[DiscriminatorMetrics::loss_real], row[DiscriminatorMetrics::loss_fake],
                           row[DiscriminatorMetrics::probability_real],
                           row[DiscriminatorMetrics::probability_fake],
                           row[DiscriminatorMetrics::accuracy], g[GeneratorMetrics::loss]});
    }
    return metrics;
}

std::map<std::string, std::vector<std::byte>> GanTrainer::checkpoint() const {
    TensorFile state;
    const auto add_moments = [&](const Network& network, const std::string& prefix) {
        for (Tensor& tensor : network.moments().tensors) {
            tensor.name = prefix + tensor.name;
            state.tensors.push_back(std::move(tensor));
        }
    };
    add_moments(generator_, "generator.");
    add_moments(discriminator_, "discriminator.");
    state.tensors.push_back(make_u64("step", {}, &step_));
    const auto encode = [](const TensorFile& file) {
        return encode_safetensors(file.tensors, file.metadata);
    };
    return {{"generator.safetensors", encode(generator_.weights())},
            {"discriminator.safetensors", encode(discriminator_.weights())},
            {"state.safetensors", encode(state)}};
}

void GanTrainer::restore(const std::string& folder) {
    const std::string generator_path = folder + "/generator.safetensors";
    const std::string discriminator_path = folder + "/discriminator.safetensors";
    const std::string state_path = folder + "/state.safetensors";
    generator_.load_weights(read_safetensors(generator_path), generator_path);
    discriminator_.load_weights(read_safetensors(discriminator_path), discriminator_path);
    const TensorFile state = read_safetensors(state_path);
    const auto moments_of = [&](const std::string& prefix) {
        TensorFile file;
        for (const Tensor& tensor : state.tensors) {
            if (tensor.name.rfind(prefix, 0) == 0) {
                Tensor named = tensor;
                named.name = tensor.name.substr(prefix.size());
                file.tensors.push_back(std::move(named));
            }
        }
        return file;
    };
    generator_.load_moments(moments_of("generator."), state_path);
    discriminator_.load_moments(moments_of("discriminator."), state_path);
    step_ = u64(state.at("step"))[0];
    device_step_.upload(&step_, 1);
}

} // namespace patchforge
