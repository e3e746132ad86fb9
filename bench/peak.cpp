#include "bench/peak.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <string_view>
#include <thread>
#include <vector>

#include "kernels/cpu/dispatch.h"

namespace patchforge::bench {
namespace {

constexpr std::int64_t rounds = 2'000'000;
constexpr int chains = 12; // independent, to cover the latency of 4 cycles at two a cycle

// Written once a width: a chain's factor below 1 keeps its numbers from growing.
#define PATCHFORGE_PEAK(name, lanes, features)                                                     \
    __attribute__((target(features))) double name() {                                              \
        typedef float Floats __attribute__((vector_size(4 * lanes)));                              \
        Floats sum[chains];                                                                        \
        for (int c = 0; c < chains; ++c) {                                                         \
            sum[c] = static_cast<float>(c) + Floats{};                                             \
        }                                                                                          \
        Floats factor = 0.999f + Floats{};                                                         \
        Floats term = 0.001f + Floats{};                                                           \
        asm volatile("" : "+x"(factor), "+x"(term));                                               \
        for (std::int64_t i = 0; i < rounds; ++i) {                                                \
            _Pragma("GCC unroll 16") for (int c = 0; c < chains; ++c) {                            \
                sum[c] = sum[c] * factor + term;                                                   \
            }                                                                                      \
        }                                                                                          \
        for (int c = 1; c < chains; ++c) {                                                         \
            sum[0] += sum[c];                                                                      \
        }                                                                                          \
        asm volatile("" : : "x"(sum[0]));                                                          \
        return 2.0 * lanes * chains * rounds;                                                      \
    }

PATCHFORGE_PEAK(run_avx512, 16, "avx512f")
PATCHFORGE_PEAK(run_avx2, 8, "avx2,fma")
PATCHFORGE_PEAK(run_baseline, 4, "sse2")

} // namespace

double cpu_peak(int threads) {
    const std::string_view set = vector_kernels().name;
    double (*const run)() = set == "avx512" ? run_avx512 : set == "avx2" ? run_avx2 : run_baseline;
    const int count =
        threads > 0 ? threads : static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
    double best = 0;
    for (int attempt = 0; attempt < 10; ++attempt) {
        std::vector<std::thread> workers;
        const auto start = std::chrono::steady_clock::now();
        for (int t = 1; t < count; ++t) {
            workers.emplace_back(run);
        }
        const double operations = run() * count;
        for (std::thread& worker : workers) {
            worker.join();
        }
        const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
        best = std::max(best, operations / took.count());
    }
    return best;
}

} // namespace patchforge::bench
