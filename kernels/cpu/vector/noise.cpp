#include "kernels/cpu/vector/functions.h"
#include "kernels/cpu/vector/math.h"
#include "kernels/cpu/vector/philox.h"

namespace patchforge::PATCHFORGE_ISA {
namespace {

// uniform_from_word of kernels/random.h.
Floats uniform(Words words) {
    return __builtin_convertvector(words, Floats) * 2.3283064365386963e-10f +
           1.1641532182693481e-10f;
}

} // namespace

void fill_uniform(float* out, std::int64_t count, std::uint64_t first, float low, float range,
                  const PhiloxStream& random) {
    for (std::int64_t i = 0; i < count; i += drawn_words) {
        Words words[2];
        draw_words(random, (first + static_cast<std::uint64_t>(i)) / 4, words[0], words[1]);
        for (int half = 0; half < 2 && i + half * lanes < count; ++half) {
            store_up_to(out + i + half * lanes, uniform(words[half]) * range + low,
                        count - i - half * lanes);
        }
    }
}

void fill_normal(float* out, std::int64_t count, std::uint64_t first, float mean, float deviation,
                 const PhiloxStream& random) {
    Ints even, odd;
    for (int i = 0; i < lanes; ++i) {
        even[i] = 2 * i;
        odd[i] = 2 * i + 1;
    }
    for (std::int64_t i = 0; i < count; i += drawn_words) {
        Words words[2];
        draw_words(random, (first + static_cast<std::uint64_t>(i)) / 4, words[0], words[1]);
        const Floats u0 = uniform(words[0]);
        const Floats u1 = uniform(words[1]);
        const Floats radius =
            square_root(-2.0f * logarithm(__builtin_shuffle(u0, u1, even))) * deviation;
        Floats sine, cosine;
        sine_cosine_of_turn(__builtin_shuffle(u0, u1, odd), sine, cosine);
        const Floats first_of_pair = radius * sine + mean;
        const Floats second_of_pair = radius * cosine + mean;
        store_up_to(out + i, interleave_first(first_of_pair, second_of_pair), count - i);
        if (i + lanes < count) {
            store_up_to(out + i + lanes, interleave_second(first_of_pair, second_of_pair),
                        count - i - lanes);
        }
    }
}

} // namespace patchforge::PATCHFORGE_ISA
