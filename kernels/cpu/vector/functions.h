// The functions of VectorKernels (kernels/cpu/dispatch.h), as this instruction set defines them.
#pragma once

#include "kernels/cpu/dispatch.h"

namespace patchforge::PATCHFORGE_ISA {

// A function with the signature of the table's member of the same name.
template <class Pointer>
struct Pointee;
template <class Function>
struct Pointee<Function*> {
    using Type = Function;
};
#define PATCHFORGE_DECLARE(name) Pointee<decltype(VectorKernels::name)>::Type name

PATCHFORGE_DECLARE(activate);
PATCHFORGE_DECLARE(activation_gradient);
PATCHFORGE_DECLARE(adam);
PATCHFORGE_DECLARE(moving_average);
PATCHFORGE_DECLARE(fill_uniform);
PATCHFORGE_DECLARE(fill_normal);
PATCHFORGE_DECLARE(scale_bytes);
PATCHFORGE_DECLARE(affine);
PATCHFORGE_DECLARE(sign_step);
PATCHFORGE_DECLARE(sum);
PATCHFORGE_DECLARE(sum_of_squares);
PATCHFORGE_DECLARE(column_sums);
PATCHFORGE_DECLARE(moments);
PATCHFORGE_DECLARE(moments_of_gradient);
PATCHFORGE_DECLARE(standardise);
PATCHFORGE_DECLARE(standardise_gradient);
PATCHFORGE_DECLARE(modulate);
PATCHFORGE_DECLARE(jitter_stain);
PATCHFORGE_DECLARE(jitter_stain_gradient);
PATCHFORGE_DECLARE(multiply_few_rows);
PATCHFORGE_DECLARE(multiply_transposed);
PATCHFORGE_DECLARE(multiply);
PATCHFORGE_DECLARE(multiply_outer);
PATCHFORGE_DECLARE(multiply_outer_adam);
PATCHFORGE_DECLARE(multiply_shards_adam);
PATCHFORGE_DECLARE(window_sums);
PATCHFORGE_DECLARE(window_dots);
PATCHFORGE_DECLARE(window_outer);
PATCHFORGE_DECLARE(pool_pairs);
PATCHFORGE_DECLARE(pool_pairs_gradient);
PATCHFORGE_DECLARE(copy_lines);
PATCHFORGE_DECLARE(deal_lines);
PATCHFORGE_DECLARE(join_lines);
PATCHFORGE_DECLARE(channels_last);
PATCHFORGE_DECLARE(interleave_maps);
PATCHFORGE_DECLARE(separate_maps);

#undef PATCHFORGE_DECLARE

extern const VectorKernels kernels;

} // namespace patchforge::PATCHFORGE_ISA
