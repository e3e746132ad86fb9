// kernels/operations/augment.h with the eight elements written as turns and mirrors of a picture,
// instead of as a formula for each pixel.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "tests/oracle/philox.h"

namespace patchforge::oracle {

using Picture = std::vector<std::vector<float>>; // [height][width], one channel

inline Picture mirrored_columns(Picture picture) {
    for (auto& line : picture) {
        std::reverse(line.begin(), line.end());
    }
    return picture;
}

inline Picture mirrored_rows(const Picture& picture) {
    return {picture.rbegin(), picture.rend()};
}

inline Picture swapped(const Picture& picture) {
    Picture result(picture.front().size(), std::vector<float>(picture.size()));
    for (std::size_t i = 0; i < picture.size(); ++i) {
        for (std::size_t j = 0; j < picture[i].size(); ++j) {
            result[j][i] = picture[i][j];
        }
    }
    return result;
}

// The picture is mirrored first and swapped last: y[i, j] reads [j, i] of the mirrored one.
inline Picture dihedral(Picture picture, std::uint32_t word) {
    if (word & 0x20000000u) {
        picture = mirrored_columns(picture);
    }
    if (word & 0x40000000u) {
        picture = mirrored_rows(picture);
    }
    if ((word & 0x80000000u) && picture.size() == picture.front().size()) {
        picture = swapped(picture);
    }
    return picture;
}

// y[i, j] = x[i - down, j - right].
inline Picture translated(const Picture& picture, int down, int right) {
    Picture result = picture;
    for (int i = 0; i < static_cast<int>(picture.size()); ++i) {
        for (int j = 0; j < static_cast<int>(picture[0].size()); ++j) {
            const int row = i - down, column = j - right;
            const bool inside = row >= 0 && row < static_cast<int>(picture.size()) && column >= 0 &&
                                column < static_cast<int>(picture[0].size());
            result[static_cast<std::size_t>(i)][static_cast<std::size_t>(j)] =
                inside ? picture[static_cast<std::size_t>(row)][static_cast<std::size_t>(column)]
                       : 0;
        }
    }
    return result;
}

// A square of zeros whose centre, left of and above the middle of an even one, is [row, column].
inline Picture cut(Picture picture, int side, int row, int column) {
    for (int i = 0; i < static_cast<int>(picture.size()); ++i) {
        for (int j = 0; j < static_cast<int>(picture[0].size()); ++j) {
            if (i - row >= -(side / 2) && i - row < side - side / 2 && j - column >= -(side / 2) &&
                j - column < side - side / 2) {
                picture[static_cast<std::size_t>(i)][static_cast<std::size_t>(j)] = 0;
            }
        }
    }
    return picture;
}

// A number in 0 ... choices - 1 from a word.
inline int chosen(std::uint32_t word, int choices) {
    return static_cast<int>(std::floor(std::ldexp(static_cast<double>(word), -32) * choices));
}

} // namespace patchforge::oracle
