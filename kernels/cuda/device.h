// What every .cu file here is written in: CUDA C++ with a few agreed forms, so that the same text
// is compiled by nvcc for a GPU and by g++ for the executor in tests/simt.
//
//   launch(kernel, {.grid, .block, .shared_bytes, ...}, arguments...)   instead of <<< >>>
//   begin_kernel();                     first of all in every kernel (kernels/cuda/instructions.h)
//   auto& s = shared<Storage>();        instead of __shared__ arrays
//   spin_until(condition)               the only way to wait for another block
//   PATCHFORGE_UNROLL                   loops whose arrays live in registers
//   PATCHFORGE_NO_UNROLL                loops that unrolling would make spill
//
// PTX lives in kernels/cuda/instructions.h. The kernels contain none.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <stdexcept>
#include <string>

#if defined(__CUDACC__)
#define PATCHFORGE_UNROLL _Pragma("unroll")
#define PATCHFORGE_NO_UNROLL _Pragma("unroll 1")
#elif defined(PATCHFORGE_SIMT)
#include <simt.h>
#define PATCHFORGE_UNROLL
#define PATCHFORGE_NO_UNROLL
#endif

namespace patchforge::cuda {

// One line for every failed call of the runtime: where, what, and what the driver says of it.
[[noreturn]] void throw_cuda_error(cudaError_t status, const char* expression, const char* file,
                                   int line);
#define PATCHFORGE_CUDA_CHECK(expression)                                                          \
    do {                                                                                           \
        const cudaError_t status_ = (expression);                                                  \
        if (status_ != cudaSuccess) {                                                              \
            ::patchforge::cuda::throw_cuda_error(status_, #expression, __FILE__, __LINE__);        \
        }                                                                                          \
    } while (false)

// What a kernel moves and computes, for `plan` and for the bench: bytes that must cross the
// device's memory at least once, and floating-point operations (a fused multiply-add counts two).
// Each operand counts once, one that is read and written twice; what blocks leave for each other in
// the workspace (split_sum.h) stays in L2 and does not count. tests/counted holds the bytes to what
// kernels touch.
struct Work {
    double bytes = 0;
    double operations = 0;
};

// What becomes of a kernel that is put on a stream.
enum class Launching {
    run,
    check,    // it runs, is waited for, and is named if the device faults (--check-launches)
    load,     // its code is brought onto the device, before it is recorded; it does not run
    announce, // nothing: `plan` asks what would be launched where there is no device
};

// Where work is put, in order. On a stream that `overlaps`, a kernel of a recording may be started
// while the one before it still runs (cudaLaunchAttributeProgrammaticStreamSerialization), so all
// its kernels have to begin with begin_kernel().
struct Stream {
    Stream(cudaStream_t stream = nullptr, bool may_overlap = false)
        : handle(stream), overlaps(may_overlap) {}
    cudaStream_t handle;
    bool overlaps;
    Launching launching = Launching::run;
    int device = -1; // whose it is; -1: that of the thread that launches
};

struct LaunchShape {
    dim3 grid = {};
    unsigned block = 256; // a multiple of 32, at most 1024
    std::size_t shared_bytes = 0;
    Stream stream = {};
    const char* name = "";
    Work work = {};
    bool cooperative = false; // all blocks live at once: grid barriers are allowed
    unsigned splits = 1;      // blocks among which each of its sums is split (split_sum.h)
    // Blocks for which a multiprocessor has registers: the kernel's second launch bound. 0: it has
    // none, takes few registers, and threads or shared memory decide.
    int resident_blocks = 0;

    // Whether it has to wait for the kernel before it by itself.
    bool overlaps() const { return stream.overlaps && !cooperative; }
};

// Tells whoever listens (`plan`, the bench) that a kernel was put on a stream. Null: nobody does.
using LaunchListener = void (*)(const LaunchShape& shape, void* context);
void set_launch_listener(LaunchListener listener, void* context);
void announce_launch(const LaunchShape& shape);

// launch.cpp. Before a launch: announces it, sets its device for this thread and, the first time,
// loads the kernel's code and sets its attributes. Whether it is to be put on its stream.
bool prepare_launch(const void* kernel, const LaunchShape& shape);
// After it: std::runtime_error that names the kernel if it could not be started; and, on a stream
// whose launches are checked, if it or anything before it failed.
void check_launch(cudaError_t status, const LaunchShape& shape);
void use_device(int device);

// overlap.cu. Why no launch may overlap the one before it on this device; empty when it may.
std::string why_no_overlap(int device_index);
// Whether this launch is put behind the one before by a programmatic edge: it overlaps(), its
// stream is being recorded, and what was recorded last is a kernel.
bool starts_before_predecessor_ends(const LaunchShape& shape);

// Host sources built against the CUDA toolkit see the declarations above; kernels see all of it.
#if defined(__CUDACC__) || defined(PATCHFORGE_SIMT)

template <class... Parameters, class... Arguments>
void launch(void (*kernel)(Parameters...), const LaunchShape& shape, Arguments&&... arguments) {
    if (shape.grid.x == 0 || shape.grid.y == 0 || shape.grid.z == 0) {
        return;
    }
    if (!prepare_launch(reinterpret_cast<const void*>(kernel), shape)) {
        return;
    }
#if defined(__CUDACC__)
    cudaLaunchConfig_t config = {};
    config.gridDim = shape.grid;
    config.blockDim = dim3(shape.block);
    config.dynamicSmemBytes = shape.shared_bytes;
    config.stream = shape.stream.handle;
    cudaLaunchAttribute attribute = {};
    if (shape.cooperative) {
        attribute.id = cudaLaunchAttributeCooperative;
        attribute.val.cooperative = 1;
        config.numAttrs = 1;
    } else if (starts_before_predecessor_ends(shape)) {
        attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
        attribute.val.programmaticStreamSerializationAllowed = 1;
        config.numAttrs = 1;
    }
    config.attrs = &attribute;
    check_launch(cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(arguments)...), shape);
#else
    simt::launch(kernel,
                 {shape.grid, shape.block, shape.shared_bytes, shape.cooperative, shape.overlaps(),
                  shape.name, shape.work.bytes},
                 shape.stream.handle, static_cast<Parameters>(arguments)...);
    check_launch(cudaSuccess, shape);
#endif
}

// The block's shared memory as one plain struct. Launch with shared_bytes = sizeof(Storage): the
// executor refuses less. A comment in the kernel's PTX tells `make check-ptxas` how much that is.
template <class Storage>
__device__ inline Storage& shared() {
#if defined(__CUDACC__)
    extern __shared__ __align__(128) unsigned char shared_memory_of_block[];
    asm volatile("// shared memory of the block: %0 bytes" ::"n"(sizeof(Storage)));
    return *reinterpret_cast<Storage*>(shared_memory_of_block);
#else
    return *static_cast<Storage*>(simt::shared_memory(sizeof(Storage), alignof(Storage)));
#endif
}

// Waits until condition() holds; it must become true by the work of another running block.
#if defined(__CUDACC__)
template <class Condition>
__device__ inline void spin_until(Condition condition) {
    while (!condition()) {
        __nanosleep(20);
    }
}
#else
template <class Condition>
void spin_until(Condition condition, const char* file = __builtin_FILE(),
                int line = __builtin_LINE()) {
    while (!condition()) {
        simt::yield(file, line);
    }
}
#endif

#endif // compiled as device code

inline unsigned blocks_for(std::int64_t count, std::int64_t per_block) {
    return static_cast<unsigned>((count + per_block - 1) / per_block);
}

// Whether rows of this length in these buffers can be read by 16-byte instructions
// (kernels/cuda/instructions.h). Null pointers stand for absent buffers.
inline bool quad_access(std::int64_t row_length, std::initializer_list<const void*> buffers) {
    for (const void* buffer : buffers) {
        if (reinterpret_cast<std::uintptr_t>(buffer) % 16 != 0) {
            return false;
        }
    }
    return row_length % 4 == 0;
}

} // namespace patchforge::cuda
