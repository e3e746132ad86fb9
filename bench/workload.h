// What the whole-step benchmarks run on: patches of the mission's size and the operations that a
// network costs.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "host/network/network_shape.h"
#include "host/train/batches.h"

namespace patchforge::bench {

// 4,096 patches of 3 x 50 x 50 random levels, 31 MB, more than a cache holds; labels 0 and 1 in
// turn.
class Patches {
  public:
    Patches();
    Patches(const Patches&) = delete;
    Patches& operator=(const Patches&) = delete;

    const PatchRows& rows() const { return rows_; }
    static constexpr std::int64_t pixels = 7500;

  private:
    std::vector<std::uint8_t> bytes_;
    std::vector<std::int32_t> labels_;
    PatchRows rows_;
};

// `count` random levels, the same in every run.
std::vector<std::uint8_t> random_levels(std::int64_t count);

// Operations of a forward pass a row, a multiply-add counting two: of all layers with weights, and
// of the first of them, whose input gradient nobody asks for in training.
struct ForwardOperations {
    double all = 0;
    double first = 0;
};
ForwardOperations forward_operations(const NetworkShape& shape);

// A JSON list of the networks' texts, which peers build theirs from.
std::string texts_of(const std::vector<NetworkShape>& shapes);

} // namespace patchforge::bench
