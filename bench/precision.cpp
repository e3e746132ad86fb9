// What --precision costs in exactness: the products of the default networks' layers against
// float64, and the losses of one and the same GAN in each precision.
//
//     build/bench/precision --data FOLDER|FILE.pfs [--device cpu] [--steps 400] [--out FILE.md]
#include <fmt/format.h>

#include <cmath>
#include <cstdio>
#include <exception>
#include <random>
#include <stdexcept>
#include <vector>

#include "bench/measure.h"
#include "data/open_data_set.h"
#include "host/gan/gan_run.h"
#include "host/gan/gan_trainer.h"
#include "host/run/version.h"

namespace patchforge::bench {
namespace {

constexpr std::int64_t window = 50; // iterations

struct Call {
    std::string data, device = "cpu", out;
    std::int64_t steps = 400;
};

Call parse(int argc, char** argv) {
    Call call;
    for (int i = 1; i + 1 < argc; i += 2) {
        const std::string flag = argv[i];
        const std::string value = argv[i + 1];
        if (flag == "--data") {
            call.data = value;
        } else if (flag == "--device") {
            call.device = value;
        } else if (flag == "--steps") {
            call.steps = std::stoll(value);
        } else if (flag == "--out") {
            call.out = value;
        } else {
            throw std::invalid_argument(flag + ": no such option; see the head of " __FILE__);
        }
    }
    if (call.data.empty() || argc % 2 == 0 || call.steps < window) {
        throw std::invalid_argument("--data: missing, an option without a value, or --steps below "
                                    "50; see the head of " __FILE__);
    }
    return call;
}

std::vector<float> random_values(std::uint64_t seed, std::int64_t count, double limit) {
    std::mt19937_64 engine(seed);
    std::vector<float> values(static_cast<std::size_t>(count));
    for (float& value : values) {
        value = static_cast<float>(limit * (static_cast<double>(engine() >> 11) * 0x1p-52 - 1));
    }
    return values;
}

// result (m, n) = sum over k of a[m * am + k * ak] b[n * bn + k * bk], in float64.
struct Strides {
    std::int64_t am, ak, bn, bk;
};
std::vector<double> exact_product(std::int64_t m, std::int64_t n, std::int64_t k,
                                  const std::vector<float>& a, const std::vector<float>& b,
                                  const Strides& s) {
    std::vector<double> result(static_cast<std::size_t>(m * n));
    for (std::int64_t row = 0; row < m; ++row) {
        for (std::int64_t column = 0; column < n; ++column) {
            double sum = 0;
            for (std::int64_t i = 0; i < k; ++i) {
                sum += static_cast<double>(a[static_cast<std::size_t>(row * s.am + i * s.ak)]) *
                       static_cast<double>(b[static_cast<std::size_t>(column * s.bn + i * s.bk)]);
            }
            result[static_cast<std::size_t>(row * n + column)] = sum;
        }
    }
    return result;
}

// Both relative to the root mean square of what is exact.
struct Errors {
    double mean_square = 0, largest = 0;
};
Errors errors(const DeviceArray<float>& array, const std::vector<double>& exact) {
    std::vector<float> computed(exact.size());
    array.download(computed.data(), array.size());
    double squares = 0;
    double error_squares = 0;
    double largest = 0;
    for (std::size_t e = 0; e < exact.size(); ++e) {
        const double error = static_cast<double>(computed[e]) - exact[e];
        squares += exact[e] * exact[e];
        error_squares += error * error;
        largest = std::max(largest, std::abs(error));
    }
    return {std::sqrt(error_squares / squares),
            largest / std::sqrt(squares / static_cast<double>(exact.size()))};
}

constexpr Precision every_precision[] = {Precision::float32, Precision::tf32, Precision::bf16};

std::string table_of_errors(const std::string& device) {
    std::vector<std::string> heading = {"product", "layer", "batch"};
    std::vector<std::unique_ptr<Backend>> backends;
    for (const Precision precision : every_precision) {
        backends.push_back(make_backend(device, {.precision = precision}));
        heading.push_back(precision_name(precision));
        heading.push_back("largest");
    }
    Table table(heading);
    for (const auto& [inputs, outputs] :
         {std::pair<std::int64_t, std::int64_t>{7500, 256}, {256, 256}, {256, 7500}}) {
        for (const std::int64_t batch : {10, 64, 256}) {
            const auto x = random_values(1, batch * inputs, 1);
            const auto dz = random_values(2, batch * outputs, 1);
            const auto weight =
                random_values(3, outputs * inputs, 1 / std::sqrt(static_cast<double>(inputs)));
            const std::vector<double> exact[] = {
                exact_product(batch, outputs, inputs, x, weight, {inputs, 1, inputs, 1}),
                exact_product(batch, inputs, outputs, dz, weight, {outputs, 1, 1, inputs}),
                exact_product(outputs, inputs, batch, dz, x, {1, outputs, 1, inputs})};
            std::vector<std::vector<std::string>> rows;
            for (const char* name : {"forward", "input gradient", "weight gradient"}) {
                rows.push_back(
                    {name, fmt::format("{} > {}", inputs, outputs), fmt::format("{}", batch)});
            }
            for (const auto& backend : backends) {
                const auto on_device = [&](const std::vector<float>& values) {
                    DeviceArray<float> array(*backend, static_cast<std::int64_t>(values.size()));
                    array.upload(values.data(), array.size());
                    return array;
                };
                const auto x_there = on_device(x);
                const auto dz_there = on_device(dz);
                const auto weight_there = on_device(weight);
                DeviceArray<float> y(*backend, batch * outputs), dx(*backend, batch * inputs),
                    d_weight(*backend, outputs * inputs);
                backend->linear_forward(y.matrix(batch, outputs), x_there.matrix(batch, inputs),
                                        weight_there.matrix(outputs, inputs), {}, {});
                backend->linear_input_gradient(dx.matrix(batch, inputs),
                                               dz_there.matrix(batch, outputs),
                                               weight_there.matrix(outputs, inputs), {}, {});
                backend->linear_weight_gradient(d_weight.matrix(outputs, inputs), {},
                                                dz_there.matrix(batch, outputs),
                                                x_there.matrix(batch, inputs), false);
                const DeviceArray<float>* results[] = {&y, &dx, &d_weight};
                for (std::size_t product = 0; product < 3; ++product) {
                    const Errors error = errors(*results[product], exact[product]);
                    rows[product].push_back(fmt::format("{:.1e}", error.mean_square));
                    rows[product].push_back(fmt::format("{:.1e}", error.largest));
                }
            }
            for (auto& row : rows) {
                table.add(std::move(row));
            }
        }
    }
    return table.text();
}

struct Losses {
    std::vector<double> d, g; // means of each window
};
Losses train(const Call& call, const PackedSet& set, Precision precision, std::uint64_t seed) {
    const auto backend = make_backend(call.device, {.precision = precision});
    GanOptions gan;
    gan.seed = seed;
    gan.steps = call.steps;
    GanTrainer trainer(*backend, gan, training_rows(set, 0, seed));
    Losses losses;
    for (std::int64_t at = 0; at + window <= call.steps; at += window) {
        double d = 0;
        double g = 0;
        for (const GanMetrics& metrics : trainer.run(window)) {
            d += metrics.loss_d() / window;
            g += metrics.loss_g / window;
        }
        losses.d.push_back(d);
        losses.g.push_back(g);
    }
    return losses;
}

double largest_difference(const std::vector<double>& a, const std::vector<double>& b) {
    double largest = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
        largest = std::max(largest, std::abs(a[i] - b[i]));
    }
    return largest;
}

std::string losses_text(const Call& call, const PackedSet& set) {
    std::vector<std::string> names;
    std::vector<Losses> runs;
    for (const Precision precision : every_precision) {
        names.push_back(precision_name(precision));
        runs.push_back(train(call, set, precision, 0));
    }
    names.push_back("float32, seed 1");
    runs.push_back(train(call, set, Precision::float32, 1));

    std::vector<std::string> heading = {"iterations"};
    for (const std::string& name : names) {
        heading.push_back("D, " + name);
        heading.push_back("G, " + name);
    }
    Table table(heading);
    for (std::size_t i = 0; i < runs[0].d.size(); ++i) {
        const auto first = static_cast<std::int64_t>(i) * window;
        std::vector<std::string> row = {fmt::format("{} to {}", first + 1, first + window)};
        for (const Losses& run : runs) {
            row.push_back(fmt::format("{:.4f}", run.d[i]));
            row.push_back(fmt::format("{:.4f}", run.g[i]));
        }
        table.add(row);
    }
    std::string text = table.text() + "\n";
    for (std::size_t run = 1; run < runs.size(); ++run) {
        text +=
            fmt::format("- {} and float32: at most {:.4f} apart in a window of D's loss, {:.4f} of "
                        "G's\n",
                        names[run], largest_difference(runs[run].d, runs[0].d),
                        largest_difference(runs[run].g, runs[0].g));
    }
    return text;
}

void run(const Call& call) {
    const PackedSet set = open_data_set(call.data);
    const auto backend = make_backend(call.device);
    const bool on_cpu = backend->name() == "cpu";
    const std::string page = fmt::format(
        "# Precision of the linear layers, {}\n\n"
        "On {}. {}\n\n"
        "## Products against float64\n\n"
        "Root mean square of the error, and the largest, both over the root mean square of the "
        "result. Operands are uniform in [-1, 1], weights in +-1 / sqrt(inputs).\n\n{}\n"
        "## Losses of a GAN\n\n"
        "Defaults of `train gan`, batch {}, seed 0, {} patches of {}, {} iterations; means over "
        "{}. A "
        "float32 run with another seed stands beside them: two runs of one GAN drift that far "
        "apart "
        "whatever is rounded.\n\n{}",
        version_text(), backend->description(),
        on_cpu ? "The CPU carries out the roundings that tensor cores would: operands as they say, "
                 "sums in float32. GPU timings: not measured."
               : "",
        table_of_errors(call.device), GanOptions().batch_size, set.count(), call.data, call.steps,
        window, losses_text(call, set));
    Options options;
    options.out = call.out;
    publish(options, page, {});
}

} // namespace
} // namespace patchforge::bench

int main(int argc, char** argv) {
    try {
        patchforge::bench::run(patchforge::bench::parse(argc, argv));
    } catch (const std::exception& error) {
        std::fprintf(stderr, "precision: %s\n", error.what());
        return 2;
    }
}
