#include "kernels/resample.h"

#include <algorithm>
#include <stdexcept>

namespace patchforge {

Extent Resample::out() const {
    switch (kind) {
    case ResampleKind::zero_padding:
    case ResampleKind::reflection_padding:
        return {in.channels, in.height + top + bottom, in.width + left + right};
    case ResampleKind::nearest:
    case ResampleKind::bilinear:
        return {in.channels, 2 * in.height + bottom, 2 * in.width + right};
    case ResampleKind::shuffle:
        return {in.channels / (factor * factor), in.height * factor, in.width * factor};
    case ResampleKind::turn:
        break;
    }
    return {in.channels, turn & 4 ? in.width : in.height, turn & 4 ? in.height : in.width};
}

void Resample::validate() const {
    const auto refuse = [&](const std::string& why) {
        throw std::invalid_argument("picture of " + in.text() + ": " + why);
    };
    const auto [least, most] = std::minmax({top, left, bottom, right});
    switch (kind) {
    case ResampleKind::zero_padding:
        if (top <= -in.height || bottom <= -in.height || left <= -in.width || right <= -in.width ||
            out().height < 1 || out().width < 1) {
            refuse("nothing would be left of it; crop less");
        }
        break;
    case ResampleKind::reflection_padding:
        if (least < 0 || std::max(top, bottom) >= in.height || std::max(left, right) >= in.width) {
            refuse("reflection of up to " + std::to_string(most) +
                   " lines; use fewer than the picture has, and none negative");
        }
        break;
    case ResampleKind::nearest:
    case ResampleKind::bilinear:
        if (top != 0 || left != 0 || std::min(bottom, right) < -1 || std::max(bottom, right) > 0) {
            refuse("doubled, it can lose its last line and column and nothing else");
        }
        break;
    case ResampleKind::shuffle:
        if (factor < 1 || factor > in.channels || in.channels % (factor * factor) != 0) {
            refuse("its channels are no multiple of " +
                   std::to_string(std::int64_t{factor} * factor) + ", which a shuffle by " +
                   std::to_string(factor) + " takes");
        }
        break;
    case ResampleKind::turn:
        if (turn < 0 || turn > 7) {
            refuse("turn " + std::to_string(turn) + "; there are 0 to 7");
        }
        break;
    }
}

} // namespace patchforge
