// Projection into a generator's pictures: its distance and gradient, what the search finds, edits.
#include "host/project/projection.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <stdexcept>

#include "data/picture.h"
#include "data/png.h"
#include "host/attack/latent_search.h"
#include "host/files/safetensors.h"
#include "host/model/image_generator.h"
#include "host/network/network_shape.h"
#include "host/project/picture_distance.h"
#include "tests/host/attack/attacked_models.h"
#include "tests/host/temporary_folder.h"

namespace patchforge::testing {
namespace {

constexpr std::int64_t pixels = 20;
const GeneratorFormat plain{1, 4, 5, "normal", {}};

std::unique_ptr<Network> random_generator(Backend& backend) {
    auto network =
        std::make_unique<Network>(backend, multilayer_perceptron(6, {16}, pixels, Activation::relu,
                                                                 0.2f, false, 0, Activation::tanh));
    network->initialise(5, 0);
    return network;
}

std::vector<std::uint8_t> levels(std::int64_t count, std::uint32_t seed) {
    std::vector<std::uint8_t> bytes;
    for (std::int64_t i = 0; i < count; ++i) {
        seed = seed * 1664525u + 1013904223u;
        bytes.push_back(static_cast<std::uint8_t>(seed >> 24));
    }
    return bytes;
}

// The objective in float64 from pictures in [0, 1] that lie on levels.
TEST(PictureDistanceTest, GradientIsThatOfTheDistance) {
    constexpr std::int64_t batch = 4;
    const std::vector<std::uint8_t> targets = levels(2 * pixels, 1);
    for (const char* device : {"cpu", "cuda"}) {
        const auto backend = make_backend(device);
        const auto model = random_model(*backend, format_of(1, 4, 5, 2), 41);
        std::vector<std::uint8_t> mask(pixels, 1);
        mask[3] = mask[17] = 0;
        const PictureDistanceOptions cases[] = {
            {}, {.mask = mask}, {.features = model.get(), .features_weight = 0.7}};
        for (const PictureDistanceOptions& options : cases) {
            // Two starts a target: rows 0 and 1 belong to the first, 2 and 3 to the second.
            PictureDistance distance(*backend, targets, pixels, 2, batch, options);
            distance.begin(0, batch);
            const std::vector<std::uint8_t> bytes = levels(batch * pixels, 9);
            std::vector<float> unit(bytes.size()), gradient(bytes.size());
            std::transform(bytes.begin(), bytes.end(), unit.begin(),
                           [](std::uint8_t v) { return static_cast<float>(v) / 255.0f; });
            DeviceArray<float> x(*backend, batch * pixels), d(*backend, batch * pixels);
            x.upload(unit.data(), batch * pixels);
            distance.gradient(d.matrix(batch, pixels), x.matrix(batch, pixels));
            d.download(gradient.data(), batch * pixels);
            std::vector<std::uint8_t> wanted;
            for (std::int64_t row = 0; row < batch; ++row) {
                const auto from = targets.begin() + row / 2 * pixels;
                wanted.insert(wanted.end(), from, from + pixels);
            }
            for (std::size_t e = 0; e < bytes.size(); e += 7) {
                std::vector<std::uint8_t> above = bytes, below = bytes;
                above[e] = static_cast<std::uint8_t>(std::min(255, bytes[e] + 1));
                below[e] = static_cast<std::uint8_t>(std::max(0, bytes[e] - 1));
                const std::size_t row = e / pixels;
                const double slope = (distance.distances(above, wanted)[row] -
                                      distance.distances(below, wanted)[row]) /
                                     ((above[e] - below[e]) / 255.0);
                EXPECT_TRUE(std::abs(gradient[e] - slope) <= 2e-3 * (1 + std::abs(slope)))
                    << device << " element " << e << ": " << gradient[e] << " and " << slope;
                if (!options.mask.empty() && !options.mask[e % pixels]) {
                    EXPECT_EQ(gradient[e], 0);
                }
            }
        }
    }
}

TEST(PictureDistanceTest, FeaturesAreOfWholePictures) {
    const auto backend = make_backend("cpu");
    const auto model = random_model(*backend, format_of(1, 4, 5, 2), 41);
    const std::vector<std::uint8_t> target = levels(pixels, 1);
    EXPECT_THROW(
        PictureDistance(*backend, target, pixels, 1, 4,
                        {.features = model.get(), .mask = std::vector<std::uint8_t>(pixels, 1)}),
        std::invalid_argument);
}

TEST(LatentSearchTest, ClassColumnsStayAndNumbersKeepToTheirBox) {
    const auto backend = make_backend("cpu");
    const auto network = random_generator(*backend);
    const std::vector<std::uint8_t> target = levels(pixels, 3);
    PictureDistance distance(*backend, target, pixels, 64, LatentSearch::batch, {});
    LatentSearch search(
        *network, distance,
        {.steps = 50, .learning_rate = 0.3, .prior = 0, .numbers = 4, .in_unit_box = true});
    const std::vector<float> start = {0.5f, -0.5f, 0.9f, -0.9f, 1, 0};
    const std::vector<float> found = search.run(start);
    EXPECT_NE(found[0], start[0]);
    EXPECT_EQ(found[4], 1);
    EXPECT_EQ(found[5], 0);
    for (const float number : found) {
        EXPECT_TRUE(std::abs(number) <= 1) << number;
    }
}

ProjectionJob job_of(const TemporaryFolder& folder) {
    const auto backend = make_backend("cpu");
    const auto network = random_generator(*backend);
    TensorFile weights = network->weights();
    plain.write(weights);
    ProjectionJob job;
    job.generator = (folder / "generator.safetensors").string();
    write_safetensors(job.generator, weights.tensors, weights.metadata);
    job.own = 3;
    job.starts = 8;
    job.steps = 150;
    job.rate = 0.1;
    job.prior = 0;
    job.out = folder / "out";
    job.device.device = "cpu";
    return job;
}

TEST(ProjectionTest, FindsTheGeneratorsOwnPicturesAgainAndNotAScribble) {
    const TemporaryFolder folder;
    ProjectionJob job = job_of(folder);
    const std::string scribble = (folder / "scribble.png").string();
    write_png(scribble, {5, 4, 1, levels(pixels, 77)});
    job.pictures = {scribble};
    const std::vector<Projected> results = run_projection(nullptr, job);
    ASSERT_EQ(results.size(), 4u);
    EXPECT_EQ(results[0].group, "given");
    for (std::size_t i = 1; i < results.size(); ++i) {
        EXPECT_EQ(results[i].group, "own");
        EXPECT_LT(results[i].levels, results[i].nearest_start / 4);
        EXPECT_LT(results[i].levels, results[0].levels / 4);
    }
    EXPECT_LT(results[0].levels, results[0].nearest_start);
    for (const char* file : {"report.html", "projection.json", "codes.safetensors",
                             "nearest_0000.png", "nearest_0003.png"}) {
        EXPECT_TRUE(std::filesystem::exists(folder / "out" / file)) << file;
    }
    const TensorFile codes = read_safetensors(folder / "out" / "codes.safetensors");
    EXPECT_EQ(codes.at("latents").shape, (std::vector<std::int64_t>{4, 6}));
    EXPECT_EQ(run_projection(nullptr, job)[0].levels, results[0].levels) << "not deterministic";
}

// The prior pulls codes away from the picture that they are asked for; noise in the maps is that of the
// picture's number, in the search and in what is shown.
TEST(ProjectionTest, PolishingLeavesNothingOfOwnPicturesWhateverThePriorAndTheNoise) {
    const TemporaryFolder folder;
    ProjectionJob job = job_of(folder);
    const auto backend = make_backend("cpu");
    Network noisy(*backend, network_shape_from_description(
                                "6>20; view 1x4x5; conv 1>4 k3 p1 as=a; noise 0.3 leaky_relu; "
                                "conv 4>1 k3 p1 tanh"));
    noisy.initialise(5, 0);
    TensorFile weights = noisy.weights();
    plain.write(weights);
    write_safetensors(job.generator, weights.tensors, weights.metadata);
    job.prior = 0.05;
    job.polish = 0;
    const std::vector<Projected> searched = run_projection(nullptr, job);
    job.polish = 300;
    const std::vector<Projected> polished = run_projection(nullptr, job);
    for (std::size_t i = 0; i < polished.size(); ++i) {
        EXPECT_GT(searched[i].levels, 1.5) << i;
        EXPECT_LT(polished[i].levels, 0.7) << i; // rounding to levels alone is 0.3
    }
    // `generate --latents` makes them again under the same noise.
    const TensorFile codes = read_safetensors(folder / "out" / "codes.safetensors");
    const std::span<const float> latents = f32(codes.at("latents"));
    ImageGenerator generator(noisy, plain);
    const std::vector<Image> images = generator.images({latents.begin(), latents.end()});
    for (std::size_t i = 0; i < images.size(); ++i) {
        EXPECT_EQ(images[i].pixels,
                  read_picture(folder / "out" / fmt::format("nearest_{:04}.png", i), 1).pixels);
    }
}

TEST(ProjectionTest, WhatTheMaskLeavesFreeIsNotAskedFor) {
    const TemporaryFolder folder;
    ProjectionJob job = job_of(folder);
    job.own = 0;
    const std::string scribble = (folder / "scribble.png").string();
    write_png(scribble, {5, 4, 1, levels(pixels, 77)});
    job.pictures = {scribble};
    const double whole = run_projection(nullptr, job)[0].levels;
    std::vector<std::uint8_t> mask(pixels, 0);
    mask[7] = mask[8] = 255;
    job.mask = (folder / "mask.png").string();
    write_png(job.mask, {5, 4, 1, mask});
    EXPECT_LT(run_projection(nullptr, job)[0].levels, whole / 2); // 2 of 20 pixels are easy
}

TEST(ProjectionTest, RefusesWithWhatToDo) {
    const TemporaryFolder folder;
    const auto refused = [](const ProjectionJob& job, const std::string& what) {
        try {
            run_projection(nullptr, job);
            ADD_FAILURE() << "not refused: " << what;
        } catch (const std::exception& error) {
            EXPECT_NE(std::string(error.what()).find(what), std::string::npos) << error.what();
        }
    };
    ProjectionJob job = job_of(folder);
    job.starts = 3;
    refused(job, "--starts 3");
    job = job_of(folder);
    job.own = 0;
    refused(job, "nothing to project");
    const std::string large = (folder / "large.png").string();
    write_png(large, {6, 4, 1, levels(24, 1)});
    job.pictures = {large};
    refused(job, "is 6 x 4, the generator makes 5 x 4");
    job = job_of(folder);
    job.mask = (folder / "black.png").string();
    write_png(job.mask, {5, 4, 1, std::vector<std::uint8_t>(pixels, 0)});
    refused(job, "is black");
}

} // namespace
} // namespace patchforge::testing
