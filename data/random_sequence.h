#pragma once

#include <cstdint>
#include <string_view>

namespace patchforge {

/// Mixes 64 bits so that every input bit moves every output bit: the finaliser of SplitMix64
/// (Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators").
constexpr std::uint64_t mix_bits(std::uint64_t value) {
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
    value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
    return value ^ (value >> 31);
}

/// A number for (seed, text) that does not depend on anything else: FNV-1a, then mixed.
constexpr std::uint64_t hash_text(std::uint64_t seed, std::string_view text) {
    std::uint64_t hash = mix_bits(seed + 0x9e3779b97f4a7c15);
    for (const char c : text) {
        hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
    }
    return mix_bits(hash);
}

/// SplitMix64: the same numbers for the same seed on every machine. For data preparation; training
/// draws from Philox.
class RandomSequence {
  public:
    explicit constexpr RandomSequence(std::uint64_t seed) : state_(mix_bits(seed)) {}

    constexpr std::uint64_t bits() { return mix_bits(state_ += 0x9e3779b97f4a7c15); }
    /// Uniform in [0, 1), 24 bits.
    constexpr float uniform() { return static_cast<float>(bits() >> 40) * 0x1p-24f; }
    constexpr float uniform(float low, float high) { return low + (high - low) * uniform(); }
    constexpr bool chance(float probability) { return uniform() < probability; }

  private:
    std::uint64_t state_;
};

} // namespace patchforge
