// Sums of a window's gradient by its weights: [outputs, inputs, lines, columns] = over pictures and positions
// products of the small map by the large one.
//
// Both maps are laid out with the channels of a position side by side, blocks of a vector's width one after
// the other, so that a few weights of a few channels stay in registers while all positions pass by: one map
// gives vectors of channels, the other numbers that are multiplied by them. The vectors are of the map whose
// channels fill them better. No position lies between lines, and nothing is folded at the end.
//
// Some pictures at a time are laid out: as many as a second-level cache holds, or as it takes to make loads
// and stores of sums small beside the products.
#pragma once

#include <algorithm>
#include <vector>

#include "kernels/cpu/cpu_backend.h"
#include "kernels/cpu/window_layout.h"
#include "kernels/cpu/window_maps.h"

namespace patchforge {

class WindowCorrelation {
  public:
    // Of a window that outlives it.
    WindowCorrelation(const VectorKernels& vector, const ConvolutionWindow& window);
    // Vector operations, of which a product and sum is one.
    double cost(std::int64_t rows) const;
    // What it costs more where several threads lay out and read the same pictures.
    double cost_of_sharing(std::int64_t rows) const;
    // By the calling thread, or by all of the pool.
    void sum(float* weight, const float* small, const float* large, std::int64_t rows) const;
    void sum(ThreadPool& pool, AlignedFloats& shared, float* weight, const float* small,
             const float* large, std::int64_t rows) const;

  private:
    // Of the positions those with which a line of the kernel meets a line of the large map.
    struct Lines {
        int first, count;
    };
    // Some channels of one map by some blocks of the other, in registers together.
    struct Tiles {
        bool by_inputs; // blocks are of the large map
        bool runs;      // its few channels lie without gaps: a line of taps is a run of them
        bool planes;    // or in planes, where a line of taps is a run of each channel
        bool by_lines;  // taps line by line of the kernel, without the positions that meet no line
        std::int64_t factors, height; // channels of the one map, and of a tile
        std::int64_t blocks, groups;  // of the other map, and tiles of them
        std::int64_t count;
        std::int64_t large_blocks, small_blocks;
        std::int64_t step, plane; // numbers of a position, a picture of a block of the large map
        std::int64_t floats;      // of a picture
        double cost_of_sums;      // of a position
        std::vector<std::int64_t> tap_offset;
        std::vector<std::int64_t> run_offset; // of planes, for a line of the kernel and a channel
    };
    struct Place {
        std::int64_t factor, height, block, blocks;
        // Blocks of the large map one after the other: who laid one out mostly takes its tiles, too.
        Place(const Tiles& t, std::int64_t tile) {
            const std::int64_t heights = t.count / t.groups;
            const std::int64_t group = t.by_inputs ? tile / heights : tile % t.groups;
            factor = (t.by_inputs ? tile % heights : tile / t.groups) * t.height;
            height = std::min(t.height, t.factors - factor);
            block = t.blocks * group / t.groups;
            blocks = t.blocks * (group + 1) / t.groups - block;
        }
    };
    // Pictures that are laid out together; numbers of a tile's sums, of all tiles' where they have to be kept, of what
    // each thread has for itself.
    struct Memory {
        std::int64_t together, sums, kept, own;
    };
    Tiles find_tiles() const;
    std::int64_t together(std::int64_t rows) const;
    Memory memory(std::int64_t rows) const;
    template <class ForEach>
    void sum(const ForEach& for_each, const Memory& memory, float* kept, float* weight,
             const float* small, const float* large, std::int64_t rows) const;
    void lay_out(float* x, float* dz, std::int64_t together, std::int64_t picture,
                 std::int64_t block, const float* small, const float* large) const;
    void multiply(float* sums, const float* x, const float* dz, std::int64_t tile,
                  std::int64_t together, std::int64_t pictures, bool accumulate) const;
    void take_sums(float* weight, const float* sums, float* turned, std::int64_t tile) const;

    const VectorKernels& vector_;
    const ConvolutionWindow& window_;
    WindowLayout layout_; // of a channel
    WindowMaps maps_;
    std::vector<Lines> lines_;
    std::int64_t positions_, small_plane_;
    Tiles tiles_;
};

} // namespace patchforge
