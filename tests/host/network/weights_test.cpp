// Weights as files: names, refusals, and generators in evaluation mode.
#include <gtest/gtest.h>

#include <cmath>

#include "host/files/safetensors.h"
#include "host/model/image_generator.h"
#include "host/network/network.h"

namespace patchforge {
namespace {

NetworkShape small_generator() {
    return multilayer_perceptron(5, {8, 9}, 12, Activation::relu, 0.2f, false, 0, Activation::tanh);
}

std::string refusal(auto action) {
    try {
        action();
    } catch (const std::exception& error) {
        return error.what();
    }
    return "";
}

TEST(NetworkShape, DescriptionRoundTrip) {
    const NetworkShape shape = multilayer_perceptron(7500, {256, 128}, 1, Activation::leaky_relu,
                                                     0.2f, true, 0.5f, Activation::identity);
    const NetworkShape again = network_shape_from_description(describe(shape));
    EXPECT_EQ(describe(shape), describe(again));
    EXPECT_EQ(again.layers.size(), 3u);
    EXPECT_EQ(again.layers[1].module_index, 3);
    EXPECT_FLOAT_EQ(again.layers[0].dropout, 0.5f);
    // What is typed may leave @k and identity out.
    EXPECT_EQ(describe(network_shape_from_description("3>4 relu; 4>2")),
              "3>4 relu @0; 4>2 identity @2");
    for (const char* bad : {"", "3>", "3>4 swish @0", "3>4 relu @0; 5>6 tanh @2",
                            "3>4 relu @0 what", "0>4 relu @0", "3>4 leaky_relu slope=x @0"}) {
        EXPECT_NE(refusal([&] { network_shape_from_description(bad); }), "") << bad;
    }
}

// nn.BatchNorm saves the number of batches that it has seen, which nothing here depends on.
TEST(Network, TakesPyTorchsNumberOfBatches) {
    const auto backend = make_cpu_backend();
    const NetworkShape shape =
        network_shape_from_description("1x4x4; conv 1>2 k3 norm=batch relu; linear 8>2");
    Network first(*backend, shape), second(*backend, shape);
    first.initialise(7, 0);
    second.initialise(8, 0);
    TensorFile file = first.weights();
    std::vector<std::string> names;
    for (const Tensor& tensor : file.tensors) {
        names.push_back(tensor.name);
    }
    EXPECT_EQ(names,
              (std::vector<std::string>{"0.weight", "0.bias", "1.weight", "1.bias", "4.weight",
                                        "4.bias", "1.running_mean", "1.running_var"}));
    file.tensors.push_back({"1.num_batches_tracked", "I64", {}, std::vector<std::byte>(8)});
    second.load_weights(file, "test");
    EXPECT_EQ(first.weights().at("4.weight").bytes, second.weights().at("4.weight").bytes);
    file.tensors.back().name = "1.num_batches";
    EXPECT_NE(refusal([&] { second.load_weights(file, "test"); }).find("holds 9 tensors"),
              std::string::npos);
}

TEST(Network, InitialWeightsAreUniformWithinTheBound) {
    const auto backend = make_cpu_backend();
    Network network(*backend, multilayer_perceptron(100, {300}, 1, Activation::relu, 0.2f, false, 0,
                                                    Activation::identity));
    network.initialise(7, 0);
    const TensorFile file = network.weights();
    const auto weight = f32(file.at("0.weight"));
    double sum = 0;
    double squares = 0;
    for (const float value : weight) {
        ASSERT_LE(std::abs(value), 0.1f); // 1 / sqrt(100)
        sum += value;
        squares += double{value} * value;
    }
    const auto count = static_cast<double>(weight.size());
    // Variance of U(-a, a) is a^2 / 3; five standard errors.
    EXPECT_NEAR(sum / count, 0, 5 * 0.1 / std::sqrt(3 * count));
    EXPECT_NEAR(squares / count, 0.01 / 3, 5 * 0.003 / std::sqrt(count));
}

TEST(Network, RefusesWeightsOfAnotherNetwork) {
    const auto backend = make_cpu_backend();
    Network network(*backend, small_generator());
    Network deeper(*backend, multilayer_perceptron(5, {8, 9, 9}, 12, Activation::relu, 0.2f, false,
                                                   0, Activation::tanh));
    Network wider(*backend, multilayer_perceptron(5, {8, 10}, 12, Activation::relu, 0.2f, false, 0,
                                                  Activation::tanh));
    EXPECT_NE(refusal([&] {
                  network.load_weights(deeper.weights(), "deeper.safetensors");
              }).find("deeper.safetensors: holds 8 tensors"),
              std::string::npos);
    EXPECT_NE(refusal([&] {
                  network.load_weights(wider.weights(), "wider.safetensors");
              }).find("2.weight has the shape [10, 8]"),
              std::string::npos);
    EXPECT_EQ(refusal([&] { network.load_weights(network.weights(), "own"); }), "");
}

TEST(ImageGenerator, SameCodeSamePatchWhateverItsNeighbours) {
    const auto backend = make_cpu_backend();
    Network network(*backend, small_generator());
    network.initialise(3, 0);
    ImageGenerator generator(network, {3, 2, 2, "normal"});
    const std::vector<float> many = generator.latents(130, 11);
    const std::vector<float> few(many.begin() + 70 * 5, many.begin() + 73 * 5);
    const auto all = generator.bytes(many);
    const auto some = generator.bytes(few);
    EXPECT_TRUE(std::equal(some.begin(), some.end(), all.begin() + 70 * 12));
    EXPECT_EQ(all, generator.bytes(many));
    EXPECT_NE(generator.latents(2, 11), generator.latents(2, 12));
}

TEST(ImageGenerator, PixelRange) {
    EXPECT_EQ(byte_of_signed_unit(-1), 0);
    EXPECT_EQ(byte_of_signed_unit(1), 255);
    EXPECT_EQ(byte_of_signed_unit(0), 128); // 127.5 rounds away from zero
    EXPECT_EQ(byte_of_signed_unit(-7), 0);
    EXPECT_EQ(byte_of_signed_unit(7), 255);
}

TEST(ImageGenerator, SizesOfPicturesThatAreNotSaid) {
    const TensorFile bare;
    EXPECT_NE(refusal([&] { GeneratorFormat::read(bare, 12, "bare"); }), "");
    EXPECT_EQ(GeneratorFormat::read(bare, 7500, "bare").height, 50);
    EXPECT_EQ(GeneratorFormat::read(bare, 784, "bare").channels, 1);
}

} // namespace
} // namespace patchforge
