// Host bodies for the instructions that C++ has no words for: asynchronous copies, tensor-core
// products and ldmatrix, with the GPU's fragment layouts and roundings (PTX ISA, "Matrix
// multiply-accumulate operation using mma instruction" and "Data movement: cp.async").
#pragma once

#include <simt.h>

#include <cstdint>

namespace simt {

// Copies `bytes` (4, 8 or 16) from global to shared memory, the first valid_bytes from `global` and
// zeros after them. Nothing moves before cp_async_wait: a kernel that reads too early, or changes
// the source in between, sees what a GPU might show it. Both addresses must be multiples of bytes.
void cp_async(void* shared, const void* global, int bytes, int valid_bytes);
inline void cp_async16(void* shared, const void* global, int valid_bytes) {
    cp_async(shared, global, 16, valid_bytes);
}
// Closes the group of this thread's copies since the last commit; it may be empty.
void cp_async_commit();
// Lands all but the youngest pending_groups groups of this thread.
void cp_async_wait(int pending_groups);

// griddepcontrol.wait. Launches run one after another here, so there is nothing to wait for: what is
// checked is that every thread of a launch that overlaps calls it, before it touches device memory.
void begin_kernel();

// The nearest tf32 (8 bits of exponent, 10 of mantissa), ties away from zero: cvt.rna.tf32.f32.
std::uint32_t tf32_from_float(float value);

// d += a b for a 16x8 (row), b 8x8 (column), d 16x8, spread over the 32 lanes of a warp. With
// g = lane / 4 and t = lane % 4:
//   a[0] = A(g, t), a[1] = A(g + 8, t), a[2] = A(g, t + 4), a[3] = A(g + 8, t + 4)
//   b[0] = B(t, g), b[1] = B(t + 4, g)
//   d[0] = D(g, 2t), d[1] = D(g, 2t + 1), d[2] = D(g + 8, 2t), d[3] = D(g + 8, 2t + 1)
// The low 13 bits of the operands are ignored, as the tensor core does. The eight products are
// added exactly and rounded to float32 once; a GPU rounds somewhere in between as well.
void mma_m16n8k8_tf32(float (&d)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]);

// The same for bfloat16 with 16 products: a word holds two neighbours along k, the lower first.
//   a[0] = A(g, 2t..), a[1] = A(g + 8, 2t..), a[2] = A(g, 2t + 8..), a[3] = A(g + 8, 2t + 8..)
//   b[0] = B(2t.., g), b[1] = B(2t + 8.., g);   d as above.
void mma_m16n8k16_bf16(float (&d)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]);

// ldmatrix: lanes 8i to 8i + 7 bring the addresses of the eight 16-byte rows of matrix i in shared
// memory; lane l gets the two 16-bit elements (l / 4, 2 (l % 4)) and the next one of each matrix,
// or those of the transposed matrix.
void ldmatrix_x1(std::uint32_t (&fragment)[1], const void* row, bool transposed = false);
void ldmatrix_x2(std::uint32_t (&fragment)[2], const void* row, bool transposed = false);
void ldmatrix_x4(std::uint32_t (&fragment)[4], const void* row, bool transposed = false);

} // namespace simt
