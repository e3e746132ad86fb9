// Every operation at the sizes of the GAN (hidden layers of 256, patches of 7500), each beside its
// floor: bytes that it must move at the measured bandwidth, operations at the measured peak.
//
// On a GPU the inputs rotate through copies that together exceed its caches. A CPU is measured as
// the iteration uses it: whatever the caches keep from call to call, they keep.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <functional>
#include <vector>

#include "bench/measure.h"
#include "host/run/version.h"

namespace patchforge::bench {
namespace {

constexpr std::int64_t pixels = 7500;
constexpr std::int64_t hidden = 256;
constexpr std::int64_t latent = 64;

struct Case {
    std::string name;
    double bytes;
    double operations;
    std::function<void(std::int64_t)> enqueue; // call number, to choose among rotating inputs
};

// Arrays that take turns, so that a call does not find what the last one left in the caches.
class Rotation {
  public:
    Rotation(Backend& backend, std::int64_t size, int copies, std::uint32_t seed) : size_(size) {
        for (int i = 0; i < copies; ++i) {
            copies_.push_back(random_array(backend, size, seed + static_cast<std::uint32_t>(i)));
        }
    }
    float* at(std::int64_t call) const {
        return copies_[static_cast<std::size_t>(call) % copies_.size()].data();
    }
    Vector<float> vector(std::int64_t call, std::int64_t size) const { return {at(call), size}; }
    Matrix<float> matrix(std::int64_t call, std::int64_t rows, std::int64_t columns) const {
        return {at(call), rows, columns};
    }

  private:
    std::int64_t size_;
    std::vector<DeviceArray<float>> copies_;
};

struct Inputs {
    Inputs(Backend& backend, std::int64_t batch)
        : copies(backend.name() == "cpu" ? 1 : 8), wide(backend, 2 * batch * pixels, copies, 1),
          wide_out(backend, 2 * batch * pixels, copies, 20),
          narrow(backend, 2 * batch * hidden, copies, 40),
          narrow_out(backend, 2 * batch * hidden, copies, 60),
          weight(backend, pixels * hidden, copies, 80),
          first_moment(backend, pixels * hidden, copies, 100),
          second_moment(backend, pixels * hidden, copies, 120), bias(backend, 3 * pixels, 1, 140),
          totals(backend, 2), steps(backend, 1), bytes(backend, 2048 * pixels),
          rows(backend, 2 * batch), labels(backend, 2048) {
        std::vector<std::uint8_t> values(static_cast<std::size_t>(bytes.size()));
        for (std::size_t i = 0; i < values.size(); ++i) {
            values[i] = static_cast<std::uint8_t>(i * 2654435761u >> 13);
        }
        bytes.upload(values.data(), bytes.size());
        // Moments of Adam are small, and second ones are not negative.
        for (int i = 0; i < copies; ++i) {
            backend.fill_uniform(second_moment.vector(i, pixels * hidden), 1e-6f, 1e-4f,
                                 {.seed = 9, .purpose = 0, .draw = {}});
        }
        backend.fill_uniform(bias.vector(0, 3 * pixels), 1e-6f, 1e-4f,
                             {.seed = 10, .purpose = 0, .draw = {}});
    }

    AdamTensor weight_state(std::int64_t call, std::int64_t size) const {
        return {weight.vector(call, size), first_moment.vector(call, size),
                second_moment.vector(call, size)};
    }
    AdamTensor bias_state(std::int64_t size) const {
        return {{bias.at(0), size}, {bias.at(0) + pixels, size}, {bias.at(0) + 2 * pixels, size}};
    }

    int copies;
    Rotation wide, wide_out;     // [2B, pixels]
    Rotation narrow, narrow_out; // [2B, hidden]
    Rotation weight, first_moment, second_moment;
    Rotation bias; // value and moments of up to `pixels`
    DeviceArray<double> totals;
    DeviceArray<std::uint64_t> steps;
    DeviceArray<std::uint8_t> bytes;
    DeviceArray<std::int32_t> rows, labels;
};

double product(std::int64_t batch, std::int64_t inputs, std::int64_t outputs) {
    return 2.0 * static_cast<double>(batch) * static_cast<double>(inputs) *
           static_cast<double>(outputs);
}

std::vector<Case> linear_cases(Backend& backend, const Inputs& in, std::int64_t batch) {
    const Epilogue leaky = {.activation = Activation::leaky_relu,
                            .slope = 0.2f,
                            .dropout = 0.5f,
                            .random = {.seed = 1, .purpose = 16, .draw = {}}};
    const Epilogue relu = {.activation = Activation::relu};
    const Epilogue tanh = {.activation = Activation::tanh};
    const Adam adam = {.learning_rate = 1e-6f};
    const double layer = static_cast<double>(pixels * hidden);
    const double x = static_cast<double>(batch * pixels);
    const double h = static_cast<double>(batch * hidden);
    return {
        {"linear_forward 7500>256 leaky_relu, dropout, 2B rows", 4 * (layer + 2 * x + 2 * h),
         product(2 * batch, pixels, hidden),
         [=, &backend, &in](std::int64_t i) {
             backend.linear_forward(
                 in.narrow_out.matrix(i, 2 * batch, hidden), in.wide.matrix(i, 2 * batch, pixels),
                 in.weight.matrix(i, hidden, pixels), in.bias.vector(0, hidden), leaky);
         }},
        {"linear_forward 256>256 leaky_relu, dropout, 2B rows", 4 * (65536 + 4 * h),
         product(2 * batch, hidden, hidden),
         [=, &backend, &in](std::int64_t i) {
             backend.linear_forward(
                 in.narrow_out.matrix(i, 2 * batch, hidden), in.narrow.matrix(i, 2 * batch, hidden),
                 in.weight.matrix(i, hidden, hidden), in.bias.vector(0, hidden), leaky);
         }},
        {"linear_forward 256>7500 tanh", 4 * (layer + x + h), product(batch, hidden, pixels),
         [=, &backend, &in](std::int64_t i) {
             backend.linear_forward(
                 in.wide_out.matrix(i, batch, pixels), in.narrow.matrix(i, batch, hidden),
                 in.weight.matrix(i, pixels, hidden), in.bias.vector(0, pixels), tanh);
         }},
        {"linear_input_gradient 7500<256 tanh", 4 * (layer + 2 * x + h),
         product(batch, pixels, hidden),
         [=, &backend, &in](std::int64_t i) {
             backend.linear_input_gradient(
                 in.wide_out.matrix(i, batch, pixels), in.narrow.matrix(i, batch, hidden),
                 in.weight.matrix(i, hidden, pixels), in.wide.matrix(i, batch, pixels), tanh);
         }},
        {"linear_input_gradient 256<256 leaky_relu, dropout", 4 * (65536 + 3 * h),
         product(batch, hidden, hidden),
         [=, &backend, &in](std::int64_t i) {
             backend.linear_input_gradient(
                 in.narrow_out.matrix(i, batch, hidden), in.narrow.matrix(i, batch, hidden),
                 in.weight.matrix(i, hidden, hidden), in.narrow.matrix(i, batch, hidden), leaky);
         }},
        {"linear_weight_gradient 7500>256, 2B rows", 4 * (layer + 2 * x + 2 * h),
         product(2 * batch, pixels, hidden),
         [=, &backend, &in](std::int64_t i) {
             backend.linear_weight_gradient(in.weight.matrix(i, hidden, pixels), {},
                                            in.narrow.matrix(i, 2 * batch, hidden),
                                            in.wide.matrix(i, 2 * batch, pixels), false);
         }},
        {"linear_weight_gradient_adam 7500>256, 2B rows", 24 * layer + 4 * (2 * x + 2 * h),
         product(2 * batch, pixels, hidden),
         [=, &backend, &in](std::int64_t i) {
             backend.linear_weight_gradient_adam(in.weight_state(i, hidden * pixels),
                                                 in.bias_state(hidden),
                                                 in.narrow.matrix(i, 2 * batch, hidden),
                                                 in.wide.matrix(i, 2 * batch, pixels), adam);
         }},
        {"linear_backward_adam 256>7500 relu", 24 * layer + 4 * (x + 2 * h),
         2 * product(batch, hidden, pixels),
         [=, &backend, &in](std::int64_t i) {
             backend.linear_backward_adam(in.narrow_out.matrix(i, batch, hidden),
                                          in.weight_state(i, hidden * pixels),
                                          in.bias_state(pixels), in.wide.matrix(i, batch, pixels),
                                          in.narrow.matrix(i, batch, hidden), relu, adam);
         }},
        {"linear_backward_adam 256>256 leaky_relu, dropout, 2B rows", 24 * 65536.0 + 4 * 6 * h,
         2 * product(2 * batch, hidden, hidden),
         [=, &backend, &in](std::int64_t i) {
             backend.linear_backward_adam(
                 in.narrow_out.matrix(i, 2 * batch, hidden), in.weight_state(i, hidden * hidden),
                 in.bias_state(hidden), in.narrow.matrix(i, 2 * batch, hidden),
                 in.narrow.matrix(i, 2 * batch, hidden), leaky, adam);
         }},
    };
}

std::vector<Case> other_cases(Backend& backend, const Inputs& in, std::int64_t batch) {
    const Epilogue tanh = {.activation = Activation::tanh};
    const Adam adam = {.learning_rate = 1e-6f};
    const double layer = static_cast<double>(pixels * hidden);
    const double x = static_cast<double>(batch * pixels);
    const double rows = static_cast<double>(batch);
    const RandomStream random = {.seed = 3, .purpose = 3, .draw = {}};
    return {
        {"adam, 1.92 M parameters", 28 * layer, 0,
         [=, &backend, &in](std::int64_t i) {
             backend.adam(in.weight_state(i, pixels * hidden),
                          in.weight.vector(i + 1, pixels * hidden), adam);
         }},
        {"moving_average, 1.92 M parameters", 12 * layer, 0,
         [=, &backend, &in](std::int64_t i) {
             backend.moving_average(in.weight.vector(i, pixels * hidden),
                                    in.first_moment.vector(i, pixels * hidden), 0.999f);
         }},
        {"gather_rows", 5 * x, 0,
         [=, &backend, &in](std::int64_t) {
             const BatchPlan plan = {.count = 2048, .batch_size = batch, .seed = 1};
             backend.gather_rows(in.wide_out.matrix(0, batch, pixels), {in.rows.data(), batch},
                                 {in.bytes.data(), 2048, pixels}, PixelRange::signed_unit, plan);
         }},
        {"gather_labels", 12 * rows, 0,
         [=, &backend, &in](std::int64_t) {
             backend.gather_labels({in.rows.data(), batch}, in.labels.view(),
                                   {in.rows.data() + batch, batch});
         }},
        {"fill_normal, latent 64", 4 * rows * latent, 0,
         [=, &backend, &in](std::int64_t i) {
             backend.fill_normal(in.narrow_out.vector(i, batch * latent), 0, 1, random);
         }},
        {"fill_normal, pixels", 4 * x, 0,
         [=, &backend, &in](std::int64_t i) {
             backend.fill_normal(in.wide_out.vector(i, batch * pixels), 0, 1, random);
         }},
        {"fill_uniform, pixels", 4 * x, 0,
         [=, &backend, &in](std::int64_t i) {
             backend.fill_uniform(in.wide_out.vector(i, batch * pixels), -1, 1, random);
         }},
        {"activate tanh, pixels", 8 * x, 0,
         [=, &backend, &in](std::int64_t i) {
             backend.activate(in.wide_out.matrix(i, batch, pixels),
                              in.wide.matrix(i, batch, pixels), tanh);
         }},
        {"activation_gradient tanh, pixels", 12 * x, 0,
         [=, &backend, &in](std::int64_t i) {
             backend.activation_gradient(in.wide_out.matrix(i, batch, pixels),
                                         in.wide_out.matrix(i, batch, pixels),
                                         in.wide.matrix(i, batch, pixels), tanh);
         }},
        {"discriminator_loss, 2B rows", 16 * rows, 0,
         [=, &backend, &in](std::int64_t i) {
             backend.discriminator_loss(in.narrow_out.vector(i, 2 * batch), in.bias.vector(0, 8),
                                        in.narrow.vector(i, 2 * batch), batch,
                                        GanLoss::non_saturating, 1);
         }},
        {"generator_loss", 8 * rows, 0,
         [=, &backend, &in](std::int64_t i) {
             backend.generator_loss(in.narrow_out.vector(i, batch), in.bias.vector(0, 8),
                                    in.narrow.vector(i, batch), GanLoss::non_saturating);
         }},
        {"binary_cross_entropy", 16 * rows, 0,
         [=, &backend, &in](std::int64_t i) {
             backend.binary_cross_entropy(
                 in.narrow_out.vector(i, batch), in.narrow_out.vector(i + 1, batch),
                 in.narrow.vector(i, batch), {in.labels.data(), batch}, {}, 1);
         }},
        {"softmax_cross_entropy, 10 classes", 84 * rows, 0,
         [=, &backend, &in](std::int64_t i) {
             backend.softmax_cross_entropy(
                 in.wide_out.matrix(i, batch, 10), in.narrow_out.vector(i, batch),
                 in.wide.matrix(i, batch, 10), {in.labels.data(), batch}, {}, 1);
         }},
        {"sum, pixels", 4 * x, 0,
         [=, &backend, &in](std::int64_t i) {
             backend.sum({in.totals.data(), 1}, in.wide.vector(i, batch * pixels));
         }},
        {"sum_of_squares, pixels", 4 * x, 0,
         [=, &backend, &in](std::int64_t i) {
             backend.sum_of_squares({in.totals.data(), 1}, in.wide.vector(i, batch * pixels));
         }},
        {"column_mean, pixels", 4 * x, 0,
         [=, &backend, &in](std::int64_t i) {
             backend.column_mean(in.wide_out.vector(i, pixels), in.wide.matrix(i, batch, pixels));
         }},
        {"count_dead_columns, 256", 4 * rows * hidden, 0,
         [=, &backend, &in](std::int64_t i) {
             backend.count_dead_columns(in.wide_out.vector(i, 1),
                                        in.narrow.matrix(i, batch, hidden));
         }},
        {"finish_iteration", 48, 0,
         [=, &backend, &in](std::int64_t i) {
             backend.finish_iteration(in.steps.data(), in.narrow_out.matrix(i, 16, 6),
                                      in.bias.vector(0, 6));
         }},
    };
}

void run(const Options& options) {
    const auto backend = make_backend(options.device, {.threads = options.threads});
    const Machine machine = measure_machine(*backend, options.threads);
    Table table(
        {"operation", "batch", "us", "5%", "95%", "GB/s", "GFLOP/s", "floor us", "share of floor"});
    std::vector<std::string> json;
    for (const std::int64_t batch : options.batches) {
        const Inputs inputs(*backend, batch);
        std::vector<Case> cases = linear_cases(*backend, inputs, batch);
        for (Case& other : other_cases(*backend, inputs, batch)) {
            cases.push_back(std::move(other));
        }
        for (const Case& c : cases) {
            const Timing timing = measure(*backend, options.seconds, [&](std::int64_t repeats) {
                for (std::int64_t i = 0; i < repeats; ++i) {
                    c.enqueue(i);
                }
            });
            const double floor = std::max(c.bytes / machine.bytes_per_second,
                                          machine.operations_per_second > 0
                                              ? c.operations / machine.operations_per_second
                                              : 0) *
                                 1e3;
            table.add(
                {c.name, std::to_string(batch), fmt::format("{:.1f}", timing.median * 1e3),
                 fmt::format("{:.1f}", timing.p5 * 1e3), fmt::format("{:.1f}", timing.p95 * 1e3),
                 fmt::format("{:.1f}", c.bytes / timing.median * 1e-6),
                 c.operations > 0 ? fmt::format("{:.0f}", c.operations / timing.median * 1e-6) : "",
                 fmt::format("{:.1f}", floor * 1e3),
                 fmt::format("{:.0f}%", 100 * floor / timing.median)});
            json.push_back(fmt::format(
                R"({{"bench": "kernel", "operation": "{}", "commit": "{}", "device": "{}", )"
                R"("batch": {}, "ms": {:.6f}, "p5": {:.6f}, "p95": {:.6f}, "bytes": {:.0f}, )"
                R"("operations": {:.0f}, "floor_ms": {:.6f}}})",
                c.name, commit(), backend->description(), batch, timing.median, timing.p5,
                timing.p95, c.bytes, c.operations, floor));
        }
    }
    publish(options,
            "# Operations\n\nMicroseconds a call: median, 5th and 95th percentile, beside the "
            "floor. A share above 100% means that the caches, not the memory, held the data.\n\n" +
                circumstances(*backend, machine) + "\n" + table.text(),
            json);
}

} // namespace
} // namespace patchforge::bench

int main(int argc, char** argv) {
    try {
        patchforge::bench::run(
            patchforge::bench::parse_options(argc, argv, {1, 10, 64, 256, 1024}));
    } catch (const std::exception& error) {
        fmt::print(stderr, "bench: error: {}\n", error.what());
        return 1;
    }
}
