// The gradient by the pixels in float64, by the oracle's formulas: against central differences of
// the oracle's own loss, and then as what the victim's float32 is measured with.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "tests/host/attack/attacked_models.h"
#include "tests/oracle/activation.h"
#include "tests/oracle/linear.h"
#include "tests/oracle/loss.h"

namespace patchforge::testing {
namespace {

using oracle::DoubleMatrix;

constexpr std::int64_t rows = 3;
constexpr std::uint64_t seed = 41;
const std::vector<std::int32_t> labels = {2, 0, 1};

struct OracleClassifier {
    struct Layer {
        DoubleMatrix weight;
        std::vector<double> bias;
        oracle::Epilogue epilogue;
    };
    std::vector<Layer> layers;

    // Outputs of all layers, the scaled pixels first.
    std::vector<DoubleMatrix> forward(const DoubleMatrix& x) const {
        std::vector<DoubleMatrix> outputs = {x};
        for (double& v : outputs.front().values) {
            v = 2 * v - 1;
        }
        for (const Layer& layer : layers) {
            outputs.push_back(
                activate(linear(outputs.back(), layer.weight, layer.bias).value, layer.epilogue));
        }
        return outputs;
    }
    // Of each row: the loss, and its gradient by the logits.
    std::vector<oracle::LossAndGradient> losses(const DoubleMatrix& logit) const {
        std::vector<oracle::LossAndGradient> each;
        for (std::int64_t r = 0; r < logit.rows; ++r) {
            const auto first = logit.values.begin() + r * logit.columns;
            each.push_back(oracle::softmax_cross_entropy({first, first + logit.columns},
                                                         labels.at(static_cast<std::size_t>(r))));
        }
        return each;
    }
    double loss(const DoubleMatrix& x, std::int64_t row) const {
        return losses(forward(x).back()).at(static_cast<std::size_t>(row)).metrics.front();
    }
    DoubleMatrix gradient(const DoubleMatrix& x) const {
        const std::vector<DoubleMatrix> outputs = forward(x);
        std::vector<double> d_logit;
        for (const oracle::LossAndGradient& row : losses(outputs.back())) {
            d_logit.insert(d_logit.end(), row.d_logit.begin(), row.d_logit.end());
        }
        DoubleMatrix d(outputs.back().rows, outputs.back().columns, d_logit);
        for (std::size_t l = layers.size(); l-- > 0;) {
            d = activation_gradient(d, outputs[l + 1], layers[l].epilogue);
            d = linear_input_gradient(d, layers[l].weight).value;
        }
        for (double& v : d.values) {
            v *= 2; // the scaling
        }
        return d;
    }
};

class InputGradient : public ::testing::TestWithParam<Activation> {
  protected:
    InputGradient() {
        shape = multilayer_perceptron(format.pixels(), {16, 9}, format.outputs(), GetParam(), 0.2f,
                                      true, 0.5f, Activation::identity);
        std::mt19937_64 engine(seed);
        const auto draw = [&](std::int64_t count, double reach) {
            std::vector<float> drawn(static_cast<std::size_t>(count));
            for (float& v : drawn) {
                v = static_cast<float>(reach *
                                       (2 * static_cast<double>(engine() >> 11) * 0x1p-53 - 1));
            }
            return drawn;
        };
        for (const LayerShape& layer : shape.layers) {
            const double reach = 2 / std::sqrt(static_cast<double>(layer.inputs));
            values.push_back(draw(layer.inputs * layer.outputs, reach));
            values.push_back(draw(layer.outputs, reach));
            OracleClassifier::Layer same{{layer.outputs, layer.inputs, values[values.size() - 2]},
                                         oracle::to_double(values.back()),
                                         {}};
            same.epilogue.activation = layer.activation;
            classifier.layers.push_back(same);
        }
        pixels = draw(rows * format.pixels(), 0.5);
        for (float& v : pixels) {
            v += 0.5f;
        }
    }

    ClassifierFormat format = format_of(3, 4, 5, 3);
    NetworkShape shape;
    std::vector<std::vector<float>> values;
    OracleClassifier classifier;
    std::vector<float> pixels;
};
INSTANTIATE_TEST_SUITE_P(Every, InputGradient,
                         ::testing::Values(Activation::leaky_relu, Activation::tanh,
                                           Activation::sigmoid));

// Differences of fourth order: with h = 1e-4 their own error is rounding alone, 1e-12 at most.
TEST_P(InputGradient, AnalyticIsNumericInFloat64) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    const DoubleMatrix x(rows, format.pixels(), pixels);
    const DoubleMatrix analytic = classifier.gradient(x);
    constexpr double h = 1e-4;
    for (std::int64_t r = 0; r < rows; ++r) {
        for (std::int64_t p = 0; p < format.pixels(); ++p) {
            const auto loss_at = [&](double change) {
                DoubleMatrix moved = x;
                moved(r, p) += change;
                return classifier.loss(moved, r);
            };
            const double numeric =
                (8 * (loss_at(h) - loss_at(-h)) - (loss_at(2 * h) - loss_at(-2 * h))) / (12 * h);
            const double error = std::fabs(analytic(r, p) - numeric);
            EXPECT_TRUE(error <= 1e-6 * std::fabs(numeric) + 1e-11)
                << "row " << r << ", pixel " << p << ": " << analytic(r, p) << ", not " << numeric;
        }
    }
}

TEST_P(InputGradient, FromTheVictimIsTheOracles) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    const DoubleMatrix expected = classifier.gradient(DoubleMatrix(rows, format.pixels(), pixels));
    for (const char* name : {"cpu", "cuda"}) {
        const auto backend = make_backend(name);
        const auto model = model_of(*backend, shape, format, values);
        WhiteBoxVictim victim({model.get()}, rows);
        DeviceArray<float> x(*backend, rows * format.pixels());
        x.upload(pixels.data(), x.size());
        DeviceArray<std::int32_t> label(*backend, rows);
        label.upload(labels.data(), rows);
        const DeviceArray<float> gradient(*backend, x.size());
        victim.gradient(gradient.matrix(rows, format.pixels()), {}, x.matrix(rows, format.pixels()),
                        label.view(), {});
        std::vector<float> found(pixels.size(), NAN);
        gradient.download(found.data(), gradient.size());
        for (std::size_t i = 0; i < found.size(); ++i) {
            const double error = std::fabs(found[i] - expected.values[i]);
            EXPECT_TRUE(error <= 2e-6) << name << ", element " << i << ": " << found[i];
        }
    }
}

} // namespace
} // namespace patchforge::testing
