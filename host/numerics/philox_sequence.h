// Random numbers for the measures: a sequence fixed by (seed, stream), the same on every machine.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

namespace patchforge {

// Philox4x32-10 with the seed as its key and (position, stream) as its counter. Different streams
// of one seed are independent, so pieces of work can draw in any order.
class PhiloxSequence {
  public:
    explicit PhiloxSequence(std::uint64_t seed, std::uint64_t stream = 0);

    std::uint64_t bits();                    // 64 random bits
    std::uint64_t below(std::uint64_t size); // 0 … size - 1, without bias; size >= 1
    double uniform();                        // in (0, 1), 53 bits
    double normal();                         // mean 0, variance 1 (Box-Muller)

    // `take` different numbers of 0 … size - 1 in random order; take == size is a permutation.
    // Throws std::invalid_argument unless 0 <= take <= size.
    std::vector<std::int64_t> sample(std::int64_t size, std::int64_t take);

  private:
    std::uint64_t seed_, stream_, position_ = 0;
    std::array<std::uint64_t, 2> drawn_{};
    int left_ = 0;
    double second_normal_ = 0;
    bool has_second_normal_ = false;
};

} // namespace patchforge
