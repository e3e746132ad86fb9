#include "host/gan/gan_networks.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "host/network/named_networks.h"
#include "host/numerics/pca.h"

namespace patchforge {

namespace {

// Directions of 64 to 256 components settle with far fewer patches than a whole set has.
constexpr std::int64_t rows_for_components = 2000;
constexpr double brightest_mean = 0.98; // atanh of a pixel that is white in every patch is infinite

void upload(Matrix<float> device, const std::vector<float>& host, Backend& backend) {
    backend.upload(device.data, host.data(), host.size() * sizeof(float));
}
void upload(Vector<float> device, const std::vector<float>& host, Backend& backend) {
    backend.upload(device.data, host.data(), host.size() * sizeof(float));
}

// What all hidden layers of a network have in common, and how far its modules are counted.
struct Builder {
    LayerShape hidden;
    bool dropout_modules = false;
    NetworkShape shape{};
    std::int64_t width = 0;
    int module = 0;

    void add_hidden(const std::vector<std::int64_t>& widths) {
        for (const std::int64_t outputs : widths) {
            hidden.inputs = width;
            hidden.outputs = outputs;
            hidden.module_index = module;
            shape.layers.push_back(hidden);
            module += 2 + dropout_modules + (hidden.normalisation != Normalisation::none);
            width = outputs;
        }
    }
    // A Linear, with an activation only if it is the last one.
    void add_linear(std::int64_t outputs, bool trained, Activation activation) {
        LayerShape layer;
        layer.inputs = width;
        layer.outputs = outputs;
        layer.activation = activation;
        layer.module_index = module;
        layer.trained = trained;
        shape.layers.push_back(layer);
        module += 1;
        width = outputs;
    }
};

const std::vector<std::int64_t>& widths_or(const std::vector<std::int64_t>& own,
                                           const std::vector<std::int64_t>& both) {
    return own.empty() ? both : own;
}

} // namespace

NetworkShape discriminator_shape(const GanOptions& options, std::int64_t pixels,
                                 std::int64_t classes, std::int64_t reference_rows) {
    Builder build;
    build.dropout_modules = true;
    build.width = pixels + classes;
    build.hidden.activation = options.activation_d;
    build.hidden.slope = static_cast<float>(options.leaky_slope);
    build.hidden.dropout = static_cast<float>(options.dropout);
    build.hidden.normalisation = options.normalisation_d;
    build.hidden.reference_rows = reference_rows;
    if (options.components > 0) {
        build.add_linear(options.components + classes, false, Activation::identity);
    }
    build.add_hidden(widths_or(options.hidden_dims_d, options.hidden_dims));
    if (options.closeness_columns > 0) {
        append_closeness(build.shape, options.closeness_columns, options.closeness_size);
        build.width = build.shape.outputs();
        build.module += 1;
    }
    build.add_linear(1, true, Activation::identity);
    return build.shape;
}

NetworkShape generator_shape(const GanOptions& options, std::int64_t pixels, std::int64_t classes,
                             std::int64_t reference_rows) {
    Builder build;
    build.width = options.latent_dim + classes;
    build.hidden.activation = options.activation_g;
    build.hidden.slope = static_cast<float>(options.leaky_slope);
    build.hidden.normalisation = options.normalisation_g;
    build.hidden.reference_rows = reference_rows;
    build.add_hidden(widths_or(options.hidden_dims_g, options.hidden_dims));
    if (options.components > 0) {
        build.add_linear(options.components, true, Activation::identity);
    }
    build.add_linear(pixels, options.components == 0, Activation::tanh);
    return build.shape;
}

std::int64_t condition_layer(const NetworkShape& generator) {
    for (std::int64_t l = std::ssize(generator.layers) - 1; l >= 0; --l) {
        const LayerShape& layer = generator.layers[l];
        if (layer.layer && layer.layer->text() == "augment") {
            return layer.from[1];
        }
    }
    return -1;
}

GanShapes gan_shapes(const GanOptions& options, Extent pictures, std::int64_t classes,
                     std::int64_t reference_rows_g, std::int64_t reference_rows_d) {
    const std::int64_t pixels = pictures.size();
    if (!options.layered()) {
        return {generator_shape(options, pixels, classes, reference_rows_g),
                discriminator_shape(options, pixels, classes, reference_rows_d)};
    }
    const GanTexts texts =
        options.network.empty()
            ? GanTexts{options.network_g, options.network_d}
            : gan_texts(options.network, pictures, options.latent_dim, classes, options.projection);
    GanShapes shapes{option_network("--network-g", texts.generator),
                     option_network("--network-d", texts.discriminator)};
    const auto refuse = [&](bool wrong, const char* option, const std::string& what) {
        if (wrong) {
            throw std::invalid_argument(fmt::format(
                "{}: {}; the pictures are {}, the codes {}{}", option, what, pictures.text(),
                options.latent_dim,
                classes == 0 ? ""
                             : fmt::format(", and {} classes, a number each behind the codes and "
                                           "a map each behind the pictures",
                                           classes)));
        }
    };
    const NetworkShape &g = shapes.generator, &d = shapes.discriminator;
    refuse(g.inputs() != options.latent_dim + classes, "--network-g",
           fmt::format("reads {} numbers", g.inputs()));
    refuse(g.outputs() != pixels || g.layers.back().activation != Activation::tanh, "--network-g",
           "has to end in tanh with as many numbers as pixels");
    // Classes are maps for a D that reads pictures, numbers for one that reads rows.
    Extent seen = pictures;
    seen.channels += static_cast<int>(classes);
    refuse(d.in.plane() > 1 ? !(d.in == seen) : d.inputs() != pixels + classes, "--network-d",
           fmt::format("reads {}", d.in.text()));
    refuse(d.outputs() != 1 || d.layers.back().activation != Activation::identity, "--network-d",
           "has to end in one number without an activation");
    return shapes;
}

PatchComponents fit_patch_components(const PatchRows& patches, std::int64_t components) {
    const std::int64_t used = std::min(patches.used(), rows_for_components);
    const std::int64_t pixels = patches.pixels_per_patch();
    if (components > std::min(used - 1, pixels)) {
        throw std::invalid_argument(fmt::format(
            "--components {}: {} patches of {} pixels have fewer; give at most {}", components,
            used, pixels, std::max<std::int64_t>(0, std::min(used - 1, pixels))));
    }
    Features features;
    features.count = used;
    features.dimension = pixels;
    features.values.resize(static_cast<std::size_t>(used * pixels));
    for (std::int64_t i = 0; i < used; ++i) {
        const std::uint8_t* patch =
            patches.pixels + patches.row(i * patches.used() / used) * pixels;
        std::transform(patch, patch + pixels, features.values.begin() + i * pixels,
                       [](std::uint8_t byte) { return static_cast<float>(byte / 127.5 - 1); });
    }
    PrincipalComponents pca = fit_principal_components(features, components);
    PatchComponents result{std::move(pca.mean), std::move(pca.basis), {}};
    for (const double variance : pca.variances) {
        // A direction in which nothing varies (few distinct patches) must not be divided by.
        result.deviations.push_back(std::sqrt(std::max(variance, 1e-8)));
    }
    return result;
}

void set_projection(Network& discriminator, const PatchComponents& components) {
    const Matrix<float> weight = discriminator.weight(0);
    const auto pixels = static_cast<std::int64_t>(components.mean.size());
    const auto count = static_cast<std::int64_t>(components.deviations.size());
    std::vector<float> rows(static_cast<std::size_t>(weight.size()));
    std::vector<float> bias(static_cast<std::size_t>(weight.rows));
    for (std::int64_t k = 0; k < count; ++k) {
        const double* direction = components.directions.data() + k * pixels;
        const double deviation = components.deviations[k];
        double centre = 0;
        for (std::int64_t j = 0; j < pixels; ++j) {
            rows[k * weight.columns + j] = static_cast<float>(direction[j] / deviation);
            centre += direction[j] * components.mean[j];
        }
        bias[k] = static_cast<float>(-centre / deviation);
    }
    // One column against `count` coordinates of variance 1 would hardly be heard.
    const auto loudness = static_cast<float>(std::sqrt(static_cast<double>(count)));
    for (std::int64_t c = 0; c < weight.rows - count; ++c) {
        rows[(count + c) * weight.columns + pixels + c] = loudness;
    }
    upload(weight, rows, discriminator.backend());
    upload(discriminator.bias(0), bias, discriminator.backend());
}

void set_reconstruction(Network& generator, const PatchComponents& components) {
    const std::int64_t last = generator.layer_count() - 1;
    const Matrix<float> weight = generator.weight(last);
    std::vector<float> rows(static_cast<std::size_t>(weight.size()));
    std::vector<float> bias(static_cast<std::size_t>(weight.rows));
    for (std::int64_t j = 0; j < weight.rows; ++j) {
        const double mean = std::clamp(components.mean[j], -brightest_mean, brightest_mean);
        bias[j] = static_cast<float>(std::atanh(mean));
        for (std::int64_t k = 0; k < weight.columns; ++k) {
            rows[j * weight.columns + k] =
                static_cast<float>(components.deviations[k] *
                                   components.directions[k * weight.rows + j] / (1 - mean * mean));
        }
    }
    upload(weight, rows, generator.backend());
    upload(generator.bias(last), bias, generator.backend());
}

} // namespace patchforge
