#include "host/gan/gan_health.h"

#include <algorithm>
#include <cmath>

namespace patchforge {

namespace {

constexpr std::int64_t most_rows = 64;

// Mean Euclidean distance of two different rows.
double mean_distance(const float* rows, std::int64_t count, std::int64_t width) {
    double sum = 0;
    for (std::int64_t i = 0; i < count; ++i) {
        for (std::int64_t j = 0; j < i; ++j) {
            float squares = 0;
            for (std::int64_t c = 0; c < width; ++c) {
                const float difference = rows[i * width + c] - rows[j * width + c];
                squares += difference * difference;
            }
            sum += std::sqrt(squares);
        }
    }
    const std::int64_t pairs = count * (count - 1) / 2;
    return pairs > 0 ? sum / static_cast<double>(pairs) : 0;
}

double saturated_share_of(const std::vector<float>& values) {
    const auto saturated = std::count_if(values.begin(), values.end(),
                                         [](float value) { return std::abs(value) > 0.99f; });
    return static_cast<double>(saturated) / static_cast<double>(values.size());
}

// Evaluation mode, in which the probe looks, leaves out what statistics of a batch pass on.
bool plain_discriminator(const GanOptions& options) {
    return !options.layered() && options.normalisation_d == Normalisation::none;
}
bool plain_generator(const GanOptions& options) {
    return !options.layered() && options.normalisation_g == Normalisation::none;
}

bool rectified(Activation activation) {
    return activation == Activation::relu || activation == Activation::leaky_relu;
}

} // namespace

std::vector<GanHealthColumn> gan_health_columns(const GanOptions& options) {
    std::vector<GanHealthColumn> columns{
        {"probe_accuracy", "health/probe_accuracy", &GanHealth::accuracy_d}};
    if (plain_discriminator(options)) {
        columns.push_back({"grad_norm_D", "grad_norm/D", &GanHealth::gradient_norm_d});
        if (plain_generator(options)) {
            columns.push_back({"grad_norm_G", "grad_norm/G", &GanHealth::gradient_norm_g});
        }
    }
    if (!options.layered() && rectified(options.activation_d)) {
        columns.push_back({"dead_D", "health/dead_units_D", &GanHealth::dead_units_d});
    }
    if (!options.layered() && rectified(options.activation_g)) {
        columns.push_back({"dead_G", "health/dead_units_G", &GanHealth::dead_units_g});
    }
    columns.insert(columns.end(), {{"saturated", "health/saturated", &GanHealth::saturated},
                                   {"diversity", "health/diversity", &GanHealth::diversity},
                                   {"saturated_patches", "health/saturated_patches",
                                    &GanHealth::saturated_patches}});
    return columns;
}

GanProbe::GanProbe(Backend& backend, GanTrainer& trainer, const PatchRows& patches)
    : backend_(backend), trainer_(trainer), rows_(std::min(most_rows, patches.used())),
      pixels_(patches.pixels_per_patch()), generator_pass_(trainer.generator(), rows_),
      discriminator_pass_(trainer.discriminator(), 2 * rows_),
      latent_(backend, rows_ * trainer.generator().shape().inputs()),
      samples_(backend, 2 * rows_ * pixels_),
      d_inputs_(backend, rows_ * trainer.discriminator().shape().inputs()),
      gradients_d_(backend, trainer.discriminator().all().value.size),
      gradients_g_(backend, trainer.generator().all().value.size),
      metrics_(backend, DiscriminatorMetrics::count), sum_(backend, 1) {
    std::vector<float> host(static_cast<std::size_t>(rows_ * pixels_));
    std::vector<std::int32_t> labels;
    for (std::int64_t r = 0; r < rows_; ++r) {
        const std::int64_t row = patches.row(r * patches.used() / rows_);
        const std::uint8_t* patch = patches.pixels + row * pixels_;
        std::transform(patch, patch + pixels_, host.begin() + r * pixels_,
                       [](std::uint8_t byte) { return static_cast<float>(byte) / 127.5f - 1; });
        if (trainer.classes() > 0) {
            labels.push_back(patches.labels[row]);
        }
    }
    samples_.upload(host.data(), rows_ * pixels_);
    distance_of_patches_ = mean_distance(host.data(), rows_, pixels_);
    saturated_patches_ = saturated_share_of(host);

    const GanOptions& options = trainer.options();
    const std::int64_t classes = trainer.classes();
    DeviceArray<float> drawn(backend, rows_ * options.latent_dim);
    // Draw 0 is the grids', 1 a virtual batch's.
    trainer.draw_latent(drawn.matrix(rows_, options.latent_dim), Purpose::fixed_latent,
                        {nullptr, 1, 2});
    const Matrix<float> latent = latent_.matrix(rows_, options.latent_dim + classes);
    backend.copy_columns(latent, 0, drawn.matrix(rows_, options.latent_dim), 0, options.latent_dim);
    if (classes > 0) {
        class_columns_ =
            ClassColumns(backend, 2 * rows_, pixels_, classes,
                         (trainer.discriminator().shape().inputs() - pixels_) / classes);
        labels.insert(labels.end(), labels.begin(), labels.begin() + rows_); // the fakes' too
        labels_ = DeviceArray<std::int32_t>(backend, 2 * rows_);
        labels_.upload(labels.data(), 2 * rows_);
        backend.one_hot(latent, options.latent_dim, classes, labels_.view().part(0, rows_));
    }
    backend.synchronise();
}

double GanProbe::dead_units(const Trace& pass, const Network& network) {
    double dead = 0, units = 0;
    for (std::int64_t layer = 0; layer < network.layer_count(); ++layer) {
        if (rectified(pass.epilogue(layer).activation)) {
            float count = 0;
            backend_.count_dead_columns(metrics_.view().part(0, 1), pass.output(layer));
            metrics_.download(&count, 1);
            dead += count;
            units += static_cast<double>(pass.output(layer).columns);
        }
    }
    return units > 0 ? dead / units : GanHealth::unmeasured;
}

GanHealth GanProbe::look() {
    const GanOptions& options = trainer_.options();
    const Network& generator = trainer_.generator();
    const Network& discriminator = trainer_.discriminator();
    const std::int64_t classes = trainer_.classes();
    GanHealth health;
    const auto norm = [&](const DeviceArray<float>& gradients) {
        double squares = 0;
        backend_.sum_of_squares(sum_.view(), gradients.view());
        sum_.download(&squares, 1);
        return std::sqrt(squares);
    };

    const Matrix<float> samples = samples_.matrix(2 * rows_, pixels_);
    const Matrix<float> fakes = samples.row_range(rows_, rows_);
    generator_pass_.forward(latent_.matrix(rows_, generator.shape().inputs()), {}, fakes);
    health.dead_units_g = dead_units(generator_pass_, generator);
    Matrix<float> inputs = samples;
    if (classes > 0) {
        inputs = class_columns_.append(samples, labels_.view());
    }

    DropoutSource both;
    both.groups = 2;
    const Matrix<float> logit = discriminator_pass_.forward(inputs, both);
    health.dead_units_d = dead_units(discriminator_pass_, discriminator);
    backend_.discriminator_loss(discriminator_pass_.output_gradient().flat(), metrics_.view(),
                                logit.flat(), rows_, options.loss,
                                static_cast<float>(options.real_label));
    std::vector<float> metrics(DiscriminatorMetrics::count);
    metrics_.download(metrics.data(), DiscriminatorMetrics::count);
    health.accuracy_d = metrics[DiscriminatorMetrics::accuracy];
    if (plain_discriminator(options)) {
        discriminator_pass_.backward_gradients(gradients_d_.view(), false);
        health.gradient_norm_d = norm(gradients_d_);
    }

    if (plain_discriminator(options) && plain_generator(options)) {
        const Matrix<float> answer = discriminator_pass_.forward(inputs.row_range(rows_, rows_));
        backend_.generator_loss(discriminator_pass_.output_gradient().flat(), metrics_.view(),
                                answer.flat(), options.loss);
        const Matrix<float> d_inputs = d_inputs_.matrix(rows_, inputs.columns);
        discriminator_pass_.backward_input(d_inputs);
        const Matrix<float> d_fakes = generator_pass_.output_gradient();
        const std::int64_t last = generator.layer_count() - 1;
        backend_.copy_columns(d_fakes, 0, d_inputs, 0, pixels_);
        backend_.activation_gradient(d_fakes, d_fakes, fakes, generator_pass_.epilogue(last));
        generator_pass_.backward_gradients(gradients_g_.view(), false);
        health.gradient_norm_g = norm(gradients_g_);
    }

    std::vector<float> host(static_cast<std::size_t>(rows_ * pixels_));
    backend_.download(host.data(), fakes.data, host.size() * sizeof(float));
    health.saturated = saturated_share_of(host);
    health.saturated_patches = saturated_patches_;
    const double distance = mean_distance(host.data(), rows_, pixels_);
    health.diversity = distance_of_patches_ > 0 ? distance / distance_of_patches_ : 0;
    return health;
}

} // namespace patchforge
