// No two streams of random numbers of a run coincide, however many layers its networks have.
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "host/network/network.h"
#include "kernels/random.h"

namespace patchforge {
namespace {

constexpr std::int64_t layers = 60;

TEST(RandomStreams, OfSixtyLayersDoNotCoincide) {
    std::map<std::uint32_t, std::string> taken;
    const auto take = [&](std::uint32_t purpose, const std::string& what) {
        const auto [place, is_new] = taken.emplace(purpose, what);
        EXPECT_TRUE(is_new) << what << " and " << place->second << " share purpose " << purpose;
    };
    for (const Purpose purpose :
         {Purpose::shuffle, Purpose::latent_discriminator, Purpose::latent_generator,
          Purpose::fixed_latent, Purpose::generate, Purpose::gradient_penalty,
          Purpose::instance_noise, Purpose::latent_label}) {
        take(static_cast<std::uint32_t>(purpose), "a use of the run");
    }
    for (std::uint32_t use = 0; use < 32; ++use) {
        take(static_cast<std::uint32_t>(Purpose::attack) + use, "attack");
    }
    for (std::uint32_t use = 0; use < 4; ++use) {
        take(static_cast<std::uint32_t>(Purpose::augmentation) + use, "augmentation");
    }
    for (std::int64_t layer = 0; layer < layers; ++layer) {
        const std::string of = " of layer " + std::to_string(layer);
        for (const Purpose dropout :
             {Purpose::dropout_discriminator_step, Purpose::dropout_generator_step,
              Purpose::dropout_classifier}) {
            take(purpose_of_layer(static_cast<std::uint32_t>(dropout), layer), "dropout" + of);
        }
        for (std::uint32_t network = 0; network < 64; ++network) {
            const std::string whose = of + " of network " + std::to_string(network);
            take(purpose_of_weights(network, WeightUse::weight, layer), "weight" + whose);
            take(purpose_of_weights(network, WeightUse::bias, layer), "bias" + whose);
            take(purpose_of_weights(network, WeightUse::closeness, layer), "closeness" + whose);
        }
    }
}

// Layers up to 31 keep the numbers that runs of today have.
TEST(RandomStreams, FirstLayersKeepTheirNumbers) {
    EXPECT_EQ(purpose_of_layer(96, 31), 127u);
    EXPECT_EQ(purpose_of_weights(0, WeightUse::weight, 3), 1u + 256 + 3);
    EXPECT_EQ(purpose_of_weights(1, WeightUse::bias, 3), 1u + 256 * 4 + 3);
    EXPECT_EQ(purpose_of_weights(1, WeightUse::closeness, 3), 1u + 256 * 3 + 64 + 3);
}

} // namespace
} // namespace patchforge
