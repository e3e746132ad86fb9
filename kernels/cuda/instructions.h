// The machine instructions that C++ has no words for. The only file with PTX: every function has a
// second body for the host compiler that does the same arithmetic, so that kernels stay plain text.
//
// Memory: a "quad" is four consecutive floats. Rows whose length is a multiple of four, in a buffer
// aligned to 16 bytes, are read and written by one 16-byte instruction a quad (`vectors` = true);
// all others element by element. Either way elements past the end read as 0 and are not written.
#pragma once

#include "kernels/cuda/device.h"

#if !defined(__CUDACC__)
#include <cuda_bf16.h>
#include <simt_instructions.h>

#include <bit>
#endif

namespace patchforge::cuda {

// The first statement of every kernel. Lets the kernel behind this one be started as soon as every
// block of this one has been, and waits until the kernel before this one has ended and all that it
// and those before it wrote can be read. Without a programmatic edge to the kernel before (see
// starts_before_predecessor_ends) it does not wait, and before compute capability 9.0 it is nothing.
//
// Nothing may stand before it. A kernel that ended without it could end before its predecessor,
// and its successor would then start on what the predecessor has not written yet; and a load
// before it, even of a weight, may be of what the predecessor is writing.
__device__ inline void begin_kernel() {
#if !defined(__CUDACC__)
    simt::begin_kernel();
#elif defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
    asm volatile("griddepcontrol.wait;" ::: "memory"); // no access moves up past it
#endif
}

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

// Four floats at a multiple of 16 bytes, past the first-level cache: what another block wrote in this
// launch may lie there in an old state, and what is read once has no business there.
__device__ inline void load_from_l2(float (&quad)[4], const float* from) {
    const float4 loaded = __ldcg(reinterpret_cast<const float4*>(from));
    quad[0] = loaded.x;
    quad[1] = loaded.y;
    quad[2] = loaded.z;
    quad[3] = loaded.w;
}
__device__ inline void store_to_l2(float* to, const float (&quad)[4]) {
    __stcg(reinterpret_cast<float4*>(to), float4{quad[0], quad[1], quad[2], quad[3]});
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

__device__ inline void store_shared(float* to, float first, float second) {
    *reinterpret_cast<float2*>(to) = {first, second};
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

// The same for one float: what lies at addresses of no alignment, or is not contiguous. `valid_bytes`
// is 4, or 0 to write a zero.
__device__ inline void cp_async4(float* shared, const float* global, int valid_bytes) {
#if defined(__CUDACC__)
    const unsigned address = static_cast<unsigned>(__cvta_generic_to_shared(shared));
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(address), "l"(global),
                 "r"(valid_bytes)
                 : "memory");
#else
    simt::cp_async(shared, global, 4, valid_bytes);
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

// The nearest tf32, ties away from zero, as an operand of mma_tf32.
__device__ inline std::uint32_t round_to_tf32(float value) {
#if defined(__CUDACC__)
    std::uint32_t word;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(word) : "f"(value));
    return word;
#else
    return simt::tf32_from_float(value);
#endif
}

// The nearest bfloat16 of both, ties to even; `low` in the lower half.
__device__ inline std::uint32_t round_to_bf16_pair(float low, float high) {
#if defined(__CUDACC__)
    std::uint32_t word;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(word) : "f"(high), "f"(low));
    return word;
#else
    return std::bit_cast<std::uint32_t>(__floats2bfloat162_rn(low, high));
#endif
}

// d += a b on the tensor cores, by all lanes of a warp: a 16 x 8, b 8 x 8, d 16 x 8. With g = lane
// / 4 and t = lane % 4 a lane brings
//     a = A(g, t), A(g + 8, t), A(g, t + 4), A(g + 8, t + 4)      b = B(t, g), B(t + 4, g)
// and owns d = D(g, 2t), D(g, 2t + 1), D(g + 8, 2t), D(g + 8, 2t + 1).
__device__ inline void mma_tf32(float (&d)[4], const std::uint32_t (&a)[4],
                                const std::uint32_t (&b)[2]) {
#if defined(__CUDACC__)
    asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
    simt::mma_m16n8k8_tf32(d, a, b);
#endif
}

// The same 16 deep; a word holds two neighbours along k from 2t on, and from 2t + 8 on where the
// list above says t + 4.
__device__ inline void mma_bf16(float (&d)[4], const std::uint32_t (&a)[4],
                                const std::uint32_t (&b)[2]) {
#if defined(__CUDACC__)
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
    simt::mma_m16n8k16_bf16(d, a, b);
#endif
}

} // namespace patchforge::cuda
