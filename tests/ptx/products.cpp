// mma: products of small matrices, a warp together, on what a GPU calls tensor cores.
#include "tests/ptx/machine.h"

#include <bit>
#include <cmath>

namespace ptx {

namespace {

// PTX leaves open how a GPU rounds here. What was observed of tensor cores is that a few products at
// a time are aligned to the largest addend and cut off below its significand, and so is their sum
// (Fasi, Higham, Mikaitis and Pranesh 2021, "Numerical behavior of NVIDIA tensor cores"). Here one
// bit more than float32's 24 is kept until the sum is made.
template <unsigned count>
float added(float start, const double (&addends)[count]) {
    double largest = std::fabs(start);
    for (const double addend : addends) {
        largest = std::fmax(largest, std::fabs(addend));
    }
    double sum = start;
    if (!(largest > 0.0) || !std::isfinite(largest)) {
        for (const double addend : addends) {
            sum += addend;
        }
        return sum == sum ? static_cast<float>(sum) : std::bit_cast<float>(0x7fffffffu);
    }
    // 2^(e - 24) and its reciprocal, with e the exponent of the largest.
    const std::uint64_t exponent = std::bit_cast<std::uint64_t>(largest) >> 52;
    const auto unit = std::bit_cast<double>((exponent - 24) << 52);
    const auto inverse = std::bit_cast<double>((2046 - exponent + 24) << 52);
    double units = std::trunc(start * inverse);
    for (const double addend : addends) {
        units += std::trunc(addend * inverse);
    }
    sum = units * unit;
    const auto rounded = static_cast<float>(sum);
    // Too large for a float32 is infinite; all else is cut towards 0.
    const bool away = std::isfinite(rounded) && std::fabs(double{rounded}) > std::fabs(sum);
    return away ? std::nextafter(rounded, 0.0f) : rounded;
}

// d = a b + c with a of 16 x k, b of k x 8. `chunk` products enter the adder at a time.
template <unsigned k, unsigned chunk, class Spread>
void multiply(Warp& w, const Instruction& i, Spread spread) {
    if (w.active != all_lanes) {
        fail(w, i, simt::Finding::lane_mask, w.active,
             "all lanes of the warp have to come here together");
    }
    float a[16][k];
    float b[k][8];
    for (unsigned lane = 0; lane < lanes; ++lane) {
        std::uint32_t words[6];
        for (unsigned n = 0; n < 6; ++n) {
            words[n] = w.further<std::uint32_t>(i, 4 + n)[lane];
        }
        spread(words, lane / 4, lane % 4, a, b);
    }
    float d[4][lanes];
    for (unsigned n = 0; n < 4; ++n) {
        const float* c = w.further<float>(i, 10 + n);
        for (unsigned lane = 0; lane < lanes; ++lane) {
            const unsigned row = lane / 4 + 8 * (n / 2);
            const unsigned column = 2 * (lane % 4) + n % 2;
            float sum = c[lane];
            for (unsigned first = 0; first < k; first += chunk) {
                double addends[chunk];
                for (unsigned x = 0; x < chunk; ++x) {
                    addends[x] = double{a[row][first + x]} * double{b[first + x][column]};
                }
                sum = added(sum, addends);
            }
            d[n][lane] = sum;
        }
    }
    for (unsigned n = 0; n < 4; ++n) {
        on_lanes(w, w.further<float>(i, n), [&](unsigned lane) { return d[n][lane]; });
    }
}

// The multiplier does not see the lower 13 bits.
float tf32(std::uint32_t word) {
    return std::bit_cast<float>(word & 0xffffe000u);
}

// Half 0 or 1 of a word.
float bfloat16(std::uint32_t word, unsigned half) {
    return std::bit_cast<float>(half ? word & 0xffff0000u : word << 16);
}

// The words of a lane: four of a, then two of b; g = lane / 4, t = lane % 4.
void product_tf32(Warp& w, const Instruction& i) {
    multiply<8, 4>(w, i, [](const auto& words, unsigned g, unsigned t, auto& a, auto& b) {
        for (unsigned n = 0; n < 4; ++n) {
            a[g + 8 * (n % 2)][t + 4 * (n / 2)] = tf32(words[n]);
        }
        for (unsigned n = 0; n < 2; ++n) {
            b[t + 4 * n][g] = tf32(words[4 + n]);
        }
    });
}

void product_bf16(Warp& w, const Instruction& i) {
    multiply<16, 8>(w, i, [](const auto& words, unsigned g, unsigned t, auto& a, auto& b) {
        for (unsigned half = 0; half < 2; ++half) {
            for (unsigned n = 0; n < 4; ++n) {
                a[g + 8 * (n % 2)][2 * t + half + 8 * (n / 2)] = bfloat16(words[n], half);
            }
            for (unsigned n = 0; n < 2; ++n) {
                b[2 * t + half + 8 * n][g] = bfloat16(words[4 + n], half);
            }
        }
    });
}

} // namespace

std::vector<Form> product_forms() {
    return {
        {"mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32", "=w4 w4 w2 w4", product_tf32},
        {"mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32", "=w4 w4 w2 w4", product_bf16},
    };
}

} // namespace ptx
