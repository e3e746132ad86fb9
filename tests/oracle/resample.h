// kernels/resample.h written pixel by pixel: which places of the input an output pixel is made of.
#pragma once

#include <algorithm>
#include <cmath>

#include "kernels/resample.h"
#include "tests/oracle/linear_map.h"

namespace patchforge::oracle {

inline LinearMap resample(const Resample& rule) {
    const Extent in = rule.in, out = rule.out();
    LinearMap map{out.size(), in.size(), {}};
    for (int c = 0; c < out.channels; ++c) {
        for (int i = 0; i < out.height; ++i) {
            for (int j = 0; j < out.width; ++j) {
                const auto reads = [&](int channel, int row, int column, double weight) {
                    if (row >= 0 && row < in.height && column >= 0 && column < in.width) {
                        map.terms.push_back(
                            {(std::int64_t{c} * out.height + i) * out.width + j,
                             (std::int64_t{channel} * in.height + row) * in.width + column,
                             weight});
                    }
                };
                switch (rule.kind) {
                case ResampleKind::zero_padding:
                    reads(c, i - rule.top, j - rule.left, 1);
                    break;
                case ResampleKind::reflection_padding: {
                    const auto mirrored = [](int line, int size) {
                        return size - 1 - std::abs(size - 1 - std::abs(line));
                    };
                    reads(c, mirrored(i - rule.top, in.height), mirrored(j - rule.left, in.width),
                          1);
                    break;
                }
                case ResampleKind::nearest:
                    reads(c, i / 2, j / 2, 1);
                    break;
                case ResampleKind::bilinear: {
                    // The centre of the pixel in the input, between two lines and two columns.
                    const double y = (i + 0.5) / 2 - 0.5, x = (j + 0.5) / 2 - 0.5;
                    const auto inside = [](double at, int size) {
                        return static_cast<int>(std::clamp(at, 0.0, size - 1.0));
                    };
                    for (const double row : {std::floor(y), std::floor(y) + 1}) {
                        for (const double column : {std::floor(x), std::floor(x) + 1}) {
                            reads(c, inside(row, in.height), inside(column, in.width),
                                  (1 - std::fabs(y - row)) * (1 - std::fabs(x - column)));
                        }
                    }
                    break;
                }
                case ResampleKind::shuffle: {
                    const int r = rule.factor;
                    reads(c * r * r + i % r * r + j % r, i / r, j / r, 1);
                    break;
                }
                case ResampleKind::turn: {
                    int row = i, column = j;
                    if (rule.turn & 4) {
                        std::swap(row, column);
                    }
                    reads(c, rule.turn & 2 ? in.height - 1 - row : row,
                          rule.turn & 1 ? in.width - 1 - column : column, 1);
                    break;
                }
                }
            }
        }
    }
    return map;
}

} // namespace patchforge::oracle
