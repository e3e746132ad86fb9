// Weights of other programs: read as they are told to be, or refused.
#include "host/model/brought_in.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "host/model/classifier_model.h"
#include "tests/host/temporary_folder.h"

namespace patchforge {
namespace {

// Tensors with names of one's own choice, in which every number tells tensor and place.
TensorFile file_of(const std::vector<std::pair<std::string, std::vector<std::int64_t>>>& tensors) {
    TensorFile file{"own.safetensors", {}, {}};
    float first = 0;
    for (const auto& [name, shape] : tensors) {
        const std::int64_t count =
            std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>());
        std::vector<float> values(static_cast<std::size_t>(count));
        for (std::size_t i = 0; i < values.size(); ++i) {
            values[i] = first + 0.01f * std::sin(static_cast<float>(i) + first);
        }
        first += 0.25f;
        file.tensors.push_back(make_f32(name, shape, values.data()));
    }
    return file;
}

std::string refusal(const std::function<void()>& call) {
    try {
        call();
    } catch (const std::exception& error) {
        return error.what();
    }
    return "";
}

BroughtIn brought(const TensorFile& file, const ModelReading& reading) {
    const auto backend = make_cpu_backend();
    return bring_in(*backend, file, reading);
}

// The file of fc1 12>4, fc2 4>4, fc10 4>4, head 4>2, in the order of safetensors: by name.
const TensorFile perceptron = file_of({{"fc1.bias", {4}},
                                       {"fc1.weight", {4, 12}},
                                       {"fc10.bias", {4}},
                                       {"fc10.weight", {4, 4}},
                                       {"fc2.bias", {4}},
                                       {"fc2.weight", {4, 4}},
                                       {"head.bias", {2}},
                                       {"head.weight", {2, 4}}});

TEST(BroughtIn, NoNetworkNoGuess) {
    const std::string said = refusal([] { brought(perceptron, {}); });
    EXPECT_NE(said.find("own.safetensors: does not say what its network is"), std::string::npos);
    EXPECT_NE(said.find("--network"), std::string::npos);
    // Nor is a text that cannot be read: whose it is is said.
    EXPECT_TRUE(refusal([&] {
                    brought(perceptron, {"12>9999999999999", {}, {}, {}});
                }).starts_with("--network: network '12>9999999999999': "));
    TensorFile file = perceptron;
    file.metadata["network"] = "nonsense";
    EXPECT_TRUE(
        refusal([&] { brought(file, {}); }).starts_with(file.name + ": network 'nonsense': "));
}

TEST(BroughtIn, ModulesGoByShapeAndNumber) {
    const ModelReading reading{"12>4 relu; 4>4 tanh; 4>4 relu; 4>2", {}, {}, {}};
    const BroughtIn model = brought(perceptron, reading);
    EXPECT_TRUE(reading.heeded);
    EXPECT_EQ(model.held_as.at("0.weight"), "fc1.weight");
    EXPECT_EQ(model.held_as.at("2.bias"), "fc2.bias");
    EXPECT_EQ(model.held_as.at("4.weight"), "fc10.weight"); // 10 is behind 2
    EXPECT_EQ(model.held_as.at("6.weight"), "head.weight");
    EXPECT_EQ(f32(model.file.at("4.weight"))[5], f32(perceptron.at("fc10.weight"))[5]);
    EXPECT_EQ(model.sees(), "2x - 1");
}

TEST(BroughtIn, WordsSayNoOrder) {
    const TensorFile words =
        file_of({{"enter.weight", {4, 12}}, {"left.weight", {4, 4}}, {"right.weight", {4, 4}}});
    const std::string said = refusal([&] {
        brought(words, {"12>4 relu nobias; 4>4 relu nobias; 4>4 nobias", {}, {}, {}});
    });
    EXPECT_NE(said.find("left and right have equal shapes"), std::string::npos);
}

TEST(BroughtIn, OtherShapesAreNamed) {
    const auto with = [](const char* network) {
        return refusal([&] { brought(perceptron, {network, {}, {}, {}}); });
    };
    EXPECT_NE(with("12>4 relu; 4>4 relu; 4>2")
                  .find("holds 2 modules of bias [4] and weight [4, 4] "
                        "(fc10, fc2), the network has 1"),
              std::string::npos);
    EXPECT_NE(with("12>5 relu; 5>2").find("no layer for fc1: bias [4] and weight [4, 12]"),
              std::string::npos);
}

TEST(BroughtIn, BatchNormAndItsCounter) {
    TensorFile file = file_of({{"stem.weight", {4, 3, 3, 3}},
                               {"bn.weight", {4}},
                               {"bn.bias", {4}},
                               {"bn.running_mean", {4}},
                               {"bn.running_var", {4}},
                               {"fc.weight", {2, 4}},
                               {"fc.bias", {2}}});
    const std::int64_t batches = 7;
    file.tensors.push_back(make_i64("bn.num_batches_tracked", {}, &batches));
    const BroughtIn model = brought(
        file,
        {"3x8x8; conv 3>4 k3 p1 nobias norm=batch relu; pool global; linear 4>2", {}, {}, {}});
    EXPECT_EQ(model.held_as.at("1.running_var"), "bn.running_var");
    EXPECT_EQ(model.held_as.at("5.weight"), "fc.weight");
}

// (x - mean) / deviation of every channel, in front of padding, whose zeros stay zeros; and the same
// from the file that is written then.
TEST(BroughtIn, MeanAndDeviationBecomeALayer) {
    const TemporaryFolder folder;
    const auto backend = make_cpu_backend();
    const TensorFile file = file_of({{"c.weight", {2, 2, 3, 3}},
                                     {"c.bias", {2}},
                                     {"fc.weight", {2, 2 * 3 * 3}},
                                     {"fc.bias", {2}}});
    write_safetensors(folder / "own.safetensors", file.tensors);
    const double mean[] = {0.25, 0.75}, deviation[] = {0.5, 0.125};
    const ModelReading reading{
        "2x3x3; conv 2>2 k3 p1; linear 18>2", {0.25, 0.75}, {0.5, 0.125}, {"cat", "bee"}};
    const auto model = ClassifierModel::load(*backend, folder / "own.safetensors", reading);
    EXPECT_EQ(model->format().class_names, (std::vector<std::string>{"cat", "bee"}));
    std::vector<float> x(18);
    for (std::size_t i = 0; i < x.size(); ++i) {
        x[i] = 0.05f * static_cast<float>(i);
    }
    std::vector<double> maps(18, 0.0), logits(2, 0.0);
    const auto w = f32(file.at("c.weight")), b = f32(file.at("c.bias"));
    for (int o = 0; o < 2; ++o) {
        for (int p = 0; p < 9; ++p) {
            double sum = b[static_cast<std::size_t>(o)];
            for (int t = 0; t < 18; ++t) {
                const int c = t / 9, y = p / 3 + t % 9 / 3 - 1, column = p % 3 + t % 3 - 1;
                if (y >= 0 && y < 3 && column >= 0 && column < 3) {
                    const auto at = static_cast<std::size_t>(9 * c + 3 * y + column);
                    sum +=
                        w[static_cast<std::size_t>(18 * o + t)] * (x[at] - mean[c]) / deviation[c];
                }
            }
            maps[static_cast<std::size_t>(9 * o + p)] = sum;
        }
    }
    for (std::size_t o = 0; o < 2; ++o) {
        logits[o] = f32(file.at("fc.bias"))[o];
        for (std::size_t i = 0; i < 18; ++i) {
            logits[o] += f32(file.at("fc.weight"))[18 * o + i] * maps[i];
        }
    }
    const std::vector<float> here = model->logits(std::span<const float>(x));
    for (std::size_t o = 0; o < 2; ++o) {
        EXPECT_FALSE(!(std::abs(here[o] - logits[o]) <= 1e-5 * std::abs(logits[o])))
            << here[o] << " " << logits[o];
    }
    const TensorFile saved = model->weights();
    write_safetensors(folder / "saved.safetensors", saved.tensors, saved.metadata);
    const auto again = ClassifierModel::load(*backend, folder / "saved.safetensors");
    EXPECT_EQ(again->logits(std::span<const float>(x)), here);
    EXPECT_EQ(again->format().class_names, model->format().class_names);
}

TEST(BroughtIn, MetadataSaysIt) {
    TensorFile file = file_of({{"a.weight", {2, 12}}, {"a.bias", {2}}});
    file.metadata = {
        {"network", "3x2x2; linear 12>2"}, {"mean", "[0.5, 0.25, 0.125]"}, {"std", "0.2"}};
    const BroughtIn model = brought(file, {});
    EXPECT_FALSE(model.by_options);
    EXPECT_EQ(model.sees(), "(x - (0.5, 0.25, 0.125)) / 0.2");
    file.metadata.erase("std");
    EXPECT_NE(refusal([&] { brought(file, {}); }).find("one of mean and std"), std::string::npos);
    file.metadata["std"] = "small";
    EXPECT_NE(refusal([&] { brought(file, {}); }).find("'small' for std"), std::string::npos);
}

TEST(BroughtIn, OtherPrecisionsBecomeFloat32) {
    const std::vector<float> right = {1, -2, 0.5f, 0.25f};
    const auto with = [](const char* dtype, const auto& values) {
        TensorFile file = file_of({{"0.bias", {2}}});
        const auto* first = reinterpret_cast<const std::byte*>(values.data());
        file.tensors.push_back({"0.weight", dtype, {2, 2}, {first, first + sizeof values}});
        return file;
    };
    const ModelReading reading{"2>2", {}, {}, {}};
    for (const TensorFile& file :
         {with("F16", std::array<std::uint16_t, 4>{0x3c00, 0xc000, 0x3800, 0x3400}),
          with("BF16", std::array<std::uint16_t, 4>{0x3f80, 0xc000, 0x3f00, 0x3e80}),
          with("F64", std::array<double, 4>{1, -2, 0.5, 0.25})}) {
        const BroughtIn model = brought(file, reading);
        const auto values = f32(model.file.at("0.weight"));
        EXPECT_TRUE(std::ranges::equal(values, right)) << file.tensors[1].dtype;
    }
    const TensorFile large = with("F64", std::array<double, 4>{1e300, 1, 1, 1});
    EXPECT_NE(refusal([&] { brought(large, reading); }).find("too large for float32"),
              std::string::npos);
}

TEST(BroughtIn, FactsThatCannotBeAreRefused) {
    TensorFile file = file_of({{"0.bias", {2}}, {"0.weight", {2, 6}}});
    const auto with = [&](const char* key, const char* value) {
        TensorFile changed = file;
        changed.metadata = {{"network", "3x2x1; linear 6>2"}, {"mean", "0.5"}, {"std", "0.5"}};
        changed.metadata[key] = value;
        return refusal([&] {
            const BroughtIn model = brought(changed, {});
            ClassifierFormat::read(model.file, model.shape, changed.name);
        });
    };
    EXPECT_EQ(with("classes", "[\"a\",\"b\"]"), "");
    EXPECT_NE(with("classes", "[\"a\",\"a\"]").find("a name of its own"), std::string::npos);
    EXPECT_NE(with("classes", "[\"\",\"a\"]").find("a name of its own"), std::string::npos);
    EXPECT_NE(with("std", "0.5,0,0.5").find("pixels are divided by it"), std::string::npos);
    EXPECT_NE(with("std", "-1").find("pixels are divided by it"), std::string::npos);
    EXPECT_NE(with("network", "6x1x1; linear 6>2"), "");
}

TEST(BroughtIn, OptionsThatNoFileNeededAreRefused) {
    TensorFile file = file_of({{"a.weight", {2, 12}}, {"a.bias", {2}}});
    file.metadata["network"] = "3x2x2; linear 12>2";
    const ModelReading reading{"3x2x2; linear 12>2", {}, {}, {}};
    brought(file, reading);
    EXPECT_NE(refusal([&] { reading.refuse_unheeded(); }), "");
}

} // namespace
} // namespace patchforge
