#include "host/numerics/philox_sequence.h"

#include <Random123/philox.h>
#include <fmt/format.h>

#include <cmath>
#include <numbers>
#include <numeric>
#include <stdexcept>
#include <utility>

namespace patchforge {

PhiloxSequence::PhiloxSequence(std::uint64_t seed, std::uint64_t stream)
    : seed_(seed), stream_(stream) {}

std::uint64_t PhiloxSequence::bits() {
    if (left_ == 0) {
        const auto low = [](std::uint64_t x) { return static_cast<std::uint32_t>(x); };
        const auto high = [](std::uint64_t x) { return static_cast<std::uint32_t>(x >> 32); };
        const r123::Philox4x32::ctr_type counter{
            {low(position_), high(position_), low(stream_), high(stream_)}};
        const r123::Philox4x32::key_type key{{low(seed_), high(seed_)}};
        const auto out = r123::Philox4x32()(counter, key);
        drawn_ = {out[0] | std::uint64_t{out[1]} << 32, out[2] | std::uint64_t{out[3]} << 32};
        left_ = 2;
        ++position_;
    }
    return drawn_[2 - left_--];
}

std::uint64_t PhiloxSequence::below(std::uint64_t size) {
    // The largest multiple of `size`: draws above it would favour the small remainders.
    const std::uint64_t limit = size * (UINT64_MAX / size);
    std::uint64_t draw = bits();
    while (draw >= limit) {
        draw = bits();
    }
    return draw % size;
}

double PhiloxSequence::uniform() {
    return (static_cast<double>(bits() >> 11) + 0.5) * 0x1p-53;
}

double PhiloxSequence::normal() {
    if (std::exchange(has_second_normal_, false)) {
        return second_normal_;
    }
    const double radius = std::sqrt(-2 * std::log(uniform()));
    const double angle = 2 * std::numbers::pi * uniform();
    second_normal_ = radius * std::sin(angle);
    has_second_normal_ = true;
    return radius * std::cos(angle);
}

std::vector<std::int64_t> PhiloxSequence::sample(std::int64_t size, std::int64_t take) {
    if (take < 0 || take > size) {
        throw std::invalid_argument(fmt::format(
            "sample: {} of {} without replacement; take no more than there are", take, size));
    }
    std::vector<std::int64_t> numbers(size);
    std::iota(numbers.begin(), numbers.end(), std::int64_t{0});
    for (std::int64_t i = 0; i < take; ++i) {
        std::swap(numbers[i], numbers[i + below(size - i)]);
    }
    numbers.resize(take);
    return numbers;
}

} // namespace patchforge
