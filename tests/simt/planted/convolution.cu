// Faults of windows that slide: a halo one too narrow, the taps of the other parity, statistics of the
// group beside.
#include "tests/simt/planted/planted.h"

namespace planted {

namespace {

using patchforge::cuda::LaunchShape;
using patchforge::cuda::shared;

constexpr int tile = 64, tiles = 3;
constexpr int outputs = tile * tiles; // of 3 taps, so that two more pixels come in

struct Window {
    float value[tile + 2];
};

// Each block brings its tile and the pixel on either side of it.
template <bool faulty>
__global__ void halo_off_by_one(float* out, const float* in) {
    auto& s = shared<Window>();
    const int t = static_cast<int>(threadIdx.x);
    const int first = static_cast<int>(blockIdx.x) * tile;
    for (int k = t; k < tile + (faulty ? 1 : 2); k += tile) {
        s.value[k] = in[first + k];
    }
    __syncthreads();
    out[first + t] = s.value[t] + 2.0f * s.value[t + 1] + 3.0f * s.value[t + 2];
}
std::vector<float> convolved() {
    const auto in = integers(outputs + 2);
    std::vector<float> out;
    for (int i = 0; i < outputs; ++i) {
        out.push_back(in[i] + 2.0f * in[i + 1] + 3.0f * in[i + 2]);
    }
    return out;
}
std::vector<float> run_halo(bool faulty) {
    Array in(integers(outputs + 2)), out(static_cast<std::size_t>(outputs));
    PLANTED_LAUNCH(faulty, halo_off_by_one,
                   (LaunchShape{.grid = dim3(tiles),
                                .block = tile,
                                .shared_bytes = sizeof(Window),
                                .name = "halo_off_by_one"}),
                   out.data(), static_cast<const float*>(in.data()));
    return out.values();
}

// The input gradient of stride 2 and 3 taps: even pixels have the middle tap, odd ones the outer two.
template <bool faulty>
__global__ void parity_swapped(float* dx, const float* dz) {
    const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    const int o = i / 2;
    const float next = o + 1 < outputs / 2 ? dz[o + 1] : 0.0f;
    dx[i] = i % 2 == (faulty ? 1 : 0) ? 2.0f * dz[o] : 3.0f * dz[o] + next;
}
std::vector<float> spread() {
    const auto dz = integers(outputs / 2);
    std::vector<float> dx(outputs, 0.0f);
    const float taps[3] = {1.0f, 2.0f, 3.0f};
    for (int o = 0; o < outputs / 2; ++o) {
        for (int tap = 0; tap < 3; ++tap) {
            if (const int i = 2 * o - 1 + tap; i >= 0 && i < outputs) {
                dx[i] += taps[tap] * dz[o];
            }
        }
    }
    return dx;
}
std::vector<float> run_parity(bool faulty) {
    Array dz(integers(outputs / 2)), dx(static_cast<std::size_t>(outputs));
    PLANTED_LAUNCH(faulty, parity_swapped,
                   (LaunchShape{.grid = dim3(tiles), .block = tile, .name = "parity_swapped"}),
                   dx.data(), static_cast<const float*>(dz.data()));
    return dx.values();
}

// A group is a tile; its mean is taken away.
template <bool faulty>
__global__ void statistics_of_the_wrong_group(float* out, const float* in, const float* mean) {
    const unsigned group = faulty ? (blockIdx.x + 1) % gridDim.x : blockIdx.x;
    const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    out[i] = in[i] - mean[group];
}
std::vector<float> means() {
    return {1.0f, -2.0f, 5.0f};
}
std::vector<float> centred() {
    auto values = integers(outputs);
    for (int i = 0; i < outputs; ++i) {
        values[i] -= means()[i / tile];
    }
    return values;
}
std::vector<float> run_statistics(bool faulty) {
    Array in(integers(outputs)), mean(means()), out(static_cast<std::size_t>(outputs));
    PLANTED_LAUNCH(
        faulty, statistics_of_the_wrong_group,
        (LaunchShape{.grid = dim3(tiles), .block = tile, .name = "statistics_of_the_wrong_group"}),
        out.data(), static_cast<const float*>(in.data()), static_cast<const float*>(mean.data()));
    return out.values();
}

} // namespace

std::vector<Bug> convolution_bugs() {
    return {
        {"halo_off_by_one", Sign::unwritten_read, Plain::caught, run_halo, convolved},
        {"parity_swapped", Sign::wrong_result, Plain::caught, run_parity, spread},
        {"statistics_of_the_wrong_group", Sign::wrong_result, Plain::caught, run_statistics,
         centred},
    };
}

} // namespace planted
