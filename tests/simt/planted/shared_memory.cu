// Faults of what threads and blocks share: sums without order or barriers, memory never set, blocks
// that believe they see each other's results.
#include "tests/simt/planted/planted.h"

#include <numeric>

namespace planted {

namespace {

using patchforge::cuda::LaunchShape;
using patchforge::cuda::shared;

constexpr unsigned threads = 128;
constexpr unsigned blocks = 4;

std::vector<float> total() {
    const auto values = integers(threads);
    return {std::accumulate(values.begin(), values.end(), 0.0f)};
}

struct Values {
    float value[threads];
};

template <bool faulty>
__global__ void tree_without_barriers(float* out, const float* in) {
    auto& s = shared<Values>();
    const unsigned t = threadIdx.x;
    s.value[t] = in[t];
    __syncthreads();
    for (unsigned half = threads / 2; half > 0; half /= 2) {
        if (t < half) {
            s.value[t] += s.value[t + half];
        }
        if constexpr (!faulty) {
            __syncthreads();
        }
    }
    if (t == 0) {
        out[0] = s.value[0];
    }
}

constexpr unsigned bins = 17;
struct Histogram {
    unsigned count[bins];
};
std::vector<float> histogram() {
    std::vector<float> counts(bins, 0.0f);
    for (const float value : integers(threads)) {
        counts[static_cast<unsigned>(value + 8.0f)] += 1.0f;
    }
    return counts;
}

template <bool faulty>
__global__ void histogram_never_cleared(float* out, const float* in) {
    auto& s = shared<Histogram>();
    const unsigned t = threadIdx.x;
    if (!faulty && t < bins) {
        s.count[t] = 0;
    }
    __syncthreads();
    atomicAdd(&s.count[static_cast<unsigned>(in[t] + 8.0f)], 1u);
    __syncthreads();
    if (t < bins) {
        out[t] = static_cast<float>(s.count[t]);
    }
}

template <bool faulty>
__global__ void histogram_without_atomics(float* out, const float* in) {
    auto& s = shared<Histogram>();
    const unsigned t = threadIdx.x;
    if (t < bins) {
        s.count[t] = 0;
    }
    __syncthreads();
    unsigned* bin = &s.count[static_cast<unsigned>(in[t] + 8.0f)];
    if constexpr (faulty) {
        *bin += 1;
    } else {
        atomicAdd(bin, 1u);
    }
    __syncthreads();
    if (t < bins) {
        out[t] = static_cast<float>(s.count[t]);
    }
}

template <bool faulty>
__global__ void one_past_shared_memory(float* out, const float* in) {
    auto& s = shared<Values>();
    const unsigned t = threadIdx.x;
    float* value = s.value;
    value[faulty ? t + 1 : t] = in[t];
    __syncthreads();
    if (t == 0) {
        float sum = 0.0f;
        for (unsigned i = 0; i < threads; ++i) {
            sum += value[faulty ? i + 1 : i];
        }
        out[0] = sum;
    }
}

std::vector<float> run_sum(void (*kernel)(float*, const float*), std::size_t results,
                           std::size_t shared_bytes, const char* name) {
    Array in(integers(threads)), out(results);
    patchforge::cuda::launch(
        kernel, {.grid = dim3(1), .block = threads, .shared_bytes = shared_bytes, .name = name},
        out.data(), in.data());
    return out.values();
}

#define RUN_SUM(kernel, results, shared_bytes)                                                     \
    [](bool faulty) {                                                                              \
        return run_sum(faulty ? kernel<true> : kernel<false>, results, shared_bytes, #kernel);     \
    }

// Less than the kernel's Storage is asked for at the launch.
std::vector<float> run_with_too_little(bool faulty) {
    return run_sum(tree_without_barriers<false>, 1, sizeof(Values) - (faulty ? 4 : 0),
                   "too_little_shared_memory");
}

// 1/(i+1): sums whose rounding depends on their order.
std::vector<float> fractions() {
    std::vector<float> values(threads * blocks);
    for (std::size_t i = 0; i < values.size(); ++i) {
        values[i] = 1.0f / static_cast<float>(i + 1);
    }
    return values;
}
std::vector<float> sum_of_fractions() {
    const auto values = fractions();
    std::vector<float> partial(threads, 0.0f);
    for (std::size_t i = 0; i < values.size(); ++i) {
        partial[i % threads] += values[i];
    }
    return {std::accumulate(partial.begin(), partial.end(), 0.0f)};
}

template <bool faulty>
__global__ void float_atomics(float* out, const float* in) {
    const unsigned t = threadIdx.x;
    if constexpr (faulty) {
        atomicAdd(out, in[blockIdx.x * threads + t]);
    } else if (blockIdx.x == 0) {
        auto& s = shared<Values>();
        s.value[t] = 0.0f;
        for (unsigned block = 0; block < blocks; ++block) {
            s.value[t] += in[block * threads + t];
        }
        __syncthreads();
        if (t == 0) {
            float sum = 0.0f;
            for (unsigned i = 0; i < threads; ++i) {
                sum += s.value[i];
            }
            out[0] = sum;
        }
    }
}
std::vector<float> run_float_atomics(bool faulty) {
    Array in(fractions()), out(std::vector<float>{0.0f});
    PLANTED_LAUNCH(faulty, float_atomics,
                   (LaunchShape{.grid = dim3(blocks),
                                .block = threads,
                                .shared_bytes = sizeof(Values),
                                .name = "float_atomics"}),
                   out.data(), in.data());
    return out.values();
}

// The first block adds up what all blocks have written, some of which have not run yet. The twin
// waits for them.
template <bool faulty>
__global__ void sum_of_other_blocks(float* out, float* partial, const float* in) {
    if (threadIdx.x == 0) {
        float sum = 0.0f;
        for (unsigned i = 0; i < threads / blocks; ++i) {
            sum += in[blockIdx.x * (threads / blocks) + i];
        }
        partial[blockIdx.x] = sum;
    }
    if constexpr (!faulty) {
        simt::grid_barrier(SIMT_SITE);
    }
    if (blockIdx.x == 0 && threadIdx.x == 0) {
        float sum = 0.0f;
        for (unsigned block = 0; block < gridDim.x; ++block) {
            sum += partial[block];
        }
        out[0] = sum;
    }
}
std::vector<float> run_sum_of_blocks(bool faulty) {
    Array in(integers(threads)), partial(blocks), out(1);
    PLANTED_LAUNCH(faulty, sum_of_other_blocks,
                   (LaunchShape{.grid = dim3(blocks),
                                .block = 32,
                                .name = "sum_of_other_blocks",
                                .cooperative = !faulty}),
                   out.data(), partial.data(), in.data());
    return out.values();
}

} // namespace

std::vector<Bug> shared_memory_bugs() {
    return {
        {"unsynchronised_reduction", Sign::race, Plain::caught,
         RUN_SUM(tree_without_barriers, 1, sizeof(Values)), total},
        {"shared_memory_never_set", Sign::unwritten_read, Plain::caught,
         RUN_SUM(histogram_never_cleared, bins, sizeof(Histogram)), histogram},
        {"plain_add_for_atomic", Sign::race, Plain::missed,
         RUN_SUM(histogram_without_atomics, bins, sizeof(Histogram)), histogram},
        {"one_past_shared_memory", Sign::out_of_bounds, Plain::caught,
         RUN_SUM(one_past_shared_memory, 1, sizeof(Values)), total},
        {"too_little_shared_memory", Sign::limit, Plain::caught, run_with_too_little, total},
        {"float_atomic_order", Sign::schedule_dependent, Plain::caught, run_float_atomics,
         sum_of_fractions},
        {"sum_of_blocks_not_run_yet", Sign::unordered, Plain::caught, run_sum_of_blocks, total},
    };
}

} // namespace planted
