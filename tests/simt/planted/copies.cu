// Faults of asynchronous copies: reading before they land, waiting for the wrong group, and filling
// a stage that others still read.
#include "tests/simt/planted/planted.h"

#include "kernels/cuda/instructions.h"

namespace planted {

namespace {

using namespace patchforge::cuda;

constexpr unsigned threads = 32;
constexpr unsigned quad = 4;              // floats a copy
constexpr unsigned tile = threads * quad; // floats a stage
constexpr unsigned tiles = 5;
constexpr unsigned stages = 2;

struct Stages {
    alignas(16) float value[stages][tile];
};

// out[i] = in[i] of the lane's neighbour in the tile, 64 floats on.
std::vector<float> turned() {
    const auto values = integers(tile * tiles);
    std::vector<float> result(values.size());
    for (std::size_t i = 0; i < values.size(); ++i) {
        result[i] = values[i / tile * tile + (i + tile / 2) % tile];
    }
    return result;
}

enum class Fault { none, no_wait, wait_for_older, no_barrier_after, no_barrier_before_refill };

// Two stages: while one is read, the next tile is on its way into the other.
template <Fault fault>
__global__ void pipeline(float* out, const float* in) {
    auto& s = shared<Stages>();
    const unsigned t = threadIdx.x;
    const auto start = [&](unsigned index) {
        if (index < tiles) {
            cp_async16(&s.value[index % stages][quad * t], in + index * tile + quad * t, 16);
        }
        cp_async_commit();
    };
    start(0);
    for (unsigned index = 0; index < tiles; ++index) {
        start(index + 1);
        if constexpr (fault == Fault::wait_for_older) {
            cp_async_wait<2>();
        } else if constexpr (fault != Fault::no_wait) {
            cp_async_wait<1>();
        }
        if constexpr (fault != Fault::no_barrier_after) {
            __syncthreads();
        }
        for (unsigned i = t; i < tile; i += threads) {
            out[index * tile + i] = s.value[index % stages][(i + tile / 2) % tile];
        }
        if constexpr (fault != Fault::no_barrier_before_refill) {
            __syncthreads();
        }
    }
}

template <Fault fault>
std::vector<float> run_pipeline(bool faulty) {
    Array in(integers(tile * tiles)), out(tile * tiles);
    launch(faulty ? pipeline<fault> : pipeline<Fault::none>,
           {.grid = dim3(1), .block = threads, .shared_bytes = sizeof(Stages), .name = "pipeline"},
           out.data(), in.data());
    return out.values();
}

// Copies the ragged end of a row as if it were whole.
template <bool faulty>
__global__ void copy_of_ragged_end(float* out, const float* in) {
    auto& s = shared<Stages>();
    const int t = static_cast<int>(threadIdx.x), ragged = static_cast<int>(tile) - 3;
    const int valid = min(max(ragged - 4 * t, 0), 4) * 4;
    cp_async16(&s.value[0][4 * t], in + 4 * t, faulty ? 16 : valid);
    cp_async_commit();
    cp_async_wait<0>();
    __syncthreads();
    for (int i = t; i < static_cast<int>(tile); i += static_cast<int>(threads)) {
        out[i] = s.value[0][i];
    }
}
std::vector<float> ragged_row() {
    auto values = integers(tile);
    values[tile - 3] = values[tile - 2] = values[tile - 1] = 0.0f;
    return values;
}
std::vector<float> run_ragged(bool faulty) {
    Array in(integers(tile - 3)), out(tile);
    PLANTED_LAUNCH(faulty, copy_of_ragged_end,
                   (LaunchShape{.grid = dim3(1),
                                .block = threads,
                                .shared_bytes = sizeof(Stages),
                                .name = "copy_of_ragged_end"}),
                   out.data(), in.data());
    return out.values();
}

} // namespace

std::vector<Bug> copy_bugs() {
    return {
        {"read_before_copy_landed", Sign::unwritten_read, Plain::caught,
         run_pipeline<Fault::no_wait>, turned},
        {"wait_for_older_group", Sign::unwritten_read, Plain::caught,
         run_pipeline<Fault::wait_for_older>, turned},
        {"missing_barrier_after_copy", Sign::unordered, Plain::caught,
         run_pipeline<Fault::no_barrier_after>, turned},
        {"copy_into_stage_being_read", Sign::race, Plain::missed,
         run_pipeline<Fault::no_barrier_before_refill>, turned},
        {"copy_of_ragged_end", Sign::out_of_bounds, Plain::caught, run_ragged, ragged_row},
    };
}

} // namespace planted
