// Faults within a warp: masks that name the wrong lanes, trades without __syncwarp, and shuffles
// that reach too far or not far enough.
#include "tests/simt/planted/planted.h"

namespace planted {

namespace {

using patchforge::cuda::shared;

constexpr unsigned full_mask = 0xffffffffu;
constexpr unsigned lanes = 32;
constexpr unsigned ragged = 27;

std::vector<float> sum_of(unsigned count) {
    const auto values = integers(lanes);
    float sum = 0;
    for (unsigned i = 0; i < count; ++i) {
        sum += values[i];
    }
    return {sum};
}
std::vector<float> sum_of_all() {
    return sum_of(lanes);
}
std::vector<float> sum_of_ragged() {
    return sum_of(ragged);
}

// Lanes past the end leave before the shuffles that name them.
template <bool faulty>
__global__ void return_before_shuffle(float* out, const float* in) {
    const unsigned lane = threadIdx.x;
    if (faulty && lane >= ragged) {
        return;
    }
    float sum = lane < ragged ? in[lane] : 0.0f;
    for (int distance = 16; distance > 0; distance /= 2) {
        sum += __shfl_xor_sync(full_mask, sum, distance);
    }
    if (lane == 0) {
        out[0] = sum;
    }
}

// All lanes call with a mask that names half of them.
template <bool faulty>
__global__ void call_without_being_named(float* out, const float* in) {
    const unsigned lane = threadIdx.x;
    float sum = in[lane];
    for (int distance = 16; distance > 0; distance /= 2) {
        sum += __shfl_xor_sync(faulty ? 0x0000ffffu : full_mask, sum, distance);
    }
    if (lane == 0) {
        out[0] = sum;
    }
}

// The mask was right when it was taken; since then some lanes have turned elsewhere.
template <bool faulty>
__global__ void stale_mask(float* out, const float* in) {
    const unsigned lane = threadIdx.x;
    const bool positive = in[lane] > 0.0f;
    const unsigned before = __ballot_sync(full_mask, in[lane] == in[lane]);
    const unsigned now = __ballot_sync(full_mask, positive);
    if (positive) {
        const int count = __popc(__ballot_sync(faulty ? before : now, true));
        out[lane] = static_cast<float>(count);
    } else {
        out[lane] = 0.0f;
    }
    __syncwarp();
}
std::vector<float> count_of_positive() {
    auto values = integers(lanes);
    float count = 0;
    for (const float value : values) {
        count += value > 0.0f;
    }
    for (float& value : values) {
        value = value > 0.0f ? count : 0.0f;
    }
    return values;
}

struct Exchange {
    float value[lanes];
};
template <bool faulty>
__global__ void trade_without_syncwarp(float* out, const float* in) {
    auto& exchange = shared<Exchange>();
    const unsigned lane = threadIdx.x;
    exchange.value[lane] = in[lane];
    if constexpr (!faulty) {
        __syncwarp();
    }
    out[lane] = exchange.value[lane ^ 1];
}
std::vector<float> neighbours() {
    const auto values = integers(lanes);
    std::vector<float> traded(lanes);
    for (unsigned lane = 0; lane < lanes; ++lane) {
        traded[lane] = values[lane ^ 1];
    }
    return traded;
}

// Two rows of 16 a warp: without the width, sums cross from one row into the other.
template <bool faulty>
__global__ void shuffle_across_rows(float* out, const float* in) {
    const unsigned lane = threadIdx.x;
    float sum = in[lane];
    for (int distance = 8; distance > 0; distance /= 2) {
        sum += __shfl_down_sync(full_mask, sum, distance, faulty ? 32 : 16);
    }
    // Every lane's partial sum is looked at, not only that of the row's first lane.
    out[lane] = sum;
}
std::vector<float> sums_of_rows() {
    auto values = integers(lanes);
    for (int distance = 8; distance > 0; distance /= 2) {
        const auto before = values;
        for (int lane = 0; lane < 32; ++lane) {
            const int source = lane % 16 + distance < 16 ? lane + distance : lane;
            values[lane] = before[lane] + before[source];
        }
    }
    return values;
}

// The butterfly starts one step too late and sums half of the lanes.
template <bool faulty>
__global__ void half_a_butterfly(float* out, const float* in) {
    float sum = in[threadIdx.x];
    for (int distance = faulty ? 8 : 16; distance > 0; distance /= 2) {
        sum += __shfl_xor_sync(full_mask, sum, distance);
    }
    if (threadIdx.x == 0) {
        out[0] = sum;
    }
}

template <class Kernel>
std::vector<float> run_warp(Kernel kernel, unsigned results, const char* name) {
    Array in(integers(lanes)), out(results);
    patchforge::cuda::launch(
        kernel, {.grid = dim3(1), .block = lanes, .shared_bytes = sizeof(Exchange), .name = name},
        out.data(), static_cast<const float*>(in.data()));
    return out.values();
}

#define RUN_WARP(kernel, results)                                                                  \
    [](bool faulty) { return run_warp(faulty ? kernel<true> : kernel<false>, results, #kernel); }

} // namespace

std::vector<Bug> warp_bugs() {
    return {
        {"exited_lane_in_mask", Sign::lane_mask, Plain::caught, RUN_WARP(return_before_shuffle, 1),
         sum_of_ragged},
        {"lane_not_in_mask", Sign::lane_mask, Plain::caught, RUN_WARP(call_without_being_named, 1),
         sum_of_all},
        {"stale_mask", Sign::lane_mask, Plain::caught, RUN_WARP(stale_mask, lanes),
         count_of_positive},
        {"missing_syncwarp", Sign::unordered, Plain::caught,
         RUN_WARP(trade_without_syncwarp, lanes), neighbours},
        {"shuffle_without_width", Sign::wrong_result, Plain::caught,
         RUN_WARP(shuffle_across_rows, lanes), sums_of_rows},
        {"half_a_butterfly", Sign::wrong_result, Plain::caught, RUN_WARP(half_a_butterfly, 1),
         sum_of_all},
    };
}

} // namespace planted
