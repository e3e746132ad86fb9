// Faults of waiting: barriers left out, met in different places, or met by too few.
#include "tests/simt/planted/planted.h"

#include <algorithm>

namespace planted {

namespace {

using patchforge::cuda::launch;
using patchforge::cuda::shared;
using patchforge::cuda::spin_until;

constexpr unsigned threads = 64;
constexpr unsigned tiles = 3;

struct Tile {
    float value[threads];
};

// Every tile comes out reversed.
std::vector<float> reversed_tiles() {
    auto values = integers(threads * tiles);
    for (auto tile = values.begin(); tile != values.end(); tile += threads) {
        std::reverse(tile, tile + threads);
    }
    return values;
}

template <bool faulty>
__global__ void reverse_without_barrier(float* out, const float* in) {
    auto& tile = shared<Tile>();
    const unsigned t = threadIdx.x, first = blockIdx.x * threads;
    tile.value[t] = in[first + t];
    if constexpr (!faulty) {
        __syncthreads();
    }
    out[first + t] = tile.value[threads - 1 - t];
}

// The barrier before the tile is filled again is missing.
template <bool faulty>
__global__ void refill_without_barrier(float* out, const float* in) {
    auto& tile = shared<Tile>();
    const unsigned t = threadIdx.x;
    for (unsigned first = 0; first < tiles * threads; first += threads) {
        tile.value[t] = in[first + t];
        __syncthreads();
        out[first + t] = tile.value[threads - 1 - t];
        if constexpr (!faulty) {
            __syncthreads();
        }
    }
}

template <bool faulty>
__global__ void barrier_in_two_branches(float* out, const float* in) {
    auto& tile = shared<Tile>();
    const unsigned t = threadIdx.x, first = blockIdx.x * threads;
    tile.value[t] = in[first + t];
    if (faulty && t < 32) {
        __syncthreads();
    } else {
        __syncthreads();
    }
    out[first + t] = tile.value[threads - 1 - t];
}

// Warps go round a loop with a barrier in it a different number of times.
template <bool faulty>
__global__ void barrier_in_ragged_loop(float* out, const float* in) {
    auto& tile = shared<Tile>();
    const unsigned t = threadIdx.x, first = blockIdx.x * threads;
    const unsigned rounds = faulty ? 1 + t / 32 : 2;
    tile.value[t] = in[first + t];
    for (unsigned round = 0; round < rounds; ++round) {
        __syncthreads();
    }
    out[first + t] = tile.value[threads - 1 - t];
    __syncthreads();
}

// The first warp waits at a barrier for 64 threads that the second never comes to.
template <bool faulty>
__global__ void named_barrier_of_too_few(float* out, const float* in) {
    const unsigned t = threadIdx.x, first = blockIdx.x * threads;
    if (!faulty || t < 32) {
        simt::named_barrier(1, threads, SIMT_SITE);
    }
    out[first + t] = in[first + threads - 1 - t];
}

// Blocks pass a value along a chain. Launched plainly, a block may wait for one that never starts.
template <bool faulty>
__global__ void wait_for_the_next_block(float* out, const float* in, float* flags) {
    const unsigned t = threadIdx.x, block = blockIdx.x, last = gridDim.x - 1;
    if (t == 0 && block < last) {
        spin_until([=] { return __ldcg(flags + block + 1) == 1.0f; });
    }
    __syncthreads();
    out[block * threads + t] = in[block * threads + threads - 1 - t];
    __threadfence();
    __syncthreads();
    if (t == 0) {
        __stcg(flags + block, 1.0f);
    }
}

template <class Kernel>
std::vector<float> run_tiles(Kernel kernel, unsigned blocks, const char* name) {
    Array in(integers(threads * tiles)), out(threads * tiles);
    launch(kernel,
           {.grid = dim3(blocks), .block = threads, .shared_bytes = sizeof(Tile), .name = name},
           out.data(), static_cast<const float*>(in.data()));
    return out.values();
}

#define RUN_TILES(kernel, blocks)                                                                  \
    [](bool faulty) { return run_tiles(faulty ? kernel<true> : kernel<false>, blocks, #kernel); }

std::vector<float> run_chain(bool faulty) {
    Array in(integers(threads * tiles)), out(threads * tiles),
        flags(std::vector<float>(tiles, 0.0f));
    PLANTED_LAUNCH(faulty, wait_for_the_next_block,
                   (patchforge::cuda::LaunchShape{.grid = dim3(tiles),
                                                  .block = threads,
                                                  .name = "wait_for_the_next_block",
                                                  .cooperative = !faulty}),
                   out.data(), in.data(), flags.data());
    return out.values();
}

} // namespace

std::vector<Bug> barrier_bugs() {
    return {
        {"missing_barrier", Sign::unordered, Plain::caught,
         RUN_TILES(reverse_without_barrier, tiles), reversed_tiles},
        {"missing_barrier_before_refill", Sign::race, Plain::caught,
         RUN_TILES(refill_without_barrier, 1), reversed_tiles},
        {"barrier_in_two_branches", Sign::divergent_barrier, Plain::caught,
         RUN_TILES(barrier_in_two_branches, tiles), reversed_tiles},
        {"barrier_in_ragged_loop", Sign::divergent_barrier, Plain::caught,
         RUN_TILES(barrier_in_ragged_loop, tiles), reversed_tiles},
        {"named_barrier_of_too_few", Sign::deadlock, Plain::caught,
         RUN_TILES(named_barrier_of_too_few, tiles), reversed_tiles},
        {"wait_for_a_block_that_never_starts", Sign::deadlock, Plain::caught, run_chain,
         reversed_tiles},
    };
}

} // namespace planted
