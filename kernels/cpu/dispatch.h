// The inner loops of the CPU backend, as a table of functions for one instruction set. They exist
// three times in the program (kernels/cpu/vector/, compiled for SSE2, for AVX2 with FMA, for
// AVX-512); the widest that the processor has is picked once. PATCHFORGE_CPU=baseline|avx2|avx512
// in the environment overrides. Results differ between them in the last bits, since lanes are
// summed in another order; within one they are the same in every run.
//
// Matrices are row-major with a leading dimension: element (r, c) of `a` lies at a[r * a_stride +
// c].
#pragma once

#include <cstdint>

namespace patchforge {

// Products of at most so many rows read the right factor once and in long runs; those of more rows take it panel by
// panel. Whoever cuts work into pieces cuts for the one or the other.
constexpr std::int64_t direct_rows = 4;

struct PhiloxStream {
    std::uint32_t key_low, key_high;
    std::uint32_t purpose;
    std::uint32_t draw_low, draw_high;
};

// An Epilogue whose draw has been looked up.
struct EpilogueArguments {
    int activation; // the number of an Activation
    float slope;
    bool dropout;
    float kept_factor;       // 1 / (1 - p)
    float kept_share;        // 1 - p
    std::uint32_t threshold; // of dropout's words
    PhiloxStream random;
};

// An Adam whose step has been looked up.
struct AdamArguments {
    float beta1, rest1;            // b1, 1 - b1
    float beta2, rest2;            // b2, 1 - b2
    float step_size;               // lr / (1 - b1^t)
    float inverse_root_correction; // 1 / sqrt(1 - b2^t)
    float epsilon;
    float clip; // infinity: not clamped
};

// A product of a sum: where its weight, and its numbers for position 0, lie.
struct WindowTap {
    std::int64_t weight, x;
};

// out [rows, positions] = start [rows] (null: 0) + sums over channels i and taps t of
//     weight[r * weight_stride + i * weight_channel_stride + tap[t].weight] *
//         x[i * channel_stride + tap[t].x + p]
// for positions p < count. Of every `pitch` of them the first `width` are wanted, and stored without
// gaps. Whole vectors are read from x, past `count` too. With `place` positions are `count` whole vectors
// of them, each at its place, and what is in `out` may be added to.
struct WindowSums {
    float* out;
    std::int64_t out_stride;
    const float* x;
    std::int64_t channel_stride;
    const float* weight;
    std::int64_t weight_stride, weight_channel_stride;
    const WindowTap* tap = nullptr; // of `together` channels, one after the other
    std::int64_t taps = 0;          // of a channel
    // From each one's weight to the next where that is always the same, or 0.
    std::int64_t weight_step = 0;
    std::int64_t channels, together = 0;
    const float* start = nullptr;
    std::int64_t rows, count;
    std::int64_t width = 0, pitch = 0;
    const std::int64_t* place = nullptr;
    bool accumulate = false;
};

// sums[r, v] = over pictures, lines and columns the sum of a[r] * b[offset[v] ...], a vector each;
// added to what is there when `accumulate`.
struct OuterProducts {
    struct Walk {
        const float* first;
        std::int64_t step, line, picture; // to the next column, line, picture
    };
    float* sums;
    std::int64_t row_stride, vector_stride;
    std::int64_t rows, vectors;
    Walk a, b;
    const std::int64_t* offset;
    std::int64_t pictures, lines, columns;
    bool accumulate;
    // Rows may be runs of 3 or 4 numbers: row r is a[run_offset[r / run] + r % run].
    std::int64_t run = 0;
    const std::int64_t* run_offset = nullptr;
};

// Stain jitter of one picture (kernels/stain_change.h), of pixels that are half * x + offset in [0, 1].
struct StainArguments {
    float half, offset;
    float matrix[3][3];
    float shift[3];
};

// share * a^T b, with a [depth, rows] and b [depth, columns].
struct OuterShard {
    const float* a;
    std::int64_t a_stride;
    const float* b;
    std::int64_t b_stride;
    std::int64_t depth;
    float share;
};
constexpr std::int64_t most_outer_shards = 4096;

struct VectorKernels {
    const char* name;
    int lanes; // floats of a vector

    // y = epilogue(z + bias), elements `first` ... of the whole matrix; bias may be null.
    void (*activate)(float* y, const float* z, const float* bias, std::int64_t count,
                     std::uint64_t first, const EpilogueArguments& epilogue);
    void (*activation_gradient)(float* dz, const float* dy, const float* y, std::int64_t count,
                                std::uint64_t first, const EpilogueArguments& epilogue);

    void (*adam)(float* value, float* first_moment, float* second_moment, const float* gradient,
                 std::int64_t count, const AdamArguments& adam);
    // to = decay * to + (1 - decay) * from
    void (*moving_average)(float* to, const float* from, std::int64_t count, float decay);

    // Elements `first` ... of a fill; first is a multiple of 64.
    void (*fill_uniform)(float* out, std::int64_t count, std::uint64_t first, float low,
                         float range, const PhiloxStream& random);
    void (*fill_normal)(float* out, std::int64_t count, std::uint64_t first, float mean,
                        float deviation, const PhiloxStream& random);

    // out = factor * (in / 255) + offset
    void (*scale_bytes)(float* out, const std::uint8_t* in, std::int64_t count, float factor,
                        float offset);

    // y = scale * x + shift; y may be x
    void (*affine)(float* y, const float* x, std::int64_t count, float scale, float shift);
    // y = x + alpha * sign(direction), cut to the L-infinity ball around the origin and the box
    // (perturb_step of kernels/operations/perturb.h); y may be x or direction
    void (*sign_step)(float* y, const float* x, const float* direction, const float* origin,
                      std::int64_t count, float alpha, float epsilon);

    double (*sum)(const float* x, std::int64_t count);
    double (*sum_of_squares)(const float* x, std::int64_t count);
    // out [columns] = sums over the rows of a, in their order; added to out when `accumulate`.
    void (*column_sums)(float* out, const float* a, std::int64_t a_stride, std::int64_t rows,
                        std::int64_t columns, bool accumulate);

    // Adds to sums[0], sums[1]: sums of x - origin and of its square; of dy and of dy (x - mean).
    void (*moments)(const float* x, std::int64_t count, float origin, double* sums);
    void (*moments_of_gradient)(const float* dy, const float* x, std::int64_t count, float mean,
                                double* sums);
    // y = (x - mean) * factor + shift; y may be x
    void (*standardise)(float* y, const float* x, std::int64_t count, float mean, float factor,
                        float shift);
    // dx = dy * factor + shift + (x - mean) * slope; dx may be dy
    void (*standardise_gradient)(float* dx, const float* dy, const float* x, std::int64_t count,
                                 float mean, float factor, float shift, float slope);
    // y = x * factor + shift + noise * strength; noise may be null, y may be x
    void (*modulate)(float* y, const float* x, const float* noise, std::int64_t count, float factor,
                     float shift, float strength);
    // Three planes of `plane` pixels, one behind the other (kernels/operations/stain.h).
    void (*jitter_stain)(float* y, const float* x, std::int64_t plane,
                         const StainArguments& jitter);
    void (*jitter_stain_gradient)(float* dx, const float* dy, const float* x, std::int64_t plane,
                                  const StainArguments& jitter);

    // c [rows, columns] = a [rows, depth] * b [columns, depth]^T: for few rows; b is read once, in
    // its own order.
    void (*multiply_few_rows)(float* c, std::int64_t c_stride, const float* a,
                              std::int64_t a_stride, const float* b, std::int64_t b_stride,
                              std::int64_t rows, std::int64_t columns, std::int64_t depth);
    // The same for many rows: `scratch` of transposed_scratch(rows, columns) takes a in pieces, and c.
    void (*multiply_transposed)(float* c, std::int64_t c_stride, const float* a,
                                std::int64_t a_stride, const float* b, std::int64_t b_stride,
                                std::int64_t rows, std::int64_t columns, std::int64_t depth,
                                float* scratch);
    // c [rows, columns] = a [rows, depth] * b [depth, columns]; added to c when `accumulate`.
    void (*multiply)(float* c, std::int64_t c_stride, const float* a, std::int64_t a_stride,
                     const float* b, std::int64_t b_stride, std::int64_t rows, std::int64_t columns,
                     std::int64_t depth, bool accumulate, float* scratch);
    // c [rows, columns] = a [depth, rows]^T * b [depth, columns]; added to c when `accumulate`.
    void (*multiply_outer)(float* c, std::int64_t c_stride, const float* a, std::int64_t a_stride,
                           const float* b, std::int64_t b_stride, std::int64_t rows,
                           std::int64_t columns, std::int64_t depth, bool accumulate,
                           float* scratch);
    // The same product as a gradient, handed to Adam where it would be stored. The three arrays
    // share `stride`. scratch as for adam_strips more of depth.
    void (*multiply_outer_adam)(float* value, float* first_moment, float* second_moment,
                                std::int64_t stride, const float* a, std::int64_t a_stride,
                                const float* b, std::int64_t b_stride, std::int64_t rows,
                                std::int64_t columns, std::int64_t depth, const AdamArguments& adam,
                                float* scratch);
    // The sum of several such gradients along the tree of shards, and weight_decay times the value, handed to
    // Adam. scratch as for all their depths and adam_strips more.
    void (*multiply_shards_adam)(float* value, float* first_moment, float* second_moment,
                                 std::int64_t stride, const OuterShard* shards, std::int64_t count,
                                 std::int64_t rows, std::int64_t columns, float weight_decay,
                                 const AdamArguments& adam, float* scratch);

    // Convolutions, on maps as kernels/cpu/window_layout.h lays them out.
    void (*window_sums)(const WindowSums& sums);
    // c [taps] = sums over p of a[p] * x[offset[t] + p]; added to c when `accumulate`. `count` numbers
    // are rounded up to whole vectors, so a has to end with zeros.
    void (*window_dots)(float* c, const float* a, const float* x, const std::int64_t* offset,
                        std::int64_t taps, std::int64_t count, bool accumulate);
    void (*window_outer)(const OuterProducts& products);
    // Maxima of 2 x 2 numbers (kernels/operations/pool.h): y [lines, columns] of lines of x, `width` apart,
    // and back: all numbers of dx's lines are written, 0 past the last window.
    void (*pool_pairs)(float* y, const float* x, std::int64_t lines, std::int64_t columns,
                       std::int64_t width);
    void (*pool_pairs_gradient)(float* dx, const float* dy, const float* x, std::int64_t lines,
                                std::int64_t columns, std::int64_t width);
    // `lines` lines of `count` numbers, each followed by zeros up to `width`.
    void (*copy_lines)(float* to, std::int64_t to_stride, const float* from,
                       std::int64_t from_stride, std::int64_t lines, std::int64_t count,
                       std::int64_t width);
    // Lines of `count` numbers, those with even numbers to one map and the others to another (or
    // nowhere: null), of each so many as wanted and then zeros up to to_stride.
    void (*deal_lines)(float* even, std::int64_t evens, float* odd, std::int64_t odds,
                       std::int64_t to_stride, const float* from, std::int64_t from_stride,
                       std::int64_t lines, std::int64_t count);
    // And back: lines of `count` numbers in all. Whole vectors are read.
    void (*join_lines)(float* to, std::int64_t to_stride, const float* even, const float* odd,
                       std::int64_t from_stride, std::int64_t lines, std::int64_t count);
    // Channels from_stride apart, each `lines` lines of `width` numbers without gaps, side by side
    // for each number. A vector less one is written past the last.
    void (*channels_last)(float* to, std::int64_t to_line, std::int64_t to_step, const float* from,
                          std::int64_t from_stride, std::int64_t channels, std::int64_t lines,
                          std::int64_t width);
    // Number e of `pictures` <= lanes maps to to[place[e]] ... , `lanes` side by side with zeros for
    // those that lack; nowhere where place[e] < 0. And back.
    void (*interleave_maps)(float* to, const std::int32_t* place, const float* from,
                            std::int64_t from_stride, std::int64_t pictures, std::int64_t count);
    void (*separate_maps)(float* to, std::int64_t to_stride, const float* from,
                          const std::int32_t* place, std::int64_t pictures, std::int64_t count);
};

// Depth of the pieces in which products with a long depth are summed: a panel of 48 columns is then
// 36 KiB and stays in a first-level cache of 48.
constexpr std::int64_t depth_piece = 192;

// Floats of 64-byte aligned scratch for a product over `depth` with `columns` columns.
constexpr std::int64_t scratch_size(std::int64_t depth, std::int64_t columns) {
    return depth * ((columns + 15) / 16 * 16);
}

// Depth to add to that of a product that is handed to Adam: two strips of gradients lie in the scratch, too.
constexpr std::int64_t adam_strips = 16;

constexpr std::int64_t transposed_scratch(std::int64_t rows, std::int64_t columns) {
    return scratch_size(depth_piece + columns, rows);
}

// The table for this machine. std::invalid_argument when PATCHFORGE_CPU names an unknown set or one
// that the processor lacks.
const VectorKernels& vector_kernels();

} // namespace patchforge
