// Sizes, parameter counts, and the bicubic enlargement inside edsr.
#include "host/translate/translate_networks.h"

#include <gtest/gtest.h>

#include <cmath>

#include "data/cubic.h"
#include "host/translate/translator.h"
#include "tests/kernels/backends.h"

namespace patchforge {
namespace {

TranslateOptions options_of(GeneratorKind generator, int width, int blocks) {
    TranslateOptions options;
    if (generator != GeneratorKind::edsr) {
        choose_mode(options, TranslationMode::paired);
    }
    options.generator = generator;
    options.width = width;
    options.blocks = blocks;
    return options;
}

// Numbers of the field's layers, which have a bias before every instance normalisation, too.
std::int64_t with_every_bias(const NetworkShape& shape) {
    std::int64_t count = shape.parameter_count();
    for (const LayerShape& layer : shape.layers) {
        count += layer.trained && layer.has_weights() && !layer.bias ? layer.out().channels : 0;
    }
    return count;
}

TEST(TranslateNetworks, HaveAsManyParametersAsTheFields) {
    const auto generator = [](GeneratorKind kind, int width, int blocks, Extent in) {
        return with_every_bias(translation_generator(options_of(kind, width, blocks), in, 3));
    };
    EXPECT_EQ(generator(GeneratorKind::edsr, 16, 3, {3, 25, 25}), 26403);
    EXPECT_EQ(generator(GeneratorKind::edsr, 32, 4, {3, 25, 25}), 121987);
    EXPECT_EQ(generator(GeneratorKind::edsr, 64, 16, {3, 25, 25}), 1369859);
    EXPECT_EQ(generator(GeneratorKind::resnet, 32, 2, {3, 50, 50}), 784387);
    EXPECT_EQ(generator(GeneratorKind::resnet, 32, 3, {3, 50, 50}), 1079555);
    EXPECT_EQ(generator(GeneratorKind::resnet, 64, 9, {3, 50, 50}), 11378179);
    EXPECT_EQ(generator(GeneratorKind::resnet_small, 16, 3, {3, 50, 50}), 69219);
    const auto discriminator = [](int width, int layers, int channels) {
        TranslateOptions options;
        options.width_d = width;
        options.layers_d = layers;
        return with_every_bias(patch_discriminator(options, {channels, 50, 50}));
    };
    EXPECT_EQ(discriminator(64, 3, 3), 2764737);
    EXPECT_EQ(discriminator(64, 3, 6), 2767809);
    EXPECT_EQ(discriminator(32, 2, 3), 167649);
    EXPECT_EQ(discriminator(32, 2, 6), 169185);
}

TEST(TranslateNetworks, TakeEverySize) {
    for (const int side : {50, 49, 48, 28, 32}) {
        for (const GeneratorKind kind :
             {GeneratorKind::unet, GeneratorKind::resnet, GeneratorKind::resnet_small}) {
            const NetworkShape shape =
                translation_generator(options_of(kind, 4, 2), {3, side, side}, 3);
            EXPECT_EQ(shape.layers.back().out(), (Extent{3, side, side}));
        }
        for (const int layers : {1, 2, 3}) {
            TranslateOptions options;
            options.layers_d = layers;
            EXPECT_GT(patch_discriminator(options, {3, side, side}).outputs(), 0);
        }
    }
    for (const int side : {25, 24, 14, 3}) {
        const NetworkShape shape =
            translation_generator(options_of(GeneratorKind::edsr, 4, 2), {1, side, side}, 1);
        EXPECT_EQ(shape.layers.back().out(), (Extent{1, 2 * side, 2 * side}));
    }
}

// 16, 34 and 70 pixels: the map of the last exceeds a patch of 50.
TEST(TranslateNetworks, DiscriminatorsAnswerByPlace) {
    const auto answers = [](int layers) {
        TranslateOptions options;
        options.layers_d = layers;
        return patch_discriminator(options, {3, 50, 50}).layers.back().out().height;
    };
    EXPECT_EQ(answers(1), 23);
    EXPECT_EQ(answers(2), 10);
    EXPECT_EQ(answers(3), 4);
}

TEST(TranslateNetworks, RefuseWhatTheyCannotRead) {
    const auto refused = [](GeneratorKind kind, Extent in) {
        EXPECT_THROW(translation_generator(options_of(kind, 4, 2), in, 3), std::invalid_argument)
            << in.text();
    };
    refused(GeneratorKind::edsr, {3, 2, 2});
    refused(GeneratorKind::unet, {3, 4, 4});
    refused(GeneratorKind::unet, {3, 50, 49});
    refused(GeneratorKind::resnet, {3, 50, 48});
    refused(GeneratorKind::resnet_small, {3, 2, 2});
    TranslateOptions options;
    options.layers_d = 3;
    EXPECT_THROW(patch_discriminator(options, {3, 16, 16}), std::invalid_argument);
}

class TranslateNetworksTest : public testing::BackendTest {};
PATCHFORGE_ON_EVERY_BACKEND(TranslateNetworksTest);

Image striped_picture(int channels, int height, int width) {
    Image image{width, height, channels, {}};
    for (int i = 0; i < channels * height * width; ++i) {
        image.pixels.push_back(static_cast<std::uint8_t>((i * 29 + i * i / 7) % 256));
    }
    return image;
}

// A network whose last trained layer gives 0 leaves the bicubic enlargement: PyTorch's, but for two
// lines at the border, where it mirrors.
TEST_P(TranslateNetworksTest, EdsrAddsToTheBicubicEnlargement) {
    const TranslateOptions options = options_of(GeneratorKind::edsr, 4, 1);
    Network network(backend(), translation_generator(options, {3, 9, 11}, 3));
    initialise_translation(network, options, 0);
    for (std::int64_t l = 0; l < network.layer_count(); ++l) {
        if (network.shape().layers[static_cast<std::size_t>(l)].name == "detail") {
            backend().fill(network.weight(l).flat(), 0);
            backend().fill(network.bias(l), 0);
        }
    }
    const Image small = striped_picture(3, 9, 11);
    const Image made = Translator(backend(), options, network.weights()).translate({small})[0];
    const Image right = resize_cubic(small, 22, 18, torch_cubic);
    ASSERT_EQ(made.pixels.size(), right.pixels.size());
    for (int c = 0; c < 3; ++c) {
        for (int y = 3; y < 15; ++y) {
            for (int x = 3; x < 19; ++x) {
                const auto at = static_cast<std::size_t>((c * 18 + y) * 22 + x);
                EXPECT_NEAR(made.pixels[at], right.pixels[at], 1) << c << ' ' << y << ' ' << x;
            }
        }
    }
}

// A network of patches translates pictures of other sizes, and of none that it takes as they are.
TEST_P(TranslateNetworksTest, OneSetOfWeightsTakesPicturesOfAnySize) {
    for (const GeneratorKind kind : {GeneratorKind::unet, GeneratorKind::resnet_small}) {
        const TranslateOptions options = options_of(kind, 2, 1);
        Network network(backend(), translation_generator(options, {3, 16, 16}, 3));
        initialise_translation(network, options, 0);
        Translator translator(backend(), options, network.weights());
        const Image alone = striped_picture(3, 20, 20);
        const std::vector<Image> made = translator.translate(
            {striped_picture(3, 16, 16), alone, striped_picture(3, 13, 18), alone});
        EXPECT_EQ(made[1].width, 20);
        EXPECT_EQ(made[2].width, 18);
        EXPECT_EQ(made[2].height, 13);
        EXPECT_EQ(made[1].pixels, translator.translate({alone})[0].pixels);
        EXPECT_EQ(made[1].pixels, made[3].pixels);
        EXPECT_THROW(translator.translate({striped_picture(1, 16, 16)}), std::invalid_argument);
    }
}

} // namespace
} // namespace patchforge
