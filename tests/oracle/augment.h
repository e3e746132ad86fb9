// kernels/operations/augment.h with the eight elements written as turns and mirrors of a picture,
// instead of as a formula for each pixel.
#pragma once

#include <algorithm>
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

} // namespace patchforge::oracle
