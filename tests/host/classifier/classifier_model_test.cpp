// What a classifier's file and its averaging add to a network: the threshold of its decision, and
// statistics of batch normalisation taken anew.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>

#include "host/attack/victim.h"
#include "host/files/safetensors.h"
#include "host/model/classifier_model.h"
#include "tests/host/temporary_folder.h"
#include "tests/host/train/random_patches.h"
#include "tests/kernels/backends.h"

namespace patchforge {
namespace {

class ClassifierModelTest : public testing::BackendTest {};

std::unique_ptr<ClassifierModel> small_model(Backend& backend, bool binary) {
    const ClassifierFormat format{1, 5, 5, {"a", "b"}, binary};
    auto model =
        std::make_unique<ClassifierModel>(backend, classifier_shape(format, {7}, 0), format);
    model->network().initialise(3, 2);
    return model;
}

TEST_P(ClassifierModelTest, AThresholdIsKeptAndHeededEverywhere) {
    const testing::RandomPatches patches(4, 50, 1, 5, 5);
    for (const bool binary : {false, true}) {
        const auto owned = small_model(backend(), binary);
        ClassifierModel& model = *owned;
        const std::span<const std::uint8_t> bytes = patches.bytes;
        const std::vector<float> p = model.probabilities(bytes);
        const std::vector<std::byte> before = encode_safetensors(model.weights().tensors);
        std::vector<float> sorted;
        for (std::size_t i = 1; i < p.size(); i += 2) {
            sorted.push_back(p[i]);
        }
        std::sort(sorted.begin(), sorted.end());
        const double threshold = (double{sorted[14]} + double{sorted[15]}) / 2;
        model.set_threshold(0.9);
        model.set_threshold(threshold);

        const TensorFile saved = model.weights();
        EXPECT_EQ(encode_safetensors(saved.tensors), before);
        const TemporaryFolder folder;
        const auto path = folder.path() / "classifier.safetensors";
        write_safetensors(path, saved.tensors, saved.metadata);
        const auto loaded = ClassifierModel::load(backend(), path);
        EXPECT_EQ(loaded->threshold(), threshold);
        const std::vector<std::int32_t> called = loaded->predictions(bytes);
        const std::vector<float> same = loaded->probabilities(bytes);
        WhiteBoxVictim victim({loaded.get()}, 50);
        const std::vector<float> pixels = [&] {
            std::vector<float> values;
            for (const std::uint8_t byte : bytes) {
                values.push_back(static_cast<float>(byte) / 255);
            }
            return values;
        }();
        DeviceArray<float> x(backend(), std::ssize(pixels));
        x.upload(pixels.data(), std::ssize(pixels));
        EXPECT_EQ(victim.predictions(x.matrix(50, 25), 50), called);
        std::int64_t ones = 0;
        for (std::size_t i = 0; i < called.size(); ++i) {
            EXPECT_EQ(called[i] == 1, double{p[2 * i + 1]} > threshold) << i;
            EXPECT_NEAR(same[2 * i + 1], p[2 * i + 1], 1e-6);
            ones += called[i];
        }
        EXPECT_EQ(ones, 35);
        model.set_threshold(0.5);
        EXPECT_EQ(model.probabilities(bytes), p);
        EXPECT_EQ(model.weights().metadata.count("threshold"), 0u);
    }
}

TEST_P(ClassifierModelTest, SaysWhatThresholdsCannotBe) {
    const auto owned = small_model(backend(), false);
    ClassifierModel& model = *owned;
    for (const double wrong : {0.0, 1.0, -1.0, std::nan("")}) {
        EXPECT_THROW(model.set_threshold(wrong), std::invalid_argument) << wrong;
    }
    TensorFile file = model.weights();
    const TemporaryFolder folder;
    const auto path = folder.path() / "classifier.safetensors";
    for (const char* wrong : {"", "high", "1", "0", "nan"}) {
        write_safetensors(path, file.tensors, [&] {
            auto metadata = file.metadata;
            metadata["threshold"] = wrong;
            return metadata;
        }());
        try {
            ClassifierModel::load(backend(), path);
            ADD_FAILURE() << "'" << wrong << "' was taken";
        } catch (const std::runtime_error& error) {
            EXPECT_NE(std::string(error.what()).find(path.string()), std::string::npos);
        }
    }
}

// A 1x1 convolution before the normalisation: its z is known. Whole batches of 64 count alike, and
// what was running before does not count.
TEST_P(ClassifierModelTest, StatisticsAreTakenAnew) {
    for (const std::int64_t count : {20, 150}) {
        const testing::RandomPatches patches(6, count, 1, 4, 4);
        const ClassifierFormat format{1, 4, 4, {"a", "b"}, false};
        ClassifierModel model(backend(),
                              network_shape_from_description("1x4x4; conv 1>3 k1 norm=batch relu; "
                                                             "pool global; linear 3>2"),
                              format);
        model.network().initialise(5, 2);
        for (int twice = 0; twice < 2; ++twice) {
            model.recompute_statistics(patches.bytes);
        }
        const std::int64_t used = count < 64 ? count : 128,
                           batch = std::min<std::int64_t>(count, 64);
        const auto download = [&](Matrix<const float> values) {
            std::vector<float> host(static_cast<std::size_t>(values.size()));
            backend().download(host.data(), values.data, host.size() * sizeof(float));
            return host;
        };
        const Network& network = model.network();
        const Vector<float> bias = network.bias(0);
        const std::vector<float> weight = download(network.weight(0)),
                                 shift = download({bias.data, 1, bias.size}),
                                 running = download(network.running_statistics(0));
        for (std::size_t c = 0; c < 3; ++c) {
            double mean = 0, variance = 0;
            for (std::int64_t first = 0; first < used; first += batch) {
                const auto n = static_cast<double>(batch * 16);
                double sum = 0, squares = 0;
                for (std::int64_t e = first * 16; e < (first + batch) * 16; ++e) {
                    const double z =
                        weight[c] * (patches.bytes[static_cast<std::size_t>(e)] / 127.5 - 1) +
                        (shift.empty() ? 0 : shift[c]);
                    sum += z;
                    squares += z * z;
                }
                mean += sum / n;
                variance += (squares - sum * sum / n) / (n - 1);
            }
            const auto batches = static_cast<double>(used / batch);
            EXPECT_FALSE(!(std::fabs(running[c] - mean / batches) <= 1e-5)) << count << " " << c;
            EXPECT_FALSE(!(std::fabs(running[3 + c] - variance / batches) <= 1e-5))
                << count << " " << c;
        }
    }
}

// An answer in evaluation mode is the patch's own: other patches beside it change no bit.
TEST_P(ClassifierModelTest, AnswersDoNotDependOnTheBatch) {
    const testing::RandomPatches patches(7, 90, 1, 6, 6);
    const ClassifierFormat format{1, 6, 6, {"a", "b"}, false};
    ClassifierModel model(backend(),
                          network_shape_from_description("1x6x6; conv 1>4 k3 p1 norm=batch relu; "
                                                         "pool max k2; conv 4>5 k3 p1 norm=batch "
                                                         "relu; pool global; linear 5>2"),
                          format);
    model.network().initialise(8, 2);
    model.recompute_statistics(patches.bytes);
    const std::vector<float> together = model.logits(std::span<const std::uint8_t>(patches.bytes));
    for (std::size_t i = 0; i < 90; i += 17) {
        const auto alone =
            model.logits(std::span<const std::uint8_t>(patches.bytes).subspan(i * 36, 36));
        EXPECT_EQ(alone[0], together[2 * i]);
        EXPECT_EQ(alone[1], together[2 * i + 1]);
    }
}

// What attacks climb: the gradient by the pixels through the first layer, the scaling and the running
// statistics, against differences of the loss that the victim itself says; and nothing of a
// row's gradient comes from the rows beside it.
TEST_P(ClassifierModelTest, AttacksGetTheGradientOfEvaluationMode) {
    constexpr std::int64_t pixels = 64;
    const testing::RandomPatches patches(9, 40, 1, 8, 8);
    const ClassifierFormat format{1, 8, 8, {"a", "b"}, false};
    ClassifierModel model(
        backend(),
        network_shape_from_description("1x8x8; conv 1>4 k3 p1 norm=batch tanh; "
                                       "pool average k2; conv 4>5 k3 s2 p1 "
                                       "norm=batch tanh; pool global; linear 5>2"),
        format);
    model.network().initialise(10, 2);
    model.recompute_statistics(patches.bytes);
    WhiteBoxVictim victim({&model}, 3);
    DeviceArray<float> x(backend(), 3 * pixels), gradient(backend(), 3 * pixels),
        loss(backend(), 3);
    DeviceArray<std::int32_t> label(backend(), 3);
    const std::int32_t labels[] = {1, 0, 1};
    label.upload(labels, 3);
    std::vector<float> values;
    for (std::int64_t e = 0; e < 3 * pixels; ++e) {
        values.push_back(static_cast<float>(patches.bytes[static_cast<std::size_t>(e)]) / 255);
    }
    std::vector<float> slopes(values.size());
    const auto loss_of_first = [&](const std::vector<float>& at, std::int64_t rows) {
        x.upload(at.data(), std::ssize(at));
        victim.gradient(gradient.matrix(rows, pixels), loss.view().part(0, rows),
                        x.matrix(rows, pixels), label.view().part(0, rows), {});
        float losses[3];
        loss.download(losses, rows);
        return double{losses[0]};
    };
    loss_of_first(values, 3);
    gradient.download(slopes.data(), std::ssize(slopes));
    for (std::size_t e = 0; e < pixels; e += 5) {
        std::vector<float> above = values, below = values;
        above[e] += 0.02f;
        below[e] -= 0.02f;
        const double measured = (loss_of_first(above, 3) - loss_of_first(below, 3)) /
                                (double{above[e]} - double{below[e]});
        EXPECT_FALSE(!(std::fabs(measured - slopes[e]) <= 1e-4)) << e << ": " << measured;
        EXPECT_NE(slopes[e], 0);
    }
    loss_of_first({values.begin(), values.begin() + pixels}, 1);
    std::vector<float> alone(pixels);
    gradient.download(alone.data(), pixels);
    EXPECT_EQ(alone, std::vector<float>(slopes.begin(), slopes.begin() + pixels));
}

PATCHFORGE_ON_EVERY_BACKEND(ClassifierModelTest);

} // namespace
} // namespace patchforge
