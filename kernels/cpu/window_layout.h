// How maps lie in scratch memory while a window moves over them (kernels/convolution_shape.h), so that
// every product of a convolution is a product of a weight by a run of consecutive numbers.
//
// The positions of the window are numbered line by line, with `pitch` numbers a line, and the map
// under it is copied so that a tap of the kernel finds its numbers for positions p, p + 1, ... at
// offset + p, offset + p + 1, ... Zeros stand around the lines; those after one are those before the
// next, so pitch is often the map's width + 1, or the width itself. At a few positions between the
// lines the sums mean nothing; nobody reads them.
//
//     gather with stride s    the map is dealt out to s x s phases: every s-th line and column
//     scatter with stride s   the result is put together from s x s classes, each with the taps that
//                             reach it: no zeros are inserted, nothing is multiplied by them
//
// Where the stride divides the kernel all classes read the same numbers but for a shift. `in_step` they begin
// at positions where the shift is gone, and are rows of the same products.
//
// Small maps leave many positions between the lines. With a large batch `lanes` pictures are then
// interleaved number by number: a vector is one position of all of them, no position lies between lines,
// and at the edges the taps that would meet padding are left out.
#pragma once

#include <vector>

#include "kernels/convolution_shape.h"

namespace patchforge {

class WindowLayout {
  public:
    // Every stride-th line and column of the map that is read, from (row, column) on.
    struct Phase {
        int row, column;
        int top, left;         // zeros before them, lines and numbers
        int lines, columns;    // that are read
        std::int64_t base = 0; // of its plane
    };
    // Every stride-th line and column of the result, from (row, column) on.
    struct Class {
        int row, column;
        int lines, columns;                 // of positions
        int skipped_lines, skipped_columns; // the first of them that are not wanted: in step
        std::vector<int> tap;               // a * kernel_width + b
        std::vector<std::int64_t> offset;   // of each tap
    };

    // Positions of a class that the same of its taps reach; the others would meet padding there.
    struct Patch {
        int first_line, lines, first_column, columns;
        std::vector<std::size_t> taps;
    };

    // `together` pictures lie side by side; or, interleaved, `lanes` of them in one.
    static WindowLayout gather(const ConvolutionWindow& window, int together = 1, int lanes = 1);
    // in_step: where possible.
    static WindowLayout scatter(const ConvolutionWindow& window, int lanes = 1,
                                bool in_step = false);

    Extent from, to;
    int together, lanes;
    int from_stride, to_stride;
    bool in_step = false;
    std::vector<Phase> phases;
    std::vector<Class> classes;
    int pitch = 0, lines = 0; // of a picture, zeros among them
    std::int64_t picture = 0; // numbers: lines * pitch * lanes
    std::int64_t plane = 0;   // of a phase, all pictures, and what taps read past them
    std::int64_t channel() const { return static_cast<std::int64_t>(phases.size()) * plane; }
    std::int64_t size() const { return from.channels * channel(); }
    // Of all classes.
    std::int64_t taps() const {
        std::int64_t count = 0;
        for (const Class& result : classes) {
            count += static_cast<std::int64_t>(result.tap.size());
        }
        return count;
    }

    // Where an interleaved picture's numbers lie: those that are read, in the planes (-1: not read),
    // and those of the result, in sums whose classes are class_stride apart.
    std::vector<std::int32_t> places_read() const;
    std::vector<std::int32_t> places_of_result(std::int64_t class_stride) const;

    // Numbers of some lines of a class, those between them included.
    std::int64_t count(std::int64_t lines, std::int64_t columns) const;
    // Lines of the result that are complete once so many lines of positions are.
    int complete(std::int64_t lines) const;
    // Of interleaved pictures: all positions of a class, in as few patches as there are.
    std::vector<Patch> patches(std::size_t of_class) const;
    // What the products of a convolution, padding among them, are beside the work on full tiles of
    // vectors of `vector` numbers; interleaved, which leaves padding out, it may be above 1.
    double used(int vector) const;

  private:
    struct Tap {
        int row, column, index;
    };
    WindowLayout(const ConvolutionWindow& window, bool gathers, int together, int lanes,
                 bool in_step);
    void add_class(int row, int column, const std::vector<Tap>& taps);
    void bring_in_step();
    void place();

    std::vector<std::vector<Tap>> taps_; // of each class
};

} // namespace patchforge
