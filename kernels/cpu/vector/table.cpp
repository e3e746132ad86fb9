#include "kernels/cpu/vector/functions.h"
#include "kernels/cpu/vector/simd.h"

#define PATCHFORGE_TEXT_OF(name) #name
#define PATCHFORGE_TEXT(name) PATCHFORGE_TEXT_OF(name)

namespace patchforge::PATCHFORGE_ISA {

const VectorKernels kernels = {
    .name = PATCHFORGE_TEXT(PATCHFORGE_ISA),
    .lanes = lanes,
    .activate = activate,
    .activation_gradient = activation_gradient,
    .adam = adam,
    .moving_average = moving_average,
    .fill_uniform = fill_uniform,
    .fill_normal = fill_normal,
    .scale_bytes = scale_bytes,
    .affine = affine,
    .sign_step = sign_step,
    .sum = sum,
    .sum_of_squares = sum_of_squares,
    .column_sums = column_sums,
    .moments = moments,
    .moments_of_gradient = moments_of_gradient,
    .standardise = standardise,
    .standardise_gradient = standardise_gradient,
    .modulate = modulate,
    .jitter_stain = jitter_stain,
    .jitter_stain_gradient = jitter_stain_gradient,
    .multiply_few_rows = multiply_few_rows,
    .multiply_transposed = multiply_transposed,
    .multiply = multiply,
    .multiply_outer = multiply_outer,
    .multiply_outer_adam = multiply_outer_adam,
    .multiply_shards_adam = multiply_shards_adam,
    .window_sums = window_sums,
    .window_dots = window_dots,
    .window_outer = window_outer,
    .pool_pairs = pool_pairs,
    .pool_pairs_gradient = pool_pairs_gradient,
    .copy_lines = copy_lines,
    .deal_lines = deal_lines,
    .join_lines = join_lines,
    .channels_last = channels_last,
    .interleave_maps = interleave_maps,
    .separate_maps = separate_maps,
};

} // namespace patchforge::PATCHFORGE_ISA
