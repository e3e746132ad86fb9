// Three steps of a discriminator under penalties on its slope against PyTorch's, from the same weights:
// penalty_trace.json was recorded in float64 by record_penalty_trace.py beside it.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "host/gan/gradient_penalty.h"
#include "tests/host/train/trace.h"
#include "tests/kernels/backends.h"

namespace patchforge {
namespace {

class PenaltyTrace : public testing::BackendTest {
  protected:
    static std::vector<float> wave(std::int64_t count, double frequency, double phase) {
        std::vector<float> numbers;
        for (std::int64_t i = 0; i < count; ++i) {
            numbers.push_back(
                static_cast<float>(std::sin(frequency * static_cast<double>(i) + phase)));
        }
        return numbers;
    }
    void upload(Vector<float> to, const std::vector<float>& numbers) {
        ASSERT_EQ(static_cast<std::size_t>(to.size), numbers.size());
        backend().upload(to.data, numbers.data(), numbers.size() * sizeof(float));
    }
    std::vector<double> download(Vector<const float> from) {
        std::vector<float> host(static_cast<std::size_t>(from.size));
        backend().download(host.data(), from.data, host.size() * sizeof(float));
        return {host.begin(), host.end()};
    }
    static double length(const std::vector<double>& numbers) {
        double squares = 0;
        for (const double number : numbers) {
            squares += number * number;
        }
        return std::sqrt(squares);
    }
    void upload_unit(Vector<float> to, double frequency, double phase) {
        std::vector<float> numbers = wave(to.size, frequency, phase);
        const double norm = length({numbers.begin(), numbers.end()});
        for (float& number : numbers) {
            number = static_cast<float>(number / norm);
        }
        upload(to, numbers);
    }
    static std::vector<Vector<float>> tensors(const Network& network) {
        std::vector<Vector<float>> all;
        for (std::int64_t l = 0; l < network.layer_count(); ++l) {
            if (network.shape().layers[static_cast<std::size_t>(l)].has_weights()) {
                all.push_back(network.weight(l).flat());
            }
            for (const Vector<float> one : {network.bias(l), network.scale(l), network.shift(l)}) {
                if (!one.empty()) {
                    all.push_back(one);
                }
            }
        }
        return all;
    }
};

TEST_P(PenaltyTrace, ThreeStepsFollowPyTorch) {
    const Json trace = testing::read_trace("gan/penalty_trace.json");
    const std::int64_t rows = trace.at("rows").integer();
    for (const Json& run : trace.at("runs").items()) {
        SCOPED_TRACE(run.at("kind").dump() + run.at("network").dump());
        const bool r1 = run.at("kind").string() == "r1";
        Network d(backend(), network_shape_from_description(run.at("network").string()));
        d.initialise(0, 1);
        for (std::size_t k = 0; k < tensors(d).size(); ++k) {
            const std::vector<double> scales = testing::numbers(run.at("scales"));
            const double start = std::ranges::count(scales, static_cast<double>(k)) > 0 ? 1 : 0;
            std::vector<float> numbers;
            for (std::int64_t i = 0; i < tensors(d)[k].size; ++i) {
                numbers.push_back(static_cast<float>(
                    start + 0.3 * std::cos(0.5 * static_cast<double>(i) + static_cast<double>(k))));
            }
            upload(tensors(d)[k], numbers);
        }
        if (d.shape().layers.front().spectral) {
            upload_unit(d.spectral_u(0), 1.0, 0.4);
            upload_unit(d.spectral_v(0), 0.8, 0.1);
        }

        const std::int64_t pixels = d.shape().inputs();
        DeviceArray<float> samples(backend(), 2 * rows * pixels), between(backend(), rows * pixels);
        const Matrix<float> x = samples.matrix(2 * rows, pixels);
        const std::vector<float> real = wave(rows * pixels, 0.7, 0.3);
        const std::vector<float> fake = wave(rows * pixels, 0.37, 1.1);
        std::vector<float> points = real;
        for (std::int64_t e = 0; !r1 && e < rows * pixels; ++e) {
            const auto i = static_cast<std::size_t>(e);
            const std::int64_t row = e / pixels;
            const double share = std::fmod(0.2 + 0.3 * static_cast<double>(row), 1.0);
            points[i] += static_cast<float>(share * (fake[i] - real[i]));
        }
        upload(x.row_range(0, rows).flat(), real);
        upload(x.row_range(rows, rows).flat(), fake);
        upload(between.view(), points);
        Trace pass(d, 2 * rows);
        GradientPenalty penalty(d, rows, pixels);
        DeviceArray<float> gradients(backend(), d.all().value.size);
        DeviceArray<float> metrics(backend(), DiscriminatorMetrics::count), added(backend(), 1);
        DeviceArray<std::uint64_t> count(backend(), 1);
        std::uint64_t t = 0;
        for (const Json& step : run.at("steps").items()) {
            SCOPED_TRACE(t);
            count.upload(&t, 1);
            ++t;
            Adam adam;
            adam.learning_rate = trace.at("lr").number();
            adam.beta1 = 0.5f;
            adam.step = {count.data(), 1, 0};
            const Matrix<float> answers = pass.forward(x, {true, 0, 0, {}, 2});
            backend().discriminator_loss(pass.output_gradient().flat(), metrics.view(),
                                         answers.flat(), rows,
                                         r1 ? GanLoss::non_saturating : GanLoss::wasserstein, 1);
            pass.backward_gradients(gradients.view(), false);
            penalty.add_gradient(gradients.view(), added.view(), between.matrix(rows, pixels),
                                 run.at("weight").number(),
                                 r1 ? GradientPenalty::Slope::zero : GradientPenalty::Slope::one);
            const std::vector<double> losses = download(metrics.view());
            EXPECT_NEAR(losses[0] + losses[1], step.at("loss").number(), 2e-5);
            EXPECT_NEAR(download(added.view()).front(), step.at("penalty").number(),
                        2e-5 * (1 + step.at("penalty").number()));
            std::vector<double> norms;
            for (const Vector<float>& tensor : tensors(d)) {
                norms.push_back(
                    length(download({d.gradient_of(gradients.view(), tensor.data), tensor.size})));
            }
            const double scale = length(testing::numbers(step.at("gradient_norms")));
            testing::expect_near(norms, step.at("gradient_norms"), 5e-5 * scale, "gradient norms");
            backend().adam(d.all(), gradients.view(), adam);
        }
        // Three steps of 0.01: a thirtieth of one tells a wrong sign or a missing term from rounding.
        for (std::size_t k = 0; k < tensors(d).size(); ++k) {
            testing::expect_near(download(tensors(d)[k]), run.at("end").items()[k], 3e-4,
                                 "tensor " + std::to_string(k));
        }
    }
}

PATCHFORGE_ON_EVERY_BACKEND(PenaltyTrace);

} // namespace
} // namespace patchforge
