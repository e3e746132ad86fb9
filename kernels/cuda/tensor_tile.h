// The product of matrix_tile.h on tensor cores: the same stages in shared memory, the same contract
// of multiply, another multiplication. The stages hold float32; a lane rounds
// its operands on their way from shared memory to its fragments (kernels/precision.h), and sums
// stay float32.
//
// A product's steps of k may come in any order as long as both operands agree. In the 16 steps of a
// stage lane (g = lane / 4, t = lane % 4) always reads steps t, t + 4, t + 8 and t + 12 of its row
// or column:
//
//     tf32    mma.m16n8k8 takes t, t + 4, then t + 8, t + 12: the order of k
//     bf16    mma.m16n8k16 wants the neighbours 2t, 2t + 1 and 2t + 8, 2t + 9, and gets the pairs
//             (t, t + 4) and (t + 8, t + 12), which saves an arrangement by pairs of the stages
//
// Banks of the 32 lanes that read one float each, with m or n + g along the extent:
//     by depth    pitch 20         20 g + t mod 32: g gives 0 20 8 28 16 4 24 12, t adds 0 to 3:
//                                  all differ
//     by extent   pitch 72 or 136  both 8 mod 32; 8 t + g: all differ
// and of the 16 lanes (half a warp) that write two results each, pitch 72 or 136: 8 g + 2 t: all
// differ.
//
// Eight warps divide the tile. A tile has 64 columns and as many rows as the batch asks for: with
// few rows the weights' way from memory is the cost, and rows of zeros would be multiplied for
// nothing. For every 16 steps of k a warp does
//
//     tile        warps    a warp's    loads of 128 bytes   products (tf32; bf16: half)
//     16 x 64     1 x 8    16 x 8      8 + 4                2
//     32 x 64     2 x 4    16 x 16     8 + 8                4
//     64 x 64     2 x 4    32 x 16     16 + 8               8
//     128 x 128   2 x 4    64 x 32     32 + 16              32
//
// Predicted, with one such load a clock from shared memory: a 16 x 64 tile takes in 4 KiB of
// weights in 96 clocks, a 64 x 64 one in 192. An H100's multiprocessor gets about 13 bytes a clock from memory
// (3.0 TB/s, 132 of them, 1.7 GHz), 4 KiB in 315, so the weights stay the cost up to 64 rows.
// Memory answers after 600 clocks or more, so that at least 8 KiB must be on their way to each: of
// six stages five are, with 20 KiB of weights.
#pragma once

#include <type_traits>

#include "kernels/cuda/matrix_tile.h"
#include "kernels/precision.h"

namespace patchforge::cuda {

// How four floats, steps t, t + 4, t + 8 and t + 12 of k, become operands of `words` words.
template <Precision precision>
struct TensorOperand;

template <>
struct TensorOperand<Precision::tf32> {
    static constexpr int words = 4;
    __device__ static void round(std::uint32_t (&word)[words], const float (&value)[4]) {
        PATCHFORGE_UNROLL
        for (int i = 0; i < 4; ++i) {
            word[i] = round_to_tf32(value[i]);
        }
    }
    __device__ static void multiply(float (&d)[4], const std::uint32_t (&a)[4],
                                    const std::uint32_t (&b)[2]) {
        mma_tf32(d, a, b);
    }
};

template <>
struct TensorOperand<Precision::bf16> {
    static constexpr int words = 2;
    __device__ static void round(std::uint32_t (&word)[words], const float (&value)[4]) {
        word[0] = round_to_bf16_pair(value[0], value[1]);
        word[1] = round_to_bf16_pair(value[2], value[3]);
    }
    __device__ static void multiply(float (&d)[4], const std::uint32_t (&a)[4],
                                    const std::uint32_t (&b)[2]) {
        mma_bf16(d, a, b);
    }
};

template <Precision precision, class LeftOperand, class RightOperand>
struct TensorProduct {
    using A = LeftOperand;
    using B = RightOperand;
    using Operand = TensorOperand<precision>;
    static constexpr int warps_along_m = A::size == 16 ? 1 : 2;
    static constexpr int warps_along_n = static_cast<int>(tile_threads) / 32 / warps_along_m;
    static constexpr int rows_of_warp = A::size / warps_along_m;
    static constexpr int columns_of_warp = B::size / warps_along_n;
    static constexpr int fragments_m = rows_of_warp / 16;
    static constexpr int fragments_n = columns_of_warp / 8;
    static constexpr int resident_blocks = A::size == 128 ? 2 : 3;
    // Weight gradients are as deep as the batch has rows, and their blocks are many.
    static constexpr int stages = A::size == 128 || B::size > 64 || !A::along_depth ? 3 : 6;

    union Storage {
        TileOperands<A, B, stages> operands;
        float result[A::size][B::size + 8];
    };

    // Of the warp's first result in the tile.
    __device__ static int first_row() {
        return static_cast<int>(threadIdx.x) / 32 / warps_along_n * rows_of_warp;
    }
    __device__ static int first_column() {
        return static_cast<int>(threadIdx.x) / 32 % warps_along_n * columns_of_warp;
    }

    // As TileProduct::multiply.
    template <bool vectors, class Visit>
    __device__ static void multiply(Storage& storage, const typename A::Source& a, int first_m,
                                    const typename B::Source& b, int first_n, int k_begin,
                                    int k_end, Visit visit) {
        float sum[fragments_m][fragments_n][4] = {};
        storage.operands.template stream<vectors>(
            a, first_m, b, first_n, k_begin, k_end,
            [&](const typename A::Stage& stage_a, const typename B::Stage& stage_b) {
                multiply_stage(sum, stage_a, stage_b);
                visit(stage_a);
            });
        __syncthreads(); // the operands have been read, and their place is taken
        const int row = first_row() + static_cast<int>(threadIdx.x) % 32 / 4;
        const int column = first_column() + static_cast<int>(threadIdx.x) % 4 * 2;
        PATCHFORGE_UNROLL
        for (int i = 0; i < fragments_m; ++i) {
            PATCHFORGE_UNROLL
            for (int j = 0; j < fragments_n; ++j) {
                PATCHFORGE_UNROLL
                for (int half = 0; half < 2; ++half) {
                    store_shared(&storage.result[row + 16 * i + 8 * half][column + 8 * j],
                                 sum[i][j][2 * half], sum[i][j][2 * half + 1]);
                }
            }
        }
        __syncthreads();
    }

  private:
    // The lane's part of row or column `index` of an operand.
    template <class Side>
    __device__ static void read(std::uint32_t (&word)[Operand::words],
                                const typename Side::Stage& stage, int index) {
        const int t = static_cast<int>(threadIdx.x) % 4;
        float value[4];
        PATCHFORGE_UNROLL
        for (int i = 0; i < 4; ++i) {
            value[i] = Side::at(stage, index, t + 4 * i);
        }
        Operand::round(word, value);
    }

    __device__ static void multiply_stage(float (&sum)[fragments_m][fragments_n][4],
                                          const typename A::Stage& a, const typename B::Stage& b) {
        const int g = static_cast<int>(threadIdx.x) % 32 / 4;
        std::uint32_t of_a[fragments_m][2][Operand::words]; // rows g and g + 8 of the fragment
        PATCHFORGE_UNROLL
        for (int i = 0; i < fragments_m; ++i) {
            PATCHFORGE_UNROLL
            for (int half = 0; half < 2; ++half) {
                read<A>(of_a[i][half], a, first_row() + 16 * i + 8 * half + g);
            }
        }
        PATCHFORGE_UNROLL
        for (int j = 0; j < fragments_n; ++j) {
            std::uint32_t of_b[Operand::words];
            read<B>(of_b, b, first_column() + 8 * j + g);
            PATCHFORGE_UNROLL
            for (int i = 0; i < fragments_m; ++i) {
                PATCHFORGE_UNROLL
                for (int w = 0; w < Operand::words; w += 2) {
                    Operand::multiply(
                        sum[i][j],
                        {of_a[i][0][w], of_a[i][1][w], of_a[i][0][w + 1], of_a[i][1][w + 1]},
                        {of_b[w], of_b[w + 1]});
                }
            }
        }
    }
};

// A float as an operand of a product that no tensor core works out.
__device__ inline float rounded(float value, Precision precision) {
    switch (precision) {
    case Precision::float32:
        break;
    case Precision::tf32:
        return __uint_as_float(round_to_tf32(value));
    case Precision::bf16:
        return __uint_as_float(round_to_bf16_pair(value, value) << 16);
    }
    return value;
}

// Calls use(precision) with the precision as a constant.
template <class Use>
void with_precision(Precision precision, Use use) {
    switch (precision) {
    case Precision::float32:
        return use(std::integral_constant<Precision, Precision::float32>());
    case Precision::tf32:
        return use(std::integral_constant<Precision, Precision::tf32>());
    case Precision::bf16:
        return use(std::integral_constant<Precision, Precision::bf16>());
    }
}

// Calls launch(product, vectors) with the type of the product for an m x n result, where m counts
// the rows of the batch, and whether it reads by 16 bytes, as std::bool_constant. Rows without
// 16-byte access, which no layer of the default networks has, get tiles of 64 x 64.
template <Precision precision, template <int> class A, template <int> class B, class Launch>
void with_batch_tile(std::int64_t m, std::int64_t n, bool vectors, Launch launch) {
    if constexpr (precision == Precision::float32) {
        if (!vectors) {
            launch(TileProduct<A<64>, B<64>>(), std::false_type());
        } else if (tile_side(m, n, vectors) == 64) {
            launch(TileProduct<A<64>, B<64>>(), std::true_type());
        } else {
            launch(TileProduct<A<128>, B<128>>(), std::true_type());
        }
    } else {
        if (!vectors) {
            launch(TensorProduct<precision, A<64>, B<64>>(), std::false_type());
        } else if (m <= 16) {
            launch(TensorProduct<precision, A<16>, B<64>>(), std::true_type());
        } else if (m <= 32) {
            launch(TensorProduct<precision, A<32>, B<64>>(), std::true_type());
        } else if (m <= 64 || tile_side(m, n, vectors) == 64) {
            launch(TensorProduct<precision, A<64>, B<64>>(), std::true_type());
        } else {
            launch(TensorProduct<precision, A<128>, B<128>>(), std::true_type());
        }
    }
}

} // namespace patchforge::cuda
