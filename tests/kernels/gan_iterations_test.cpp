// Whole GAN iterations in one call, against the same iterations in float64.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "tests/kernels/backends.h"
#include "tests/kernels/comparison.h"
#include "tests/oracle/activation.h"
#include "tests/oracle/batch.h"
#include "tests/oracle/linear.h"
#include "tests/oracle/loss.h"
#include "tests/oracle/noise.h"
#include "tests/oracle/optimiser.h"

namespace patchforge::testing {
namespace {

using oracle::DoubleMatrix;

struct GanShape {
    const char* name;
    std::int64_t pixels, hidden, latent, batch, patches;
    GanLoss loss = GanLoss::non_saturating;
    float dropout = 0;
    bool normal_codes = true;
    float clip = 0;
};

// Slices and shards that do not divide evenly; batches of one row, of one tile and of more.
const GanShape gan_shapes[] = {
    {"one_row", 61, 16, 4, 1, 7},
    {"ragged", 75, 16, 8, 5, 23, GanLoss::non_saturating, 0.5f},
    {"two_tiles", 130, 48, 12, 17, 60, GanLoss::hinge, 0.25f, false},
    {"whole_batch", 64, 32, 20, 32, 70, GanLoss::pearson},
    {"critic", 180, 80, 100, 9, 31, GanLoss::wasserstein, 0, true, 0.01f},
};

// A tensor in float64 with its moments.
struct Tensor {
    std::vector<double> value, first_moment, second_moment;

    Tensor(std::uint64_t seed, std::int64_t size, float scale)
        : value(oracle::to_double(random_values(seed, size, -scale, scale))),
          first_moment(oracle::to_double(random_values(seed + 1, size, -1e-3f, 1e-3f))),
          second_moment(oracle::to_double(random_values(seed + 2, size, 1e-4f, 1e-3f))) {}

    void step(const std::vector<double>& gradient, const Adam& adam, std::uint64_t step) {
        for (std::size_t e = 0; e < value.size(); ++e) {
            const oracle::AdamElement after =
                oracle::adam({{value[e], 0}, {first_moment[e], 0}, {second_moment[e], 0}},
                             {gradient.at(e), 0}, adam, step);
            value[e] = after.weight.value;
            first_moment[e] = after.first_moment.value;
            second_moment[e] = after.second_moment.value;
        }
    }
};

struct Layer {
    std::int64_t inputs, outputs;
    Activation activation;
    float dropout;
    Tensor weight, bias;

    Layer(std::uint64_t seed, std::int64_t inputs_, std::int64_t outputs_, Activation activation_,
          float dropout_ = 0)
        : inputs(inputs_), outputs(outputs_), activation(activation_), dropout(dropout_),
          weight(seed, outputs * inputs, 1 / std::sqrt(static_cast<float>(inputs))),
          bias(seed + 3, outputs, 0.1f) {}

    DoubleMatrix matrix() const { return {outputs, inputs, weight.value}; }
};

// What a pass through a network leaves behind.
struct Trace {
    std::vector<DoubleMatrix> inputs, outputs;
    std::vector<oracle::Epilogue> epilogues;
};

class Network {
  public:
    explicit Network(std::vector<Layer> layers) : layers_(std::move(layers)) {}

    Trace forward(DoubleMatrix x, std::uint64_t seed, std::uint32_t purpose,
                  std::uint64_t draw) const {
        Trace trace;
        for (std::size_t l = 0; l < layers_.size(); ++l) {
            const Layer& layer = layers_[l];
            const Epilogue epilogue = {layer.activation,
                                       0.2f,
                                       layer.dropout,
                                       {seed, purpose + static_cast<std::uint32_t>(l), {}}};
            trace.inputs.push_back(x);
            trace.epilogues.emplace_back(epilogue, draw);
            x = oracle::activate(oracle::linear(x, layer.matrix(), layer.bias.value).value,
                                 trace.epilogues.back());
            trace.outputs.push_back(x);
        }
        return trace;
    }

    // d: gradient by the last layer's z. Returns the one by the input, from the weights before any
    // step; with `adam` every layer takes one.
    DoubleMatrix backward(DoubleMatrix d, const Trace& trace, const Adam* adam,
                          std::uint64_t step) {
        for (std::size_t l = layers_.size(); l-- > 0;) {
            Layer& layer = layers_[l];
            const DoubleMatrix below = oracle::linear_input_gradient(d, layer.matrix()).value;
            if (adam != nullptr) {
                layer.weight.step(oracle::linear_weight_gradient(d, trace.inputs[l]).value.values,
                                  *adam, step);
                layer.bias.step(oracle::linear_bias_gradient(d).value.values, *adam, step);
            }
            d = l > 0 ? oracle::activation_gradient(below, trace.outputs[l - 1],
                                                    trace.epilogues[l - 1])
                      : below;
        }
        return d;
    }

    std::vector<Layer>& layers() { return layers_; }

  private:
    std::vector<Layer> layers_;
};

DoubleMatrix above(const DoubleMatrix& top, const DoubleMatrix& bottom) {
    DoubleMatrix both(top.rows + bottom.rows, top.columns);
    std::copy(bottom.values.begin(), bottom.values.end(),
              std::copy(top.values.begin(), top.values.end(), both.values.begin()));
    return both;
}

// The whole job in float64.
class Reference {
  public:
    Reference(const GanShape& shape, std::uint64_t seed)
        : shape_(shape), seed_(seed),
          generator({{seed + 100, shape.latent, shape.hidden, Activation::relu},
                     {seed + 110, shape.hidden, shape.hidden, Activation::relu},
                     {seed + 120, shape.hidden, shape.pixels, Activation::tanh}}),
          discriminator(
              {{seed + 130, shape.pixels, shape.hidden, Activation::leaky_relu, shape.dropout},
               {seed + 140, shape.hidden, shape.hidden, Activation::leaky_relu, shape.dropout},
               {seed + 150, shape.hidden, 1, Activation::identity}}) {
        for (const float byte : random_values(seed, shape.patches * shape.pixels, 0, 256)) {
            bytes.push_back(static_cast<std::uint8_t>(byte));
        }
        plan.count = shape.patches;
        plan.batch_size = shape.batch;
        plan.batches_per_epoch = shape.patches / shape.batch;
        plan.seed = seed;
        adam_d.learning_rate = 1e-2f;
        adam_d.beta1 = 0.5f;
        adam_d.clip = shape.clip;
        adam_g = adam_d;
        adam_g.learning_rate = 5e-3f;
        adam_g.clip = 0;
    }

    // Returns the metrics as a row of the history has them.
    std::vector<double> iterate() {
        const std::int64_t batch = shape_.batch;
        DoubleMatrix patches(batch, shape_.pixels);
        const auto rows = oracle::rows_of_batch(plan, step);
        for (std::int64_t b = 0; b < batch; ++b) {
            for (std::int64_t p = 0; p < shape_.pixels; ++p) {
                patches(b, p) = oracle::pixel_value(
                    bytes[static_cast<std::size_t>(
                        rows.at(static_cast<std::size_t>(b)) * shape_.pixels + p)],
                    PixelRange::signed_unit);
            }
        }
        const Trace fakes_d = fakes(Purpose::latent_discriminator);
        const Trace fakes_g = fakes(Purpose::latent_generator);

        const Trace judged = discriminator.forward(
            above(patches, fakes_d.outputs[2]), seed_,
            static_cast<std::uint32_t>(Purpose::dropout_discriminator_step), step);
        const auto loss_d =
            oracle::discriminator_loss(judged.outputs[2].values, batch, shape_.loss, real_label);
        discriminator.backward({2 * batch, 1, loss_d.d_logit}, judged, &adam_d, step);

        const Trace fooled = discriminator.forward(
            fakes_g.outputs[2], seed_, static_cast<std::uint32_t>(Purpose::dropout_generator_step),
            step);
        const auto loss_g = oracle::generator_loss(fooled.outputs[2].values, shape_.loss);
        const DoubleMatrix by_fakes =
            discriminator.backward({batch, 1, loss_g.d_logit}, fooled, nullptr, step);
        generator.backward(
            oracle::activation_gradient(by_fakes, fakes_g.outputs[2], fakes_g.epilogues[2]),
            fakes_g, &adam_g, step);
        ++step;
        std::vector<double> metrics = loss_d.metrics;
        metrics.insert(metrics.end(), loss_g.metrics.begin(), loss_g.metrics.end());
        return metrics;
    }

  private:
    Trace fakes(Purpose purpose) const {
        const oracle::Stream random = {seed_, static_cast<std::uint32_t>(purpose), step};
        const std::int64_t count = shape_.batch * shape_.latent;
        return generator.forward({shape_.batch, shape_.latent,
                                  shape_.normal_codes ? oracle::normal(count, 0, 1, random)
                                                      : oracle::uniform(count, -1, 1, random)},
                                 seed_, 0, step);
    }

    GanShape shape_;
    std::uint64_t seed_;

  public:
    static constexpr float real_label = 0.9f;
    Network generator, discriminator;
    std::vector<std::uint8_t> bytes;
    BatchPlan plan;
    Adam adam_d, adam_g;
    std::uint64_t step = 10; // of moments that have been there for a while
};

// The same on a device.
class Device {
  public:
    static constexpr std::int64_t capacity = 4; // the history's rows are used again

    Device(Backend& backend, const GanShape& shape, Reference& from, std::uint64_t seed)
        : backend_(backend), bytes_(backend, static_cast<std::int64_t>(from.bytes.size())),
          step_(backend, 1), history_(backend, capacity * columns) {
        job.latent = shape.latent;
        job.hidden = shape.hidden;
        job.pixels = shape.pixels;
        job.rows = shape.batch;
        job.seed = seed;
        job.normal_codes = shape.normal_codes;
        job.loss = shape.loss;
        job.real_label = Reference::real_label;
        job.adam_d = from.adam_d;
        job.adam_g = from.adam_g;
        job.plan = from.plan;
        bytes_.upload(from.bytes.data(), bytes_.size());
        job.patches = bytes_.data();
        step_.upload(&from.step, 1);
        job.step = step_.data();
        history_.upload(std::vector<float>(static_cast<std::size_t>(history_.size()), NAN).data(),
                        history_.size());
        job.history = history_.matrix(capacity, columns);
        for (std::size_t l = 0; l < 3; ++l) {
            job.generator[l] = layer(from.generator.layers()[l]);
            job.discriminator[l] = layer(from.discriminator.layers()[l]);
        }
    }

    std::uint64_t step() const {
        std::uint64_t value = 0;
        step_.download(&value, 1);
        return value;
    }
    std::vector<float> history_row(std::uint64_t step) const {
        std::vector<float> all(static_cast<std::size_t>(history_.size()));
        history_.download(all.data(), history_.size());
        const auto first = all.begin() + static_cast<std::ptrdiff_t>(step % capacity) * columns;
        return {first, first + columns};
    }
    std::vector<float> values(Vector<const float> tensor) const {
        std::vector<float> host(static_cast<std::size_t>(tensor.size));
        backend_.download(host.data(), tensor.data, host.size() * sizeof(float));
        return host;
    }
    // All weights, moments and metrics, bit by bit.
    std::vector<float> everything() const {
        std::vector<float> all;
        for (const auto& network : {job.generator, job.discriminator}) {
            for (std::size_t l = 0; l < 3; ++l) {
                for (const AdamTensor& tensor : {network[l].weight, network[l].bias}) {
                    for (const Vector<float>& part :
                         {tensor.value, tensor.first_moment, tensor.second_moment}) {
                        const std::vector<float> host = values(part);
                        all.insert(all.end(), host.begin(), host.end());
                    }
                }
            }
        }
        const std::vector<float> metrics = history_row(step() - 1);
        all.insert(all.end(), metrics.begin(), metrics.end());
        return all;
    }

    GanIterations job;

  private:
    static constexpr std::int64_t columns =
        std::int64_t{DiscriminatorMetrics::count} + GeneratorMetrics::count + 1;

    Vector<float> place(const std::vector<double>& from) {
        const std::vector<float> host = oracle::to_float(from);
        memory_.emplace_back(backend_, static_cast<std::int64_t>(host.size()));
        memory_.back().upload(host.data(), memory_.back().size());
        return memory_.back().view();
    }
    AdamTensor tensor(const Tensor& from) {
        return {place(from.value), place(from.first_moment), place(from.second_moment)};
    }
    TrainedLayer layer(const Layer& from) {
        return {tensor(from.weight), tensor(from.bias), from.activation, 0.2f, from.dropout};
    }

    Backend& backend_;
    std::vector<DeviceArray<float>> memory_;
    DeviceArray<std::uint8_t> bytes_;
    DeviceArray<std::uint64_t> step_;
    DeviceArray<float> history_;
};

// Within a share of the largest number of the tensor, or of `largest`: what float32 loses over a few
// iterations.
void expect_near(const std::vector<float>& actual, const std::vector<double>& expected,
                 const std::string& what, double largest = 1e-3) {
    constexpr double share = 1e-5;
    for (const double value : expected) {
        largest = std::max(largest, std::fabs(value));
    }
    expect_close(actual, expected, std::vector<double>(expected.size(), share * largest), 1, what);
}

class GanIterationsTest : public BackendTest {};
INSTANTIATE_TEST_SUITE_P(Every, GanIterationsTest, ::testing::Values("cuda"),
                         [](const auto& info) { return std::string(info.param); });

TEST_P(GanIterationsTest, AreThoseOfFloat64) {
    for (const GanShape& shape : gan_shapes) {
        const std::uint64_t seed = 77;
        SCOPED_TRACE(::testing::Message() << shape.name << ", seed " << seed);
        Reference reference(shape, seed);
        const Device device(backend(), shape, reference, seed);
        if (const std::string reason = backend().why_no_gan_iterations(device.job);
            !reason.empty()) {
            GTEST_SKIP() << reason;
        }
        std::vector<double> metrics;
        for (int i = 0; i < 2; ++i) {
            metrics = reference.iterate();
        }
        backend().gan_iterations(device.job, 2);
        ASSERT_EQ(device.step(), reference.step);
        metrics.push_back(0);
        expect_near(device.history_row(reference.step - 1), metrics, "metrics");
        const auto expect_network = [&](const TrainedLayer* layers, Network& network,
                                        const std::string& name) {
            for (std::size_t l = 0; l < 3; ++l) {
                const auto expect_tensor = [&](const AdamTensor& tensor, const Tensor& expected,
                                               const std::string& kind) {
                    const std::string what = name + " " + std::to_string(l) + " " + kind;
                    expect_near(device.values(tensor.value), expected.value, what);
                    // Of a gradient in which terms of 0.1 cancel.
                    expect_near(device.values(tensor.first_moment), expected.first_moment,
                                what + ", first moment", 1e-2);
                    expect_near(device.values(tensor.second_moment), expected.second_moment,
                                what + ", second moment");
                };
                expect_tensor(layers[l].weight, network.layers()[l].weight, "weight");
                expect_tensor(layers[l].bias, network.layers()[l].bias, "bias");
            }
        };
        expect_network(device.job.generator, reference.generator, "generator");
        expect_network(device.job.discriminator, reference.discriminator, "discriminator");
    }
}

TEST_P(GanIterationsTest, DoNotDependOnHowManyACallRuns) {
    const GanShape& shape = gan_shapes[1];
    Reference reference(shape, 5);
    const Device at_once(backend(), shape, reference, 5);
    const Device one_by_one(backend(), shape, reference, 5);
    if (const std::string reason = backend().why_no_gan_iterations(at_once.job); !reason.empty()) {
        GTEST_SKIP() << reason;
    }
    backend().gan_iterations(at_once.job, 5);
    for (const std::int64_t count : {1, 3, 1}) {
        backend().gan_iterations(one_by_one.job, count);
    }
    EXPECT_EQ(at_once.everything(), one_by_one.everything());
}

TEST_P(GanIterationsTest, SayWhatTheyDoNotTake) {
    GanIterations job;
    job.hidden = 64;
    job.latent = 64;
    job.pixels = 7500;
    job.rows = 32;
    const auto reason = [&](auto change) {
        GanIterations changed = job;
        change(changed);
        return backend().why_no_gan_iterations(changed);
    };
    EXPECT_NE(reason([](auto& j) { j.rows = 33; }).find("not 33"), std::string::npos);
    EXPECT_NE(reason([](auto& j) { j.hidden = 250; }).find("not 250"), std::string::npos);
    EXPECT_NE(reason([](auto& j) { j.latent = 30; }).find("not 30"), std::string::npos);
    EXPECT_NE(reason([](auto& j) { j.pixels = 100000; }).find("100000 pixels"), std::string::npos);
    job.rows = 33;
    EXPECT_THROW(backend().gan_iterations(job, 1), std::invalid_argument);
}

} // namespace
} // namespace patchforge::testing
