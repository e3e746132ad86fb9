// Means of what iterations measured since the last logged one. Part of a checkpoint, so that a
// resumed run logs what the uninterrupted one would have.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace patchforge {

class IntervalMeans {
  public:
    explicit IntervalMeans(std::vector<std::string> names);

    void add(std::span<const double> values); // one a name
    void clear();
    std::uint64_t count() const { return count_; }
    double mean(const std::string& name) const; // std::logic_error for an unknown one

    // interval.safetensors of a checkpoint: `sums` and `count`, the names in its metadata.
    std::vector<std::byte> encode() const;
    // From a checkpoint's folder, by name. `interval`: iterations between two logged ones.
    void restore(const std::filesystem::path& checkpoint, std::uint64_t step,
                 std::uint64_t interval);

  private:
    std::vector<std::string> names_;
    std::vector<double> sums_;
    std::uint64_t count_ = 0;
};

} // namespace patchforge
