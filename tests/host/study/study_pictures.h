// Small pictures for the study's tests: generated ones are bluish, real ones reddish.
#pragma once

#include "data/png.h"
#include "host/study/study_page.h"

namespace patchforge {

inline std::vector<PngBytes> tinted_pictures(int count, bool generated) {
    std::vector<PngBytes> pictures;
    for (int i = 0; i < count; ++i) {
        Image image{50, 50, 3, std::vector<std::uint8_t>(7500, 60)};
        const int channel = generated ? 2 : 0;
        for (int p = 0; p < 2500; ++p) {
            image.pixels[channel * 2500 + p] = static_cast<std::uint8_t>(120 + (p * (i + 3)) % 131);
        }
        pictures.push_back(encode_png(image));
    }
    return pictures;
}

} // namespace patchforge
