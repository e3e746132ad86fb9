#include "host/evaluate/random_network.h"

#include "host/evaluate/metric_lines.h"
#include "host/numerics/linear_algebra.h"
#include "host/numerics/moments.h"
#include "host/numerics/parallel.h"
#include "host/numerics/philox_sequence.h"
#include "host/ranks/shared_rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <stdexcept>

namespace patchforge {
namespace {

constexpr int stride = 2;

struct Convolution {
    std::int64_t inputs, outputs, size;
    std::vector<float> weights; // [outputs, inputs * size * size]
};

std::array<Convolution, 3> draw_network(std::int64_t channels, std::uint64_t seed) {
    std::array<Convolution, 3> network{
        Convolution{channels, 32, 5, {}}, {32, 64, 3, {}}, {64, 128, 3, {}}};
    for (std::size_t layer = 0; layer < network.size(); ++layer) {
        auto& [inputs, outputs, size, weights] = network[layer];
        const std::int64_t fan_in = inputs * size * size;
        const double deviation = std::sqrt(2.0 / static_cast<double>(fan_in));
        PhiloxSequence random(seed, layer);
        weights.resize(outputs * fan_in);
        std::generate(weights.begin(), weights.end(),
                      [&] { return static_cast<float>(deviation * random.normal()); });
    }
    return network;
}

// columns[inputs * size * size, out height * out width]: what each output pixel looks at.
void unfold(std::vector<float>& columns, const std::vector<float>& image, const Convolution& layer,
            const Extent& in, const Extent& out) {
    columns.assign(layer.inputs * layer.size * layer.size * out.plane(), 0);
    float* column = columns.data();
    for (std::int64_t c = 0; c < layer.inputs; ++c) {
        for (std::int64_t dy = 0; dy < layer.size; ++dy) {
            for (std::int64_t dx = 0; dx < layer.size; ++dx) {
                for (std::int64_t oy = 0; oy < out.height; ++oy) {
                    const std::int64_t y = oy * stride + dy - layer.size / 2;
                    for (std::int64_t ox = 0; ox < out.width; ++ox, ++column) {
                        const std::int64_t x = ox * stride + dx - layer.size / 2;
                        if (y >= 0 && y < in.height && x >= 0 && x < in.width) {
                            *column = image[(c * in.height + y) * in.width + x];
                        }
                    }
                }
            }
        }
    }
}

} // namespace

Features random_network_features(const Features& images, const Extent& shape, std::uint64_t seed,
                                 int threads) {
    check_features(images, "images");
    if (shape.channels < 1 || shape.height < 1 || shape.width < 1 ||
        images.dimension != shape.size()) {
        throw std::invalid_argument(
            fmt::format("images: rows of {} numbers are not {} x {} x {}; give the shape they have",
                        images.dimension, shape.channels, shape.height, shape.width));
    }
    const auto network = draw_network(shape.channels, seed);
    Features result{images.count, random_network_dimension, {}};
    result.values.resize(images.count * random_network_dimension);
    const auto features_of = [&](std::int64_t i) {
        const auto row = images.row(i);
        std::vector<float> maps(row.begin(), row.end()), columns;
        Extent in = shape;
        for (const Convolution& layer : network) {
            const Extent out{static_cast<int>(layer.outputs), (in.height + stride - 1) / stride,
                             (in.width + stride - 1) / stride};
            const std::int64_t pixels = out.plane();
            unfold(columns, maps, layer, in, out);
            maps.resize(out.channels * pixels);
            multiply(maps.data(), layer.weights.data(), columns.data(), out.channels, pixels,
                     layer.inputs * layer.size * layer.size);
            std::for_each(maps.begin(), maps.end(), [](float& x) { x = std::max(x, 0.0f); });
            in = out;
        }
        map_moments(maps, in.channels, result.values.data() + i * random_network_dimension);
    };
    constexpr std::int64_t batch = 64; // rows that a rank takes at a time
    share_batches(std::span(result.values), images.count, random_network_dimension, batch,
                  [&](std::int64_t first, std::int64_t count) {
                      for_each_parallel(count, threads,
                                        [&](std::int64_t i) { features_of(first + i); });
                  });
    return result;
}

std::string random_network_hash(const Extent& shape, std::uint64_t seed) {
    const std::string description =
        fmt::format("conv5s2-32 conv3s2-64 conv3s2-128 mean+deviation, {}x{}x{}, seed {}",
                    shape.channels, shape.height, shape.width, seed);
    return content_hash(std::as_bytes(std::span(description)));
}

} // namespace patchforge
