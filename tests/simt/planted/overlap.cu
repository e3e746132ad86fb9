// Faults of kernels that a GPU may start before the one before them has ended: touching memory too
// early, and never waiting.
#include "tests/simt/planted/planted.h"

#include "kernels/cuda/instructions.h"

namespace planted {

namespace {

using namespace patchforge::cuda;

constexpr unsigned threads = 64;
constexpr unsigned blocks = 3;
constexpr unsigned size = threads * blocks;

std::vector<float> doubled() {
    auto values = integers(size);
    for (float& value : values) {
        value *= 2;
    }
    return values;
}

// A value is fetched before it is known that the kernel before has written it.
template <bool faulty>
__global__ void read_before_begin_kernel(float* out, const float* in) {
    const unsigned i = blockIdx.x * threads + threadIdx.x;
    const float early = faulty ? in[i] : 0;
    begin_kernel();
    out[i] = 2 * (faulty ? early : in[i]);
}

struct Staged {
    alignas(16) float value[threads];
};

// The same by a copy that starts too early, though it lands in time.
template <bool faulty>
__global__ void copy_before_begin_kernel(float* out, const float* in) {
    auto& s = shared<Staged>();
    const unsigned t = threadIdx.x, first = blockIdx.x * threads;
    if constexpr (!faulty) {
        begin_kernel();
    }
    if (t < threads / 4) {
        cp_async16(&s.value[4 * t], in + first + 4 * t, 16);
    }
    cp_async_commit();
    if constexpr (faulty) {
        begin_kernel();
    }
    cp_async_wait<0>();
    __syncthreads();
    out[first + t] = 2 * s.value[t];
}

template <bool faulty>
__global__ void kernel_never_begins(float* out, const float* in) {
    if constexpr (!faulty) {
        begin_kernel();
    }
    const unsigned i = blockIdx.x * threads + threadIdx.x;
    out[i] = 2 * in[i];
}

// A block that finds nothing to do leaves at once. A grid of nothing but such blocks would end
// before the kernel before it does, and let the one behind it start.
template <bool faulty>
__global__ void idle_block_never_begins(float* out, const float* in) {
    const unsigned i = blockIdx.x * threads + threadIdx.x;
    if (faulty && i >= size) {
        return;
    }
    begin_kernel();
    if (i < size) {
        out[i] = 2 * in[i];
    }
}

template <class Kernel>
std::vector<float> run(Kernel kernel, unsigned grid, const char* name) {
    Array in(integers(size)), out(size);
    launch(kernel,
           {.grid = dim3(grid),
            .block = threads,
            .shared_bytes = sizeof(Staged),
            .stream = Stream(nullptr, true),
            .name = name},
           out.data(), static_cast<const float*>(in.data()));
    return out.values();
}
#define RUN(kernel, grid)                                                                          \
    [](bool faulty) { return run(faulty ? kernel<true> : kernel<false>, grid, #kernel); }

} // namespace

std::vector<Bug> overlap_bugs() {
    return {
        {"read_before_begin_kernel", Sign::overlap, Plain::missed,
         RUN(read_before_begin_kernel, blocks), doubled},
        {"copy_before_begin_kernel", Sign::overlap, Plain::missed,
         RUN(copy_before_begin_kernel, blocks), doubled},
        {"kernel_never_begins", Sign::overlap, Plain::caught, RUN(kernel_never_begins, blocks),
         doubled},
        {"idle_block_never_begins", Sign::overlap_of_idle, Plain::caught,
         RUN(idle_block_never_begins, blocks + 1), doubled},
    };
}

} // namespace planted
