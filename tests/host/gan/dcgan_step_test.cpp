// Three iterations of a tiny DCGAN against PyTorch 2.15 in float64: losses, the length of every tensor's
// gradient, and the weights at the end. Weights of layer k = 0, 1, ... (G's first) are 0.2 cos(0.5 i + k).
#include <gtest/gtest.h>

#include <cmath>

#include "host/network/trace.h"
#include "tests/kernels/backends.h"

namespace patchforge {
namespace {

constexpr std::int64_t rows = 2;

struct Step {
    double loss_d, loss_g;
    std::vector<double> d, g; // lengths of gradients by tensor: weight, [weight, scale, shift]
};
const std::vector<Step> steps = {
    {1.781658026895,
     0.847207902677,
     {1.167293211382, 1.551579119442, 0.352093989123, 0.266064950743, 1.929749407160},
     {1.461968183321, 0.262174333822, 0.282130823271, 1.218814138832, 0.081773003891,
      0.057159964721, 0.430534637388}},
    {1.776173047229,
     0.840844565946,
     {1.182630912266, 1.538541964548, 0.347910812944, 0.266234416796, 1.927789339871},
     {1.338914002054, 0.223462377953, 0.248152105697, 1.159605252439, 0.080449609957,
      0.070022528554, 0.423126770984}},
    {1.770769175901,
     0.835031793766,
     {1.178339096445, 1.529868612812, 0.343879505513, 0.264506951421, 1.926300760580},
     {1.227838120890, 0.244267508927, 0.248040022608, 1.134719641350, 0.063378232627,
      0.070907640226, 0.388378144627}},
};
// Sum and sum of squares of every tensor behind the third step.
using Sums = std::vector<std::pair<double, double>>;
const Sums end_d = {{0.028495610283, 1.952213431580},
                    {0.585887636134, 1.402607241424},
                    {3.998811584352, 3.997624613355},
                    {-0.000004959602, 0.000001440556},
                    {0.084922696225, 1.258687133662}};
const Sums end_g = {{0.472738453281, 3.853407659112},  {4.001210374734, 4.002422190908},
                    {-0.000825312891, 0.000001059445}, {-0.593579034141, 1.400110580964},
                    {1.999997411372, 1.999995510649},  {-0.000411182821, 0.000000400116},
                    {-0.597743826272, 1.909918475947}};

class DcganStepTest : public testing::BackendTest {
  protected:
    std::vector<float> download(Vector<const float> vector) {
        std::vector<float> host(static_cast<std::size_t>(vector.size));
        backend().download(host.data(), vector.data, host.size() * sizeof(float));
        return host;
    }
    std::vector<float> wave(std::int64_t count, double frequency, double phase) {
        std::vector<float> numbers;
        for (std::int64_t i = 0; i < count; ++i) {
            numbers.push_back(static_cast<float>(std::sin(frequency * i + phase)));
        }
        return numbers;
    }
    // Weights by the rule above, layer `first` on; scales 1, shifts 0.
    void begin(Network& network, int first) {
        network.initialise(0, 0);
        for (std::int64_t l = 0; l < network.layer_count(); ++l) {
            std::vector<float> numbers(static_cast<std::size_t>(network.weight(l).size()));
            for (std::size_t i = 0; i < numbers.size(); ++i) {
                numbers[i] = static_cast<float>(
                    0.2 * std::cos(0.5 * static_cast<double>(i) + static_cast<double>(first + l)));
            }
            backend().upload(network.weight(l).data, numbers.data(),
                             numbers.size() * sizeof(float));
        }
    }
    static std::vector<Vector<float>> tensors(const Network& network) {
        std::vector<Vector<float>> all;
        for (std::int64_t l = 0; l < network.layer_count(); ++l) {
            all.push_back(network.weight(l).flat());
            if (!network.scale(l).empty()) {
                all.push_back(network.scale(l));
                all.push_back(network.shift(l));
            }
        }
        return all;
    }
    void expect_lengths(const Network& network, Vector<float> gradients,
                        const std::vector<double>& expected, const char* what) {
        const auto all = tensors(network);
        ASSERT_EQ(all.size(), expected.size());
        for (std::size_t t = 0; t < all.size(); ++t) {
            double squares = 0;
            for (const float g :
                 download({network.gradient_of(gradients, all[t].data), all[t].size})) {
                squares += double{g} * g;
            }
            EXPECT_FALSE(!(std::abs(std::sqrt(squares) - expected[t]) <= 1e-4 * expected[t]))
                << what << ", tensor " << t << ": " << std::sqrt(squares) << ", PyTorch "
                << expected[t];
        }
    }
    void expect_sums(const Network& network, const Sums& expected, const char* what) {
        const auto all = tensors(network);
        for (std::size_t t = 0; t < all.size(); ++t) {
            double sum = 0, squares = 0;
            for (const float w : download(all[t])) {
                sum += w;
                squares += double{w} * w;
            }
            EXPECT_NEAR(sum, expected[t].first, 2e-5) << what << ", tensor " << t;
            EXPECT_NEAR(squares, expected[t].second, 2e-5) << what << ", tensor " << t;
        }
    }
};

TEST_P(DcganStepTest, ThreeIterationsFollowPyTorch) {
    const NetworkShape g_shape =
        network_shape_from_description("3x1x1; transposed 3>4 k4 nobias norm=batch relu; "
                                       "transposed 4>2 k3 s2 p1 nobias norm=batch "
                                       "relu; transposed 2>3 k4 s2 p1 nobias tanh");
    const NetworkShape d_shape = network_shape_from_description(
        "3x14x14; conv 3>2 k4 s2 p1 nobias leaky_relu; conv 2>4 k3 s2 p1 nobias norm=batch "
        "leaky_relu; conv 4>1 k4 nobias");
    Network generator(backend(), g_shape), discriminator(backend(), d_shape);
    begin(generator, 0);
    begin(discriminator, 3);
    const std::int64_t pixels = g_shape.outputs();
    Trace g_pass(generator, rows), d_pass(discriminator, 2 * rows);
    DeviceArray<float> codes(backend(), rows * 3), samples(backend(), 2 * rows * pixels);
    DeviceArray<float> g_gradients(backend(), generator.all().value.size);
    DeviceArray<float> d_gradients(backend(), discriminator.all().value.size);
    DeviceArray<float> metrics(backend(), DiscriminatorMetrics::count);
    DeviceArray<std::uint64_t> count(backend(), 1);
    const Matrix<float> z = codes.matrix(rows, 3), x = samples.matrix(2 * rows, pixels);
    const std::vector<float> real = wave(rows * pixels, 0.7, 0.3);
    const DropoutSource apart{true, 0, 0, {}, 2}; // D's batch statistics: patches, then fakes
    for (std::uint64_t t = 0; t < steps.size(); ++t) {
        SCOPED_TRACE(t);
        count.upload(&t, 1);
        Adam adam;
        adam.beta1 = 0.5f;
        adam.step = {count.data(), 1, 0};
        samples.upload(real.data(), rows * pixels);
        codes.upload(wave(rows * 3, 1.3, 0.2).data(), rows * 3);
        const Matrix<float> fakes = x.row_range(rows, rows);
        g_pass.forward(z, {true, 0, 0, {}, 1}, fakes);
        if (t == 0) {
            double sum = 0, squares = 0;
            for (const float pixel : download(fakes.flat())) {
                sum += pixel;
                squares += double{pixel} * pixel;
            }
            EXPECT_NEAR(sum, -12.419804892040, 1e-4);
            EXPECT_NEAR(squares, 124.560052821030, 1e-4);
        }
        const Matrix<float> answers = d_pass.forward(x, apart);
        backend().discriminator_loss(d_pass.output_gradient().flat(), metrics.view(),
                                     answers.flat(), rows, GanLoss::non_saturating, 1);
        std::vector<float> measured = download(metrics.view());
        EXPECT_NEAR(measured[0] + measured[1], steps[t].loss_d, 1e-5);
        d_pass.backward_gradients(d_gradients.view(), false);
        expect_lengths(discriminator, d_gradients.view(), steps[t].d, "D");
        backend().adam(discriminator.all(), d_gradients.view(), adam);

        codes.upload(wave(rows * 3, 0.9, 0.7).data(), rows * 3);
        g_pass.forward(z, {true, 0, 0, {}, 1}, fakes);
        const Matrix<float> logit = d_pass.forward(fakes, {true, 0, 0, {}, 1});
        backend().generator_loss(d_pass.output_gradient().flat(),
                                 metrics.view().part(0, GeneratorMetrics::count), logit.flat(),
                                 GanLoss::non_saturating);
        EXPECT_NEAR(download(metrics.view()).front(), steps[t].loss_g, 1e-5);
        d_pass.backward_input(g_pass.output_gradient(), g_pass.epilogue(2));
        g_pass.backward_gradients(g_gradients.view(), false);
        expect_lengths(generator, g_gradients.view(), steps[t].g, "G");
        backend().adam(generator.all(), g_gradients.view(), adam);
    }
    expect_sums(discriminator, end_d, "D");
    expect_sums(generator, end_g, "G");
}

PATCHFORGE_ON_EVERY_BACKEND(DcganStepTest);

} // namespace
} // namespace patchforge
