// The machine instructions that C++ has no words for. The only file with PTX: every function has a
// second body for the host compiler that does the same arithmetic, so that kernels stay plain text.
//
// Memory: a "quad" is four consecutive floats. Rows whose length is a multiple of four, in a buffer
// aligned to 16 bytes, are read and written by one 16-byte instruction a quad (`vectors` = true);
// all others element by element. Either way elements past the end read as 0 and are not written.
#pragma once

#include "kernels/cuda/device.h"

#if !defined(__CUDACC__)
#include <simt_instructions.h>
#endif

namespace patchforge::cuda {

// What is going to happen to the line that an access touches.
enum class Reuse {
    soon, // keep it: weights and activations are read again by the next kernels and fit in L2
    none, // evict it first: moments are touched once an iteration and would push the rest out of L2
};

template <bool vectors, Reuse reuse = Reuse::soon>
__device__ inline void load_quad(float (&quad)[4], const float* from, std::int64_t available) {
    if constexpr (vectors) {
        float4 loaded = {0.0f, 0.0f, 0.0f, 0.0f};
        if (available > 0) {
            const float4* address = reinterpret_cast<const float4*>(from);
            loaded = reuse == Reuse::soon ? *address : __ldcs(address);
        }
        quad[0] = loaded.x;
        quad[1] = loaded.y;
        quad[2] = loaded.z;
        quad[3] = loaded.w;
    } else {
        PATCHFORGE_UNROLL
        for (int i = 0; i < 4; ++i) {
            quad[i] = i < available ? (reuse == Reuse::soon ? from[i] : __ldcs(from + i)) : 0.0f;
        }
    }
}

template <bool vectors, Reuse reuse = Reuse::soon>
__device__ inline void store_quad(float* to, const float (&quad)[4], std::int64_t available) {
    if constexpr (vectors) {
        if (available > 0) {
            const float4 stored = {quad[0], quad[1], quad[2], quad[3]};
            float4* address = reinterpret_cast<float4*>(to);
            if constexpr (reuse == Reuse::soon) {
                *address = stored;
            } else {
                __stcs(address, stored);
            }
        }
    } else {
        PATCHFORGE_UNROLL
        for (int i = 0; i < 4; ++i) {
            if (i < available) {
                if constexpr (reuse == Reuse::soon) {
                    to[i] = quad[i];
                } else {
                    __stcs(to + i, quad[i]);
                }
            }
        }
    }
}

// Two or four neighbours in shared memory, at a multiple of their size.
__device__ inline void load_shared(float (&pair)[2], const float* from) {
    const float2 loaded = *reinterpret_cast<const float2*>(from);
    pair[0] = loaded.x;
    pair[1] = loaded.y;
}
__device__ inline void load_shared(float (&quad)[4], const float* from) {
    const float4 loaded = *reinterpret_cast<const float4*>(from);
    quad[0] = loaded.x;
    quad[1] = loaded.y;
    quad[2] = loaded.z;
    quad[3] = loaded.w;
}

// Copies 16 bytes from global to shared memory without passing through registers; only the first
// `valid_bytes` are read, the rest become 0. Visible after cp_async_wait and a barrier.
__device__ inline void cp_async16(void* shared, const void* global, int valid_bytes) {
#if defined(__CUDACC__)
    const unsigned address = static_cast<unsigned>(__cvta_generic_to_shared(shared));
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(address), "l"(global),
                 "r"(valid_bytes)
                 : "memory");
#else
    simt::cp_async16(shared, global, valid_bytes);
#endif
}

// Closes the group of copies that were started since the last commit.
__device__ inline void cp_async_commit() {
#if defined(__CUDACC__)
    asm volatile("cp.async.commit_group;" ::: "memory");
#else
    simt::cp_async_commit();
#endif
}

// Waits until all but the youngest `pending` groups of this thread have landed.
template <int pending>
__device__ inline void cp_async_wait() {
#if defined(__CUDACC__)
    asm volatile("cp.async.wait_group %0;" ::"n"(pending) : "memory");
#else
    simt::cp_async_wait(pending);
#endif
}

} // namespace patchforge::cuda
