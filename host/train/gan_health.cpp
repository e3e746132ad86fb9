#include "host/train/gan_health.h"

#include <fmt/format.h>

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

bool normalised(const Network& network) {
    return std::any_of(
        network.shape().layers.begin(), network.shape().layers.end(),
        [](const LayerShape& layer) { return layer.normalisation != Normalisation::none; });
}

} // namespace

std::vector<std::string> gan_health_columns() {
    return {"probe_accuracy", "grad_norm_D", "grad_norm_G", "dead_D",
            "dead_G",         "saturated",   "diversity",   "saturated_patches"};
}

std::vector<double> gan_health_values(const GanHealth& health) {
    return {health.accuracy_d,   health.gradient_norm_d,  health.gradient_norm_g,
            health.dead_units_d, health.dead_units_g,     health.saturated,
            health.diversity,    health.saturated_patches};
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
            labels.push_back(patches.labels[static_cast<std::size_t>(row)]);
        }
    }
    samples_.upload(host.data(), rows_ * pixels_);
    distance_of_patches_ = mean_distance(host.data(), rows_, pixels_);
    saturated_patches_ = saturated_share_of(host);

    const GanOptions& options = trainer.options();
    const std::int64_t classes = trainer.classes();
    DeviceArray<float> drawn(backend, rows_ * options.latent_dim);
    const RandomStream random{options.seed,
                              static_cast<std::uint32_t>(Purpose::fixed_latent),
                              {nullptr, 1, 2}}; // draw 0 is the grids', 1 a virtual batch's
    if (options.latent == LatentDistribution::normal) {
        backend.fill_normal(drawn.view(), 0, 1, random);
    } else {
        backend.fill_uniform(drawn.view(), -1, 1, random);
    }
    const Matrix<float> latent = latent_.matrix(rows_, options.latent_dim + classes);
    backend.copy_columns(latent, 0, drawn.matrix(rows_, options.latent_dim), 0, options.latent_dim);
    if (classes > 0) {
        inputs_ = DeviceArray<float>(backend, 2 * rows_ * (pixels_ + classes));
        labels.insert(labels.end(), labels.begin(), labels.begin() + rows_); // the fakes' too
        labels_ = DeviceArray<std::int32_t>(backend, 2 * rows_);
        labels_.upload(labels.data(), 2 * rows_);
        backend.one_hot(latent, options.latent_dim, classes, labels_.view().part(0, rows_));
    }
    backend.synchronise();
}

double GanProbe::dead_units(const Pass& pass, const Network& network) {
    double dead = 0, units = 0;
    for (std::int64_t layer = 0; layer < network.layer_count(); ++layer) {
        const Activation activation = pass.epilogue(layer).activation;
        if (activation == Activation::relu || activation == Activation::leaky_relu) {
            float count = 0;
            backend_.count_dead_columns(metrics_.view().part(0, 1), pass.output(layer));
            metrics_.download(&count, 1);
            dead += count;
            units += static_cast<double>(pass.output(layer).columns);
        }
    }
    return units > 0 ? dead / units : 0;
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
        inputs = inputs_.matrix(2 * rows_, pixels_ + classes);
        backend_.copy_columns(inputs, 0, samples, 0, pixels_);
        backend_.one_hot(inputs, pixels_, classes, labels_.view());
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
    if (!normalised(discriminator)) {
        discriminator_pass_.backward_gradients(gradients_d_.view(), false);
        health.gradient_norm_d = norm(gradients_d_);
    }

    if (!normalised(discriminator) && !normalised(generator)) {
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

std::vector<std::string> gan_warnings(const GanSigns& signs, GanLoss loss) {
    using namespace gan_thresholds;
    std::vector<std::string> warnings;
    const GanHealth& health = signs.health;
    const bool logistic = loss == GanLoss::non_saturating || loss == GanLoss::minimax;
    if (!(std::abs(signs.loss_d) <= diverging_loss && std::abs(signs.loss_g) <= diverging_loss)) {
        warnings.push_back(fmt::format(
            "Divergence: the losses are {:.3g} and {:.3g}, further than {:.0f} from 0; lower the "
            "learning rates",
            signs.loss_d, signs.loss_g, diverging_loss));
    }
    if (health.diversity < collapse_diversity) {
        warnings.push_back(fmt::format(
            "Collapse: two fakes differ {:.2f} times as much as two patches do (below {:.2f}); try "
            "--instance-noise 0.1, --minibatch-discrimination 32 or a lower --lr-g",
            health.diversity, collapse_diversity));
    }
    if (logistic && health.accuracy_d >= winning_accuracy &&
        signs.probability_fake < winning_probability) {
        warnings.push_back(fmt::format(
            "The discriminator wins: it is right about {:.0f} % and D(G(z)) is {:.3f}, so the "
            "generator learns little; try --instance-noise 0.1, --real-label 0.9 or a lower --lr-d",
            100 * health.accuracy_d, signs.probability_fake));
    }
    if (logistic && health.accuracy_d <= blind_accuracy &&
        std::abs(signs.probability_real - signs.probability_fake) < blind_difference) {
        warnings.push_back(fmt::format(
            "The discriminator tells nothing: it is right about {:.0f} % and answers {:.3f} and "
            "{:.3f}; either the game is at rest, or D learns too little (raise --lr-d)",
            100 * health.accuracy_d, signs.probability_real, signs.probability_fake));
    }
    if (health.saturated > health.saturated_patches + saturated_share) {
        warnings.push_back(fmt::format("Saturation: {:.0f} % of the fakes' pixels are beyond 0.99 "
                                       "of the range, of the patches' "
                                       "{:.0f} %; tanh passes no gradient there; lower --lr-g",
                                       100 * health.saturated, 100 * health.saturated_patches));
    }
    for (const auto& [name, share] : {std::pair("discriminator", health.dead_units_d),
                                      std::pair("generator", health.dead_units_g)}) {
        if (share > dead_share) {
            warnings.push_back(fmt::format(
                "Dead units: {:.0f} % of the {}'s are never above 0; lower its learning rate",
                100 * share, name));
        }
    }
    return warnings;
}

} // namespace patchforge
