// The kernel distance of `evaluate`: 10,000 against 10,000 rows of 256 normal numbers, 100 subsets of 1000
// (bench/peers/verbs.py compares it).
#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "bench/measure.h"
#include "host/distance/kernel_distance.h"
#include "host/run/version.h"

namespace patchforge::bench {
namespace {

constexpr std::int64_t rows = 10'000, numbers = 256;

Features normal_features(Backend& backend, float mean, std::uint64_t seed) {
    DeviceArray<float> array(backend, rows * numbers);
    backend.fill_normal(array.view(), mean, 1, {seed, 0, {}});
    Features features{rows, numbers, std::vector<float>(static_cast<std::size_t>(array.size()))};
    array.download(features.values.data(), array.size());
    return features;
}

void run(const Options& options) {
    const auto backend = make_backend("cpu", {.threads = options.threads});
    const Features first = normal_features(*backend, 0, 1);
    const Features second = normal_features(*backend, 0.1f, 2);
    std::vector<double> seconds;
    double distance = 0;
    const auto begin = std::chrono::steady_clock::now();
    do {
        const auto start = std::chrono::steady_clock::now();
        distance = kernel_distance(first, second, {.threads = options.threads}).mean;
        seconds.push_back(
            std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    } while (std::chrono::steady_clock::now() - begin <
             std::chrono::duration<double>(options.seconds));
    std::ranges::sort(seconds);
    const double median = seconds[seconds.size() / 2];
    publish(
        options,
        fmt::format("# Kernel distance\n\n10,000 against 10,000 rows of 256 numbers, 100 subsets "
                    "of 1000: {:.3f} s, distance {:.5f}.\n",
                    median, distance),
        {fmt::format(R"({{"commit": "{}", "device": "{}", "s": {:.5f}, "distance": {:.6f}}})",
                     commit(), backend->description(), median, distance)});
}

} // namespace
} // namespace patchforge::bench

int main(int argc, char** argv) {
    return patchforge::bench::run_bench(argc, argv, {1}, patchforge::bench::run);
}
