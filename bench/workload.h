// What the whole-step benchmarks run on: patches of the mission's size and the operations that a
// network costs.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bench/measure.h"
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

// Peers play the same game when their losses of iterations 17 to 32 agree: means of so many games, as those
// of one differ by a fifth from another's.
constexpr int early_games = 3;

// `count` random levels, the same in every run.
std::vector<std::uint8_t> random_levels(std::int64_t count);

// Operations of a forward pass a row, a multiply-add counting two: of all layers with weights, and
// of the first of them, whose input gradient nobody asks for in training.
struct ForwardOperations {
    double all = 0;
    double first = 0;
};
ForwardOperations forward_operations(const NetworkShape& shape);

// The least milliseconds that a step can take on this machine: the longer of both.
struct Floor {
    double bytes = 0;
    double operations = 0; // 0: the peak is unknown

    std::string operations_text(int digits) const;
};
Floor floor_of(const Machine& machine, double bytes, double operations);

// Columns and cells of a step of training: median, 5th and 95th percentile, floors, share of the floor,
// GFLOP/s, samples a second.
std::vector<std::string> step_columns();
std::vector<std::string> step_cells(const Timing& timing, const Floor& floor, double operations,
                                    std::int64_t batch);
// The beginning of a step's JSON line, up to its times; more members and the brace follow.
std::string step_line(const char* bench, const Backend& backend, std::int64_t batch,
                      const Timing& timing);

// A JSON list of the networks' texts, which peers build theirs from.
std::string texts_of(const std::vector<NetworkShape>& shapes);

} // namespace patchforge::bench
